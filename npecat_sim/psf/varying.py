"""PSFs that vary over an image.

Places are 0-indexed pixels of an image: (0, 0) is the centre of its first pixel.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import RBFInterpolator

from npecat_sim.psf.base import Psf
from npecat_sim.psf.sampled import SampledPsf


class PsfMap(ABC):
    """The PSF at every place of an image."""

    is_constant: bool = False
    """Whether the PSF is the same everywhere."""

    @abstractmethod
    def at(self, x: float, y: float) -> Psf:
        """The PSF at a place.

        Parameters
        ----------
        x, y : float
            Column and row, 0-indexed pixels.
        """

    def shifted(self, x: int, y: int) -> "PsfMap":
        """The same PSFs for a part of the image.

        Parameters
        ----------
        x, y : int
            Column and row of the image that are 0 in the part.
        """
        return self if self.is_constant else _View(self, x, y)

    def scaled(self, factor: float) -> "PsfMap":
        """The map of PSFs that are `factor` times as wide, at the same places."""
        return _View(self, factor=factor)

    def check(self, where: str, shape: tuple[int, ...]) -> None:
        """Raise NpecatError unless this is a PSF in the middle and in the corners of an image.

        Parameters
        ----------
        where : str
            The object or file that has the map, for the message.
        shape : tuple of int
            Rows and columns of the image.
        """
        if self.is_constant:
            self.at(0, 0).check(where)
            return
        last_y, last_x = shape[0] - 1, shape[1] - 1
        places = [(x, y) for x in (0, last_x) for y in (0, last_y)]
        for x, y in ((last_x / 2, last_y / 2), *places):
            self.at(x, y).check(f"{where} at x = {x:g}, y = {y:g}")


@dataclass(frozen=True)
class _View(PsfMap):
    """A map seen from another first pixel, and with PSFs of another width."""

    of: PsfMap
    x: int = 0
    y: int = 0
    factor: float = 1.0

    @property
    def is_constant(self) -> bool:  # type: ignore[override]
        """Whether the PSF is the same everywhere."""
        return self.of.is_constant

    def at(self, x: float, y: float) -> Psf:
        """The PSF at a place, see PsfMap.at."""
        return self.of.at(x + self.x, y + self.y).scaled(self.factor)


@dataclass(frozen=True)
class ConstantMap(PsfMap):
    """One PSF for the whole image."""

    psf: Psf
    is_constant = True

    def at(self, x: float, y: float) -> Psf:
        """The PSF, see PsfMap.at."""
        return self.psf

    def scaled(self, factor: float) -> "ConstantMap":
        """The map of the PSF that is `factor` times as wide."""
        return ConstantMap(self.psf.scaled(factor))


@dataclass(frozen=True, eq=False)
class PolynomialMap(PsfMap):
    """Images of a PSF, added up with weights that are monomials of the place.

    The weight of image k is ``((x - zero_x) / scale_x) ** i * ((y - zero_y) / scale_y) ** j`` with
    ``i, j = powers[k]``. PSFEx and the psField files of SDSS hold such PSFs.

    Parameters
    ----------
    images : ndarray
        float64 (image, row, column): samples, up to a common factor.
    powers : ndarray
        int (image, 2): powers of x and y.
    zero, scale : tuple of float
        Of x and y, pixels.
    step : float
        Pixels between samples, see SampledPsf.
    interpolant : str
        See SampledPsf.
    """

    images: np.ndarray
    powers: np.ndarray
    zero: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    step: float = 1.0
    interpolant: str = "lanczos3"

    @property
    def is_constant(self) -> bool:  # type: ignore[override]
        """Whether the PSF is the same everywhere."""
        return not self.powers.any()

    def at(self, x: float, y: float) -> Psf:
        """The PSF at a place, see PsfMap.at."""
        place = (np.array([x, y]) - self.zero) / self.scale
        weights = (place**self.powers).prod(axis=1)
        return SampledPsf(np.tensordot(weights, self.images, 1), self.step, self.interpolant)


@dataclass(frozen=True, eq=False)
class GridMap(PsfMap):
    """Stamps of a PSF at some places, and what lies between them.

    The places may form a grid or not. Between them, stamps of unit flux are interpolated by
    radial basis functions, linear in the distance. That is linear interpolation where all places
    lie on a line; far outside, the PSF tends to the mean.

    Parameters
    ----------
    images : ndarray
        float64 (place, row, column): samples, up to a factor each.
    places : ndarray
        float64 (place, 2): x and y, all different.
    step : float
        Pixels between samples, see SampledPsf.
    interpolant : str
        See SampledPsf.
    """

    images: np.ndarray
    places: np.ndarray
    step: float = 1.0
    interpolant: str = "quintic"

    @cached_property
    def _weights(self) -> RBFInterpolator:
        """From a place to the weight of each stamp, which is 1 at its own place."""
        unit = np.eye(len(self.places))
        return RBFInterpolator(self.places, unit, kernel="linear", degree=0)

    def at(self, x: float, y: float) -> Psf:
        """The PSF at a place, see PsfMap.at."""
        weights = self._weights(np.array([[x, y]], float))[0]
        weights = weights / self.images.sum(axis=(1, 2))
        return SampledPsf(np.tensordot(weights, self.images, 1), self.step, self.interpolant)
