"""How many sources an image may hold, of which kinds and how faint: the prior of variant wide."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_sim.wide.survey import WIDE
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.settings import RunSettings

FAINT_SIGMAS = 4.0
"""Flux of the faintest source in units of the noise under the PSF, where it is not given: that of
prior ``many``, whose flux law ends at 0.632 nanomaggies with a noise of 0.16."""


@dataclass(frozen=True)
class Given:
    """What the user says of the sources of an image; None for what is to be found out.

    Parameters
    ----------
    density : float, optional
        Sources per arcmin^2 that are brighter than the faintest one.
    star_share : float, optional
        Share of stars among them.
    faint_magnitude : float, optional
        AB magnitude of the faintest one.

    Raises
    ------
    NpecatError
        If a value makes no sense.
    """

    density: float | None = None
    star_share: float | None = None
    faint_magnitude: float | None = None

    def __post_init__(self) -> None:
        self._refuse("density", "positive", lambda value: 0 < value < np.inf)
        self._refuse("star_share", "between 0 and 1", lambda value: 0 <= value <= 1)
        self._refuse("faint_magnitude", "a magnitude", lambda value: abs(value) < 100)

    def _refuse(self, name: str, what: str, is_good: Any) -> None:
        """Raise NpecatError unless a value is good or not given."""
        value = getattr(self, name)
        if value is not None and not is_good(value):
            raise NpecatError(f"{name} is {value}; it must be {what}", parameters=(name,))

    def check(self, settings: RunSettings) -> None:
        """Raise NpecatError if anything is given to a network that takes nothing of it."""
        for name, value in vars(self).items():
            if value is not None and not settings.is_wide:
                raise NpecatError(
                    f"a network of variant {settings.variant} takes no {name}; give one of variant "
                    "wide or leave it out",
                    parameters=(name,),
                )


NOTHING_GIVEN = Given()
"""Everything is to be found out."""


@dataclass(frozen=True, eq=False)
class Population:
    """What a network of variant wide is told of the sources of an image.

    Parameters
    ----------
    density : ndarray
        float32 (tile row, tile column): sources per pixel that are brighter than ``faint_flux``,
        within the limits of prior wide.
    star_share : ndarray
        float32 (tile row, tile column): share of stars among them.
    faint_flux : float
        Flux of the faintest one, nanomaggies.
    was : str
        Where this comes from, in words.
    """

    density: np.ndarray
    star_share: np.ndarray
    faint_flux: float
    was: str = "as given"

    @classmethod
    def even(
        cls, image: SurveyImage, given: Given, *, density: float, star_share: float
    ) -> "Population":
        """The same everywhere in an image: as given, or else of this density and star share."""
        if given.density is not None:
            density = given.density * (image.pixel_scale / 60) ** 2
        if given.star_share is not None:
            star_share = given.star_share
        shape = tuple(-(-length // TILE_SIZE) for length in image.image.shape)
        faintest = given.faint_magnitude
        if faintest is None:
            faintest = faint_magnitude(image)
        return cls(
            np.full(shape, np.clip(density, *WIDE.sources.density), np.float32),
            np.full(shape, star_share, np.float32),
            float(flux_of_magnitude(faintest)),
        )

    @property
    def mean_density(self) -> float:
        """Sources per pixel, the mean over the image."""
        return float(self.density.mean(dtype=float))

    @property
    def mean_star_share(self) -> float:
        """Share of stars, the mean over the image's sources."""
        return float(np.average(self.star_share, weights=self.density))

    def per_arcmin2(self, pixel_scale: float) -> float:
        """Sources per arcmin^2, the mean over an image whose pixels have this side in arcsec."""
        return self.mean_density * (60 / pixel_scale) ** 2

    def cards(self, pixel_scale: float) -> dict[str, Any]:
        """Keyword of at most 8 letters -> value, for the header of a catalog."""
        return {
            "FAINTMAG": round(float(magnitude(self.faint_flux)), 3),
            "DENSITY": float(f"{self.per_arcmin2(pixel_scale):.4g}"),
            "STARSHR": round(self.mean_star_share, 3),
            "PRIORWAS": self.was,
        }

    def page(self, image: SurveyImage) -> str:
        """What was told, a line to read."""
        faintest = magnitude(self.faint_flux)
        sigmas = self.faint_flux / noise_under_psf(image)
        return (
            f"{'sources':<11}{self.per_arcmin2(image.pixel_scale):.3g} an arcmin2 above "
            f"{image.band} = {faintest:.2f} ({sigmas:.3g} times the noise under the PSF), "
            f"{self.mean_star_share:.0%} of them stars; {self.was}"
        )


def noise_under_psf(image: SurveyImage) -> float:
    """Noise of the best flux of a faint star in the middle of an image, nanomaggies."""
    return image.sky_sigma / float(np.sqrt(np.sum(image.psf.stamp(PSF_SIDE) ** 2)))


def faint_magnitude(image: SurveyImage) -> float:
    """Magnitude of the faintest source that an image is to be searched for."""
    return float(magnitude(FAINT_SIGMAS * noise_under_psf(image)))
