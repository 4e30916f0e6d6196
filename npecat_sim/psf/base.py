"""What every point-spread function offers, whatever its kind."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import galsim

SIGMA_TO_FWHM = float(np.sqrt(8 * np.log(2)))
"""FWHM of a Gaussian over its standard deviation."""

ANGLES = np.pi * np.arange(8) / 8
"""Position angles along which the width of a PSF is measured, radians."""

RADIUS_STEP = 0.05
"""Steps of the radius in a search for the half maximum, pixels; between them it is interpolated."""


class Psf(ABC):
    """The image of a star of unit flux, as it is recorded: the response of the pixel is in it.

    A kind of PSF is immutable, and equal PSFs have equal hashes. Lengths are in pixels.
    """

    @abstractmethod
    def shares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel.

        Parameters
        ----------
        x, y : ndarray
            Offsets of the pixel's centre from the star, pixels, of any shape.

        Returns
        -------
        ndarray
            float64 of the same shape.
        """

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """The PSF `factor` times as wide."""

    @abstractmethod
    def check(self, where: str) -> None:
        """Raise NpecatError, naming `where` and what is wrong, unless this is a PSF."""

    @abstractmethod
    def galsim_profile(self, gsparams: "galsim.GSParams") -> "galsim.GSObject":
        """The PSF as a GalSim profile in pixel units, which is drawn with ``method="no_pixel"``.

        Parameters
        ----------
        gsparams : galsim.GSParams
            Accuracy.
        """

    @cached_property
    def fwhm(self) -> float:
        """Full width at half maximum, pixels: the mean over position angles."""
        peak = self.shares(np.zeros(1), np.zeros(1))[0]
        reach = 8.0
        while True:
            radius = np.arange(0, reach, RADIUS_STEP)
            along = np.exp(1j * ANGLES)[:, None] * radius
            both = np.stack([along, -along])
            shares = self.shares(both.real, both.imag)
            is_below = shares < peak / 2
            if is_below.any(axis=-1).all():
                break
            reach *= 2
        after = is_below.argmax(axis=-1)[..., None]
        high, low = [np.take_along_axis(shares, at, axis=-1) for at in (after - 1, after)]
        steps = after - 1 + (high - peak / 2) / (high - low)
        return float(2 * RADIUS_STEP * steps.mean())

    @property
    def core_sigma(self) -> float:
        """Standard deviation of a Gaussian as wide as the core, pixels."""
        return self.fwhm / SIGMA_TO_FWHM

    def stamp(self, side: int) -> np.ndarray:
        """A star of unit flux in the middle of a square of pixels.

        Parameters
        ----------
        side : int
            Pixels along each side, an odd number.

        Returns
        -------
        ndarray
            float64 (side, side), axes (y, x).
        """
        offset = np.arange(side) - (side - 1) / 2
        y, x = np.meshgrid(offset, offset, indexing="ij")
        return self.shares(x, y)
