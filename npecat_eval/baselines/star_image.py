"""Stars of an image of prior ``wide`` wherever they lie in their pixels.

A store tells the PSF at whole pixels. To interpolate between these the image of a narrow star errs
by some per cent, so a profile that is close to it is interpolated exactly, and only what it differs
by from pixel to pixel. The profile is that of the store where there is one, else the best Moffat
profile.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter
from scipy.optimize import least_squares

from npecat_sim.psf.base import SIGMA_TO_FWHM
from npecat_sim.psf.parametric import PROFILES, ParametricPsf
from npecat_sim.store.reader import Batch
from npecat_sim.wide.conditions import KINDS

STEPS = 4
"""Nodes of the table per pixel. At an FWHM of 1.5 px its splines err by 1e-3 of the peak."""

FITTED_SIDE = 21
"""Pixels: side of the middle of the PSF to which a Moffat profile is fitted."""

BOUNDS = np.array([[0.5, -0.6, -0.6, 1.2], [20.0, 0.6, 0.6, 20.0]])
"""Least and greatest width (pixels), g1, g2 and beta of that profile."""


@dataclass(frozen=True, eq=False)
class StarImage:
    """The recorded image of a star of unit flux, at any offset.

    Parameters
    ----------
    told : ndarray
        float64 (side, side), the image at whole pixels, the star on the middle one.
    profile : ParametricPsf
        A PSF that is close to it.
    """

    told: np.ndarray
    profile: ParametricPsf

    @classmethod
    def of(cls, batch: Batch, row: int) -> Self:
        """The stars of one image of a batch of prior ``wide``."""
        if batch.psf is None or batch.psf_kind is None or batch.psf_shape is None:
            raise ValueError("the batch is not of prior wide")
        told = batch.psf[row].astype(np.float64)
        name = KINDS[batch.psf_kind[row]]
        if name in PROFILES:
            width, g1, g2, beta = map(float, batch.psf_shape[row])
            return cls(told, ParametricPsf(name, width, g1, g2, beta or ParametricPsf.beta))
        return cls(told, _best_moffat(told))

    @property
    def core_sigma(self) -> float:
        """Standard deviation of a Gaussian as wide as the core, pixels."""
        return float(np.hypot(self.profile.width / SIGMA_TO_FWHM, 12**-0.5))

    def stamp(self, side: int) -> np.ndarray:
        """The middle of the image at whole pixels: float64 (side, side)."""
        cut = (len(self.told) - side) // 2
        middle: np.ndarray = self.told[cut : cut + side, cut : cut + side]
        return middle

    def shares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel, see Psf.shares; 0 beyond the table."""
        middle = len(self.told) // 2
        at = STEPS * (np.stack(np.broadcast_arrays(y, x)) + middle)
        shares: np.ndarray = map_coordinates(self._coefficients, at, prefilter=False)
        return shares

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """Coefficients of the splines through the image at STEPS nodes per pixel."""
        side = len(self.told)
        node = np.arange(STEPS * (side - 1) + 1) / STEPS
        y, x = np.meshgrid(node - side // 2, node - side // 2, indexing="ij")
        rest = self.told - self.profile.stamp(side)
        between = map_coordinates(rest, np.meshgrid(node, node, indexing="ij"), mode="nearest")
        coefficients: np.ndarray = spline_filter(self.profile.shares(x, y) + between)
        return coefficients


def _best_moffat(told: np.ndarray) -> ParametricPsf:
    """The Moffat profile that is closest to the middle of a PSF at whole pixels."""
    cut = (len(told) - FITTED_SIDE) // 2
    middle = told[cut : cut + FITTED_SIDE, cut : cut + FITTED_SIDE]
    width = np.sqrt(4 * np.log(2) / np.pi / middle.max())
    start = np.clip([width, 0.0, 0.0, 3.0], *BOUNDS)

    def difference(numbers: np.ndarray) -> np.ndarray:
        """By how much the profile with these numbers differs, in units of the peak."""
        image = ParametricPsf("moffat", *map(float, numbers)).stamp(FITTED_SIDE)
        departure: np.ndarray = (image - middle).ravel() / middle.max()
        return departure

    found = least_squares(difference, start, bounds=BOUNDS, xtol=1e-4, ftol=1e-4)
    return ParametricPsf("moffat", *map(float, found.x))
