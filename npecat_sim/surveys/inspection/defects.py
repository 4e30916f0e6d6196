"""Pixels that show no sky: constant blocks, single hot or dead pixels, flat tops."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import label, maximum_filter, median_filter, minimum_filter

CONSTANT = 5
"""Pixels along each side of a square of one value that cannot be sky: noise repeats no value 25
times, unless the image was digitised in steps of several of its sigmas."""

MAX_ZEROS = 20
"""Maximum number of pixels that are exactly 0 by chance in an image of real numbers."""

ZEROS_EXCESS = 5
"""Number of exact zeros over that of the next larger number and its negative, above which zeros are
no chance. It is about 0.5 in images whose numbers come in steps, as those with a BSCALE."""

HOT_SIGMAS, DEAD_SIGMAS = 12.0, 8.0
"""Noise sigmas above and below the sky from which a single pixel can be told from a star."""

NARROW_SHARE = 0.25
"""Share of its light that a pixel at the centre of a star has at least in common with the brightest
of its four neighbours; it is .42 for a Gaussian whose FWHM is 1.8 pixels."""

FLAT_TOP = 6
"""Minimum number of adjacent pixels within FLAT_RANGE of the brightest that are a flat top. A star
of 10 pixels FWHM has two."""

FLAT_RANGE = 0.02
"""Relative range of the pixels of a flat top; flat fields spread it by 1 to 2 %."""

FEW = 0.02
"""Share of the pixels up to which a median around each of them is quicker than a filter."""

MIN_TOP_SIGMAS = 100.0
"""Noise sigmas above the sky below which nothing is taken for saturated."""


def constant_blocks(pixels: np.ndarray, *, ceiling: float) -> np.ndarray:
    """Pixels in squares of one value, and exact zeros among real numbers.

    Stacks, drizzled images and chip gaps are filled with zeros or another number.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x), as they were read.
    ceiling : float
        Level of saturation, above which a constant is a star's core; infinite if unknown.

    Returns
    -------
    ndarray
        bool (y, x).
    """
    same = minimum_filter(pixels, CONSTANT) == maximum_filter(pixels, CONSTANT)
    if same.any():
        same = maximum_filter(same, CONSTANT)
    zero = pixels == 0
    if zero.sum() > MAX_ZEROS and not zero.all():
        size = np.abs(pixels)
        least = np.min(size, where=~zero, initial=np.inf)
        is_real = least != np.rint(least)
        if is_real and zero.sum() > ZEROS_EXCESS * (size == least).sum():
            same |= zero
    result: np.ndarray = same & (pixels < ceiling)
    return result


def single_pixels(residual: np.ndarray, *, sigma: float, hidden: np.ndarray) -> np.ndarray:
    """Hot and dead pixels: too bright for their neighbours to be a star, or far below the sky.

    A dead one must be as far below the pixels around it, so that a sky that is measured too high
    makes none.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    sigma : float
        Noise of a pixel, in the same unit.
    hidden : ndarray
        bool (y, x): pixels without data.

    Returns
    -------
    ndarray
        bool (y, x).
    """
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    brightest = maximum_filter(residual, footprint=cross)
    hot = (residual > HOT_SIGMAS * sigma) & (brightest + 2 * sigma < NARROW_SHARE * residual)
    dead = residual < -DEAD_SIGMAS * sigma
    dead[dead] = residual[dead] - _medians(residual, dead, 5) < -DEAD_SIGMAS * sigma
    result: np.ndarray = (hot | dead) & ~hidden
    return result


def filled(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """The image with its bad pixels replaced by the median of the 5 x 5 pixels around each."""
    result = pixels.copy()
    result[bad] = _medians(pixels, bad, 5)
    return result


def flat_top_level(pixels: np.ndarray, residual: np.ndarray, *, sigma: float) -> float | None:
    """The level at which the brightest pixels pile up, or None if they do not.

    Parameters
    ----------
    pixels, residual : ndarray
        float32 (y, x), before and after the sky was subtracted.
    sigma : float
        Noise of a pixel.

    Returns
    -------
    float or None
        The faintest pixel of the flat tops, before the sky was subtracted.
    """
    bright = residual >= MIN_TOP_SIGMAS * sigma
    if not bright.any():
        return None
    top = float(_medians(residual, bright, 3).max())  # no single hot pixel
    if top < MIN_TOP_SIGMAS * sigma:
        return None
    high = np.abs(residual - top) <= FLAT_RANGE * top
    groups, n_groups = label(high)
    if n_groups == 0 or np.bincount(groups.ravel())[1:].max() < FLAT_TOP:
        return None
    return float(pixels[high].min())


def _medians(image: np.ndarray, at: np.ndarray, size: int) -> np.ndarray:
    """Medians of the squares of `size` pixels around some pixels, (pixel,)."""
    if at.mean() > FEW:
        everywhere: np.ndarray = median_filter(image, size)[at]
        return everywhere
    windows = sliding_window_view(np.pad(image, size // 2, mode="symmetric"), (size, size))
    medians: np.ndarray = np.median(windows[at].reshape(-1, size**2), axis=1)
    return medians
