"""What prior ``wide`` may draw: the telescopes, skies, sources and defects of a survey.

A Survey is written as a TOML file, in which each quantity is one number or ``[low, high]``, see
survey_file.py. What a file leaves out is drawn as in WIDE.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.images import ImageTable
from npecat_sim.io.plain import from_plain
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.psf.base import SIGMA_TO_FWHM
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_sim.wide.sections import (
    DEPTHS,
    MAX_DENSITY,
    Artifacts,
    Detector,
    PsfLaws,
    Quantity,
    Range,
    Sky,
    Sources,
)


@dataclass(frozen=True)
class Survey:
    """Everything that prior ``wide`` may draw.

    Parameters
    ----------
    name, band : str
        What the survey is called, for the reader.
    pixel_scale : tuple of float
        Arcsec per pixel.
    sdss_share : float
        Share of images that are as those of prior ``many``, whatever else is given.
    psf, detector, sky, sources, artifacts
        The sections of a file.
    """

    name: str = "wide"
    band: str = ""
    pixel_scale: Annotated[Range, Quantity("arcsec", 0.05, 20)] = (0.15, 1.2)
    sdss_share: Annotated[float, Quantity("", 0, 1)] = 0.0
    psf: PsfLaws = field(default_factory=PsfLaws)
    detector: Detector = field(default_factory=Detector)
    sky: Sky = field(default_factory=Sky)
    sources: Sources = field(default_factory=Sources)
    artifacts: Artifacts = field(default_factory=Artifacts)

    @cached_property
    def catalog_prior(self) -> CatalogPrior:
        """The laws of flux and size, at the greatest density."""
        magnitude_told = self.sources.faint_magnitude
        law = self.sources.star_flux
        faintest = law.loc + law.scale
        return self.catalog_prior_to(
            faintest if magnitude_told is None else float(flux_of_magnitude(magnitude_told))
        )

    def catalog_prior_to(self, faint_flux: float) -> CatalogPrior:
        """The laws of flux and size, at the greatest density.

        Parameters
        ----------
        faint_flux : float
            Flux of the faintest star, nanomaggies: the laws of flux are scaled to it.

        Returns
        -------
        CatalogPrior
        """
        law = self.sources
        factor = faint_flux / (law.star_flux.loc + law.star_flux.scale)
        star, galaxy = [
            replace(one, loc=one.loc * factor, scale=one.scale * factor)
            for one in (law.star_flux, law.galaxy_flux)
        ]
        return CatalogPrior(
            density=self.density(max(self.pixel_scale))[1],
            star_flux=star,
            galaxy_flux=galaxy,
            disk_radius=law.disk_radius,
            bulge_radius=law.bulge_radius,
        )

    @property
    def faint_flux(self) -> float:
        """Flux of the faintest star, nanomaggies."""
        law = self.catalog_prior.star_flux
        return law.loc + law.scale

    def density(self, pixel_scale: float) -> Range:
        """Least and greatest density at a pixel scale (arcsec), sources per pixel."""
        if self.sources.per_arcmin2 is None:
            return self.sources.density
        low, high = self.sources.per_arcmin2
        area = (pixel_scale / 60) ** 2
        return low * area, high * area

    def width(self, pixel_scale: float) -> Range:
        """Least and greatest width of the PSF at a pixel scale (arcsec), pixels."""
        (low, high), (narrow, wide) = self.psf.width, self.psf.fwhm
        return max(low, narrow / pixel_scale), min(high, wide / pixel_scale)

    def to_plain(self) -> dict[str, Any]:
        """The survey as plain types, for the attributes of a store."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> Self:
        """Inverse of to_plain; ValueError if a value is missing or of another type."""
        return from_plain(cls, content)

    def check(self, where: str) -> None:
        """Raise NpecatError unless the survey can be drawn.

        Parameters
        ----------
        where : str
            The file of the survey, for the message.

        Raises
        ------
        NpecatError
            It names `where`, the key and what to do.
        """
        given = [self.detector.zero_point, self.detector.gain, self.sky.brightness]
        if any(given) and not all(given):
            raise NpecatError(
                f"{where}: [detector] zero_point, [detector] gain and [sky] brightness go "
                "together; give all three or none"
            )
        if self.detector.saturation and not self.detector.gain:
            raise NpecatError(f"{where}: [detector] saturation is in counts; give the gain as well")
        for scale in self.pixel_scale:
            low, high = self.width(scale)
            if low > high:
                raise NpecatError(
                    f"{where}: with pixels of {scale:g} arcsec no [psf] fwhm of "
                    f"{self.psf.fwhm[0]:g} to {self.psf.fwhm[1]:g} arcsec is "
                    f"{self.psf.width[0]:g} to {self.psf.width[1]:g} pixels wide; give others"
                )
        self._check_density(where)
        self._check_depth(where)

    def of_images(self, images: ImageTable, where: str) -> Self:
        """The survey for the telescope of one's own images, which tell the pixels as well.

        Parameters
        ----------
        images : ImageTable
            The images.
        where : str
            The file that they are from, for the message.

        Returns
        -------
        Survey
            No image of it is as of prior ``many``.

        Raises
        ------
        NpecatError
            If its sources are too dense for the pixels, or too faint or too bright for the noise,
            of an image.
        """
        pixels = float(images.pixel_scale.min()), float(images.pixel_scale.max())
        survey = replace(self, pixel_scale=pixels, sdss_share=0.0)
        survey._check_density(where)
        if self.sources.faint_magnitude is not None:
            for row, name in enumerate(images.name):
                white = images.noise_under_psf(row) / float(images.correlation[row])
                survey._refuse_depth(white, f"{where}, {name}", "")
        return survey

    def _check_density(self, where: str) -> None:
        """Raise NpecatError if there may be more sources a pixel than MAX_DENSITY."""
        if self.catalog_prior.density > MAX_DENSITY:
            raise NpecatError(
                f"{where}: [sources] per_arcmin2 makes {self.catalog_prior.density:.2g} sources a "
                f"pixel; give at most {MAX_DENSITY / (max(self.pixel_scale) / 60) ** 2:.3g}"
            )

    def _check_depth(self, where: str) -> None:
        """Raise NpecatError if the faintest source is far outside DEPTHS in a typical image."""
        detector, brightness = self.detector, self.sky.brightness
        if not (detector.zero_point and detector.gain and brightness):
            return
        scale, gain, read = map(_middle, (self.pixel_scale, detector.gain, detector.read_noise))
        width = _middle(self.width(scale))
        per_nmgy = gain / flux_of_magnitude(_middle(detector.zero_point))
        sky = flux_of_magnitude(_middle(brightness)) * scale**2 * per_nmgy
        # Effective pixels of a Gaussian, and one for the response of the pixel.
        pixels = 4 * np.pi * (width / SIGMA_TO_FWHM) ** 2 + 1
        noise = float(np.sqrt((sky + read**2) * pixels)) / per_nmgy
        self._refuse_depth(noise, where, ", or mend zero_point, gain or brightness")

    def _refuse_depth(self, noise: float, where: str, other: str) -> None:
        """Raise NpecatError if the faintest source is far outside DEPTHS of a noise (nmgy)."""
        depth = noise / self.faint_flux
        if not DEPTHS[0] < depth < DEPTHS[1]:
            bright, faint = [magnitude(noise / limit) for limit in DEPTHS]
            raise NpecatError(
                f"{where}: the faintest source has {1 / depth:.2g} sigma of the noise under the "
                f"PSF; give [sources] faint_magnitude from {bright:.1f} to {faint:.1f}{other}"
            )


def _middle(limits: Range) -> float:
    """The geometric mean of a range, or the mean if it begins at 0."""
    low, high = limits
    return float(np.sqrt(low * high)) if low else (low + high) / 2


def _plain(value: Any) -> Any:
    """Nested values with lists in place of tuples, as JSON gives them."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


WIDE = Survey(sdss_share=0.2, sources=Sources(only_stars=0.15))
"""The survey of prior ``wide`` itself: any ground-based telescope. Real skies have 5e-5 sources a
pixel (finely sampled, at high latitude) to 2e-2 (crowded fields of the Milky Way), and the catalogs
of a crowded field hold stars alone."""
