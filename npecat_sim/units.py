"""Units of the whole project: flux in nanomaggies, angles in arcsec, positions in pixels.

Positions are 0-indexed pixel coordinates with the centre of the first pixel at (0, 0), as in
astropy and SEP: an image of width W covers -0.5 <= x < W - 0.5. Axes of an image are (y, x).
"""

from collections.abc import Sequence
from typing import overload

import numpy as np

PIXEL_SCALE = 0.396
"""Arcsec per pixel of the SDSS camera (Gunn et al. 1998)."""

ZERO_POINT = 22.5
"""AB magnitude of one nanomaggy."""

NANOJANSKY_PER_NANOMAGGY = 3631.0
"""The zero point of AB magnitudes is 3631 Jy (Oke & Gunn 1983), which is 1e9 nanomaggies."""


@overload
def magnitude(flux: float) -> float: ...


@overload
def magnitude(flux: np.ndarray | Sequence[float]) -> np.ndarray: ...


def magnitude(flux: float | np.ndarray | Sequence[float]) -> float | np.ndarray:
    """AB magnitude of a flux in nanomaggies; NaN where the flux is not positive.

    Parameters
    ----------
    flux : float or array_like
        Fluxes of any shape, nanomaggies.

    Returns
    -------
    float or ndarray
        float64 magnitudes of the same shape.
    """
    flux = np.asarray(flux, dtype=np.float64)
    positive = np.where(flux > 0, flux, np.nan)
    result: float | np.ndarray = ZERO_POINT - 2.5 * np.log10(positive)
    return result


@overload
def flux_of_magnitude(magnitude: float) -> float: ...


@overload
def flux_of_magnitude(magnitude: np.ndarray | Sequence[float]) -> np.ndarray: ...


def flux_of_magnitude(magnitude: float | np.ndarray | Sequence[float]) -> float | np.ndarray:
    """Flux in nanomaggies of an AB magnitude.

    Parameters
    ----------
    magnitude : float or array_like
        AB magnitudes of any shape.

    Returns
    -------
    float or ndarray
        float64 fluxes of the same shape, nanomaggies.
    """
    flux: float | np.ndarray = 10.0 ** (0.4 * (ZERO_POINT - np.asarray(magnitude, np.float64)))
    return flux


def sky_sigma(sky: float, electrons_per_nmgy: float) -> float:
    """Standard deviation of the photon noise of an empty sky.

    Parameters
    ----------
    sky : float
        Level of the sky, nanomaggies per pixel.
    electrons_per_nmgy : float
        Electrons per nanomaggy.

    Returns
    -------
    float
        Nanomaggies per pixel.
    """
    return float(np.sqrt(sky / electrons_per_nmgy))
