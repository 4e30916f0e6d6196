"""Flags of problems with the measurement of a source, from the pixels in its core."""

from enum import IntFlag

import numpy as np

from npecat_sim.surveys.image import PixelFlag, SurveyImage


class SourceFlag(IntFlag):
    """Bits of the column ``flags`` of a catalog.

    A bit of PixelFlag is set if it is set in any pixel of the source's core. The core is the disc
    around the source whose radius is the FWHM of the PSF; it holds about four fifths of the light
    of a star. EDGE is set if the core extends beyond the image.
    """

    NO_DATA = PixelFlag.NO_DATA
    SATURATED = PixelFlag.SATURATED
    COSMIC_RAY = PixelFlag.COSMIC_RAY
    INTERPOLATED = PixelFlag.INTERPOLATED
    EDGE = 16
    HALO = PixelFlag.HALO
    CROWDED = PixelFlag.CROWDED


def source_flags(x: np.ndarray, y: np.ndarray, *, image: SurveyImage) -> np.ndarray:
    """Compute the flags of sources of an image.

    Parameters
    ----------
    x, y : ndarray
        (source,): positions in 0-indexed pixels of the image.
    image : SurveyImage
        Image whose pixel flags and PSF are used.

    Returns
    -------
    ndarray
        int32 (source,): bits of SourceFlag.
    """
    radius = image.psf.fwhm
    reach = int(np.ceil(radius))
    step_y, step_x = np.indices((2 * reach + 1,) * 2).reshape(2, -1) - reach
    row = np.rint(y).astype(int)[:, None] + step_y
    column = np.rint(x).astype(int)[:, None] + step_x
    in_core = np.hypot(row - y[:, None], column - x[:, None]) <= radius
    height, width = image.flags.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    of_pixels = image.flags[row.clip(0, height - 1), column.clip(0, width - 1)]
    bits = np.where(inside, of_pixels, SourceFlag.EDGE) * in_core
    flags: np.ndarray = np.bitwise_or.reduce(bits, axis=1).astype(np.int32)
    return flags
