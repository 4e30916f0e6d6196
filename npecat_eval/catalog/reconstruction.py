"""A survey image rebuilt from its catalog, and the residual: the image minus that model.

Each source is drawn at its position with its median flux, as a star or a galaxy, whichever is more
probable. A star has the profile of the PSF. A catalog holds no shapes of galaxies, so every galaxy
is drawn with the typical shape of the prior: round, half disk and half bulge, with the medians of
the circularised radii of the prior's galaxies. This subtracts the light of a galaxy but leaves
rings and lobes, because its true shape differs. So the residual tests the sky, the noise and the
stars, and galaxies only by their total light.
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
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.light import light_of

SKY_LEVEL, SOURCE_LEVEL = 0.1, 1.0
"""Model light of a pixel, in units of the sky sigma: below the first a pixel counts as sky, above
the second as part of a source."""

CHI_EDGES = np.linspace(-6, 6, 49)
"""Edges of the bins of the distribution of chi. Pixels of an SDSS frame are whole counts of 0.16
sky sigma, which finer bins would show."""


def typical_shape() -> dict[str, float]:
    """Return the shape of every galaxy of a reconstruction, from the medians of the prior.

    Returns
    -------
    dict of str to float
        Column of GALAXY_ONLY -> value, in the units of npecat_sim.model.catalog.COLUMNS.
    """
    median = PAPER_PRIOR.shapes(np.full((len(GALAXY_ONLY), 1), 0.5))
    shape = {name: float(values[0]) for name, values in median.items()}
    for part in ("disk", "bulge"):
        shape[f"{part}_half_light_radius"] *= np.sqrt(shape[f"{part}_axis_ratio"])
        shape[f"{part}_axis_ratio"] = 1.0
    return shape


@dataclass(frozen=True)
class Reconstruction:
    """An image and the light of the stars and galaxies of its catalog.

    Parameters
    ----------
    image : SurveyImage
        Image with the PSF that was used.
    stars, galaxies : ndarray
        float32 (y, x), nanomaggies per pixel: light of all stars and of all galaxies.
    """

    image: SurveyImage
    stars: np.ndarray
    galaxies: np.ndarray

    @classmethod
    def of(cls, image: SurveyImage, detections: Detections) -> Self:
        """Draw the sources of a catalog of the image.

        Parameters
        ----------
        image : SurveyImage
            Image with the PSF of its sources, as of SurveyCatalog.
        detections : Detections
            Sources of this one image.

        Returns
        -------
        Reconstruction
        """
        galaxy = detections.prob_galaxy > GALAXY_THRESHOLD
        shape = typical_shape()
        drawn = []
        for chosen in (~galaxy, galaxy):
            sources = {name: getattr(detections, name)[chosen] for name in ("x", "y", "flux")}
            sources["is_galaxy"] = galaxy[chosen]
            sources |= {name: np.full(chosen.sum(), value) for name, value in shape.items()}
            drawn.append(light_of(sources, image))
        return cls(image, *drawn)

    @cached_property
    def residual(self) -> np.ndarray:
        """float32 (y, x), nanomaggies per pixel: image minus all sources."""
        residual: np.ndarray = self.image.image - self.stars - self.galaxies
        return residual

    @cached_property
    def chi(self) -> np.ndarray:
        """float32 (y, x): the residual divided by the noise of sky and sources."""
        light = np.maximum(self.stars + self.galaxies, 0)
        chi: np.ndarray = self.residual * np.sqrt(
            np.float32(self.image.electrons_per_nmgy) / (self.image.background + light)
        )
        return chi

    @cached_property
    def pixels(self) -> dict[str, np.ndarray]:
        """Class of pixels (sky, stars, galaxies) -> bool (y, x); flagged pixels are in none."""
        sigma = np.sqrt(self.image.background / self.image.electrons_per_nmgy)
        light, unflagged = self.stars + self.galaxies, self.image.flags == 0
        source = (light > SOURCE_LEVEL * sigma) & unflagged
        return {
            "sky": (light < SKY_LEVEL * sigma) & unflagged,
            "stars": source & (self.stars >= self.galaxies),
            "galaxies": source & (self.stars < self.galaxies),
        }

    def chi_density(self, name: str) -> np.ndarray:
        """Compute the density of chi over one class of pixels.

        Parameters
        ----------
        name : str
            Key of ``pixels``.

        Returns
        -------
        ndarray
            float64 (bin,), in the bins of CHI_EDGES; 0 if there is no pixel. Pixels beyond the
            edges count in the normalisation.
        """
        values = self.chi[self.pixels[name]]
        count, _ = np.histogram(values, CHI_EDGES)
        return count / max(len(values), 1) / np.diff(CHI_EDGES)

    def chi_spread(self, name: str) -> tuple[float, float]:
        """Compute the median and the robust standard deviation of chi over one class of pixels.

        Parameters
        ----------
        name : str
            Key of ``pixels``.

        Returns
        -------
        median, sigma : float
            sigma is 1.4826 times the median absolute deviation. NaN if there is no pixel.
        """
        values = self.chi[self.pixels[name]]
        if len(values) == 0:
            return np.nan, np.nan
        median = float(np.median(values))
        return median, float(1.4826 * np.median(np.abs(values - median)))

    def write_fits(self, path: Path) -> None:
        """Write residual, model and distribution of chi to a FITS file, in this order of HDUs.

        Parameters
        ----------
        path : Path
            File to write.

        Raises
        ------
        NpecatError
            If it cannot be written.
        """
        header = self.image.header
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
