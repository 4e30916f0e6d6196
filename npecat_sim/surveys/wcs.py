"""Where the pixels of an image lie on the sky."""

import warnings

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError

SQUARE = 0.01
"""Most that the sides of a pixel may differ by, as a share; SDSS's differ by 0.05 %."""

ARCSEC_PER_DEGREE = 3600


def celestial_wcs(header: fits.Header) -> WCS | None:
    """The celestial coordinates of a two-dimensional image, None where the header has none.

    Raises NpecatError unless they can be read and pixels are square.
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
    if sides.max() > (1 + SQUARE) * sides.min():
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
    """float64 (2,), arcsec: half axes of the ellipse that a circle of one pixel radius becomes.

    They also differ where axes are not at right angles.
    """
    matrix = wcs.pixel_scale_matrix
    if not np.isfinite(matrix).all():
        return np.full(2, np.nan)
    return np.linalg.svd(matrix, compute_uv=False)[::-1] * ARCSEC_PER_DEGREE
