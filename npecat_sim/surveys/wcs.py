"""Celestial coordinates and scale of the pixels of an image."""

import warnings

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError

MAX_SIDE_DIFFERENCE = 0.01
"""Maximum relative difference of the sides of a pixel; those of SDSS differ by 0.05 %."""

ARCSEC_PER_DEGREE = 3600


def celestial_wcs(header: fits.Header) -> WCS | None:
    """The celestial coordinates in the header of a two-dimensional image; None if it has none.

    Raises
    ------
    NpecatError
        If the coordinates cannot be read or the pixels are not square.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # old keywords, as SDSS's RADECSYS
            wcs = WCS(header)
            if not wcs.has_celestial:
                return None
            wcs = wcs.celestial
            corner = wcs.pixel_to_world_values(0, 0)
    except Exception as error:  # wcslib and its wrapper raise many kinds
        reason = " ".join(str(error).split())
        raise NpecatError(f"the header's WCS cannot be read ({reason})") from error
    sides = _sides(wcs)
    if not (np.isfinite(sides).all() and sides.min() > 0 and np.isfinite(corner).all()):
        raise NpecatError("the header's WCS gives pixels no place on the sky")
    if sides.max() > (1 + MAX_SIDE_DIFFERENCE) * sides.min():
        height, width = sides
        raise NpecatError(
            f"pixels are not square: by the header's WCS they measure {width:.4g} by "
            f"{height:.4g} arcsec"
        )
    return wcs


def pixel_scale(wcs: WCS) -> float:
    """Arcsec per pixel at the reference pixel."""
    return float(_sides(wcs).mean())


def _sides(wcs: WCS) -> np.ndarray:
    """Half axes on the sky of a circle of one pixel radius: float64 (2,), arcsec, smaller first.

    They also differ if the axes of the image are not at right angles.
    """
    matrix = wcs.pixel_scale_matrix
    if not np.isfinite(matrix).all():
        return np.full(2, np.nan)
    return np.linalg.svd(matrix, compute_uv=False)[::-1] * ARCSEC_PER_DEGREE
