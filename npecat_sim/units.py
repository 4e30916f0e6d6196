"""Units of the whole project: flux in nanomaggies, angles in arcsec, positions in pixels.

Positions are 0-indexed pixel coordinates with the centre of the first pixel at (0, 0), as in
astropy and SEP: an image of width W covers -0.5 <= x < W - 0.5. Axes of an image are (y, x).
"""

import numpy as np

PIXEL_SCALE = 0.396
"""Arcsec per pixel of the SDSS camera (Gunn et al. 1998)."""

ZERO_POINT = 22.5
"""AB magnitude of one nanomaggy."""

NANOJANSKY_PER_NANOMAGGY = 3631.0
"""AB magnitudes have their zero at 3631 Jy (Oke & Gunn 1983), which is 1e9 nanomaggies."""


def magnitude(flux):
    """AB magnitude of a flux in nanomaggies; NaN where the flux is not positive."""
    flux = np.asarray(flux, dtype=np.float64)
    positive = np.where(flux > 0, flux, np.nan)
    return ZERO_POINT - 2.5 * np.log10(positive)


def flux_of_magnitude(magnitude):
    """Flux in nanomaggies of an AB magnitude."""
    return 10.0 ** (0.4 * (ZERO_POINT - np.asarray(magnitude, dtype=np.float64)))


def sky_sigma(sky: float, electrons_per_nmgy: float) -> float:
    """Standard deviation of the photon noise of an empty sky.

    Parameters
    ----------
    sky : float
        Level of the sky, nanomaggies per pixel.
    electrons_per_nmgy : float
        Electrons that one nanomaggy yields.

    Returns
    -------
    float
        Nanomaggies per pixel.
    """
    return float(np.sqrt(sky / electrons_per_nmgy))
