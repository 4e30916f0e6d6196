"""What SEP is told of an image, and the settings with which it does best on such images."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from npecat_eval.baselines.star_image import StarImage
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.store.reader import Batch

DETECTION_THRESHOLD = 0.8
"""Sigmas of one pixel's noise (see docs/log.md, SEP's detection threshold): five adjacent pixels of
the filtered image above it are a source."""

FILTER_RADIUS = 7
"""Pixels: half width of the filter kernel, three sigmas of the widest PSF of SDSS."""

MIN_APERTURE = 1.75
"""Pixels: a circle of this radius replaces a Kron aperture that is smaller or undefined (the recipe
for FLUX_AUTO in SEP's documentation)."""

FILTER_SIGMAS = 3.0
"""Half width of the filter for images of prior ``wide``, sigmas of the PSF's core."""

FILTERED_THRESHOLD = 4.0
"""For images of prior ``wide``: sigmas of the filtered image above which a pixel is of a source
(see docs/log.md, SEP on images of any PSF)."""

WIDE_MIN_AREA, WIDE_CONTRAST = 1, 0.0
"""For these images, see Recipe: one pixel of the filtered image is a source, and each peak in it is
one of its own."""

APERTURE_SIGMAS = 1.25
"""For images of prior ``wide``: MIN_APERTURE in sigmas of the core of a typical PSF of SDSS; wider
PSFs have a wider circle."""


class Stars(Protocol):
    """How stars look: a Psf or a StarImage."""

    @property
    def core_sigma(self) -> float:
        """Standard deviation of a Gaussian as wide as the core, pixels."""

    def shares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel at offsets from the star, pixels."""

    def stamp(self, side: int) -> np.ndarray:
        """A star of unit flux on the middle pixel: float64 (side, side)."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """What SEP is told of one image.

    Parameters
    ----------
    noise : ndarray
        float64 (y, x), standard deviation of an empty pixel, nanomaggies.
    stars : Stars
        The PSF.
    kernel : ndarray
        float32 (side, side), the filter.
    mask : ndarray or None
        bool (y, x), pixels without information; None if all have some.
    threshold : float
        Sigmas of one pixel's noise.
    min_area : int
        Adjacent pixels above the threshold that are a source.
    contrast : float
        Least share of the light of an object that a peak must have to be one of its own.
    min_aperture : float
        Pixels, see MIN_APERTURE.
    """

    noise: np.ndarray
    stars: Stars
    kernel: np.ndarray
    mask: np.ndarray | None = None
    threshold: float = DETECTION_THRESHOLD
    min_area: int = 5
    contrast: float = 0.005
    min_aperture: float = MIN_APERTURE

    @classmethod
    def six_numbers(
        cls, background: np.ndarray, electrons_per_nmgy: float, psf: SixNumberPsf
    ) -> "Recipe":
        """The recipe for an image of the paper's priors."""
        return cls(_noise(background, electrons_per_nmgy), psf, _kernel(psf))

    @classmethod
    def wide(cls, batch: Batch, row: int) -> "Recipe":
        """The recipe for one image of a batch of prior ``wide``."""
        if batch.mask is None or batch.noise_correlation is None:
            raise ValueError("the batch is not of prior wide")
        stars = StarImage.of(batch, row)
        radius = int(np.clip(np.ceil(FILTER_SIGMAS * stars.core_sigma), 2, len(stars.told) // 2))
        kernel = stars.stamp(2 * radius + 1)
        # The noise of the filtered image, over that of a pixel.
        filtered = np.sqrt(np.sum(kernel**2)) / kernel.sum() * batch.noise_correlation[row]
        return cls(
            noise=_noise(batch.backgrounds[row], batch.electrons_per_nmgy[row]),
            stars=stars,
            kernel=kernel.astype(np.float32),
            mask=batch.mask[row] > 0,
            threshold=float(FILTERED_THRESHOLD * filtered),
            min_area=WIDE_MIN_AREA,
            contrast=WIDE_CONTRAST,
            min_aperture=max(MIN_APERTURE, APERTURE_SIGMAS * stars.core_sigma),
        )


def _noise(background: np.ndarray, electrons_per_nmgy: float) -> np.ndarray:
    """Standard deviation of empty pixels, nanomaggies: float64 of the shape of the background."""
    noise: np.ndarray = np.sqrt(background.astype(np.float64) / electrons_per_nmgy)
    return noise


@lru_cache(maxsize=1024)
def _kernel(psf: SixNumberPsf) -> np.ndarray:
    """float32 (2 FILTER_RADIUS + 1, same): the PSF at pixel centres."""
    return psf.stamp(2 * FILTER_RADIUS + 1).astype(np.float32)
