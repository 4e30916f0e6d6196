"""A survey image rebuilt from its catalog, and what the catalog leaves of it.

Each source stands at its position with its median flux and as what it more probably is. A star is
the PSF. A galaxy is the typical one of the prior, for a catalog holds no shapes: round, half disk
and half bulge, with the circularised radii that half of the prior's galaxies exceed. It takes a
galaxy's light away, but leaves rings and lobes of the shape that this one really has; the residual
is a test of the sky, of the noise and of the stars, and of galaxies only in sum.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from astropy.io import fits

from npecat_eval.catalog.detections import GALAXY_THRESHOLD, Detections
from npecat_sim.io.storage import replacing
from npecat_sim.model.prior import GALAXY_ONLY, PAPER_PRIOR
from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import SurveyImage

SKY_LEVEL, SOURCE_LEVEL = 0.1, 1.0
"""Sky sigmas of light: below the first a pixel shows sky, above the second a source."""

CHI_EDGES = np.linspace(-6, 6, 49)
"""Of the bins of the distribution. A frame of SDSS holds whole counts of 0.16 sky sigma: finer
bins would show them."""


def typical_shape() -> dict[str, float]:
    """The shape of every galaxy of a reconstruction, from the medians of the prior."""
    median = PAPER_PRIOR.shapes(np.full((len(GALAXY_ONLY), 1), 0.5))
    shape = {name: float(values[0]) for name, values in median.items()}
    for part in ("disk", "bulge"):
        shape[f"{part}_half_light_radius"] *= np.sqrt(shape[f"{part}_axis_ratio"])
        shape[f"{part}_axis_ratio"] = 1.0
    return shape


@dataclass(frozen=True)
class Reconstruction:
    """An image and the light of its catalog's stars and galaxies.

    stars, galaxies: float32 (y, x), nanomaggies per pixel.
    """

    image: SurveyImage
    stars: np.ndarray
    galaxies: np.ndarray

    @classmethod
    def of(cls, image: SurveyImage, detections: Detections) -> Self:
        """Draw the sources of a catalog of the image."""
        galaxy = detections.prob_galaxy > GALAXY_THRESHOLD
        shape = typical_shape()
        drawn = []
        for chosen in (~galaxy, galaxy):
            sources = {name: getattr(detections, name)[chosen] for name in ("x", "y", "flux")}
            sources["is_galaxy"] = galaxy[chosen]
            sources |= {name: np.full(chosen.sum(), value) for name, value in shape.items()}
            drawn.append(draw_field(sources, image.psf, image.image.shape, image.sky_sigma))
        return cls(image, *drawn)

    @cached_property
    def residual(self) -> np.ndarray:
        """float32 (y, x), nanomaggies per pixel: image minus all sources."""
        return self.image.image - self.stars - self.galaxies

    @cached_property
    def chi(self) -> np.ndarray:
        """float32 (y, x): the residual over the noise of sky and sources."""
        light = np.maximum(self.stars + self.galaxies, 0)
        return self.residual * np.sqrt(
            np.float32(self.image.electrons_per_nmgy) / (self.image.background + light)
        )

    @cached_property
    def pixels(self) -> dict[str, np.ndarray]:
        """What a pixel shows -> bool (y, x); pixels with flags show nothing."""
        sigma = np.sqrt(self.image.background / self.image.electrons_per_nmgy)
        light, unflagged = self.stars + self.galaxies, self.image.flags == 0
        source = (light > SOURCE_LEVEL * sigma) & unflagged
        return {
            "sky": (light < SKY_LEVEL * sigma) & unflagged,
            "stars": source & (self.stars >= self.galaxies),
            "galaxies": source & (self.stars < self.galaxies),
        }

    def chi_density(self, name: str) -> np.ndarray:
        """float64 (bin,): density of chi in CHI_EDGES over one of ``pixels``; 0 where none is.

        What lies beyond the edges counts in the norm.
        """
        values = self.chi[self.pixels[name]]
        count, _ = np.histogram(values, CHI_EDGES)
        return count / max(len(values), 1) / np.diff(CHI_EDGES)

    def chi_spread(self, name: str) -> tuple[float, float]:
        """Median of chi over one of ``pixels``, and 1.48 median absolute deviations."""
        values = self.chi[self.pixels[name]]
        if len(values) == 0:
            return np.nan, np.nan
        median = float(np.median(values))
        return median, float(1.4826 * np.median(np.abs(values - median)))

    def write_fits(self, path: Path) -> None:
        """The residual, the light taken away, and the distribution of chi, in three HDUs."""
        header = fits.Header() if self.image.wcs is None else self.image.wcs.to_header()
        header["BUNIT"] = "nanomaggy"
        middle = (CHI_EDGES[:-1] + CHI_EDGES[1:]) / 2
        density = [fits.Column("chi", "D", array=middle)]
        density += [fits.Column(name, "D", array=self.chi_density(name)) for name in self.pixels]
        table = fits.BinTableHDU.from_columns(density, name="CHI")
        for name in self.pixels:
            spread = zip(("MEDIAN", "SIGMA"), self.chi_spread(name), strict=True)
            for statistic, value in spread:
                if np.isfinite(value):
                    meaning = f"{statistic.lower()} of chi over {name}"
                    table.header[f"{name[:3]}{statistic[:3]}".upper()] = (value, meaning)
        model = fits.ImageHDU(self.stars + self.galaxies, header, name="MODEL")
        with replacing(path) as partial:
            fits.HDUList([fits.PrimaryHDU(self.residual, header), model, table]).writeto(partial)
