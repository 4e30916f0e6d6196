"""The noise of an image: of a pixel, of a star's flux, and from place to place.

Second differences of neighbouring pixels hold next to no light of stars that are two pixels wide or
wider, so they show the noise of a pixel even in a crowd. Over both axes they weigh the highest
frequencies, over one axis also lower ones. Where the first are weaker than the second, neighbouring
pixels share noise: the image was resampled, which lowers the noise of a pixel but not that of a
flux. Then the noise is measured in the image filtered with the PSF, where there are no sources.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, median_filter, uniform_filter
from scipy.signal import fftconvolve

from npecat_sim.psf.base import Psf

WHITE_RATIO = 0.85
"""Noise at the highest frequencies over that at lower ones, below which pixels share noise. It is 1
for white noise; .45 for an image shifted by half a pixel, .39 for one smoothed by a Gaussian of
0.7 pixels, and .94 to 1.05 for eight raw or calibrated frames of six cameras."""

FAINT_LIGHT = 1.18
"""Noise under the PSF over that of a pixel, up to which the excess is the light of sources too
faint to be detected: 1.16 in an SDSS frame, whose noise is white. Beyond, the image has structure
on the scale of stars, such as fringes, and this part of it counts as noise."""

CROWDED_SHARE = 0.5
"""Share of pixels with light of sources above which there is no blank sky to filter."""

MAX_ASYMMETRY = 1.5
"""Ratio of the upper to the lower spread of blank sky under the PSF, above which it holds the light
of a crowd: 3.1 at 1.5e-2 stars a pixel; .99 to 1.17 in eight frames of six cameras."""

MIN_BLANK = 0.1
"""Minimum share of pixels without detected light; with less, the fainter half of the image is
taken for the noise of a pixel."""

BLOCK = 16
"""Pixels along each side of the cells in which the noise is measured from place to place."""

SMOOTHING = 5
"""Cells along each side of a median that smooths the map to 2 % and keeps its edges."""

LOCAL_CHANGE = 0.12
"""Departure from the noise of the whole image, above which a cell has its own: six times the error
of the smoothed map."""

MIN_CLEAN = 0.25
"""Minimum share of the pixels of a cell that its noise is measured from."""

SIGMA_OF_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

SECOND, SMOOTH = (1.0, -2.0, 1.0), (1.0, 2.0, 1.0)
"""Weights of three neighbouring pixels along one axis; the sum of squares of both is 6."""


@dataclass(frozen=True)
class Noise:
    """Noise of a sky-subtracted image.

    Parameters
    ----------
    pixel : float
        Standard deviation in a pixel of blank sky.
    under_psf : float
        Noise of a pixel of white noise with which the flux of a faint star would have the error
        that it has; NaN in a crowd, where it cannot be measured.
    is_white : bool
        Whether neighbouring pixels have independent noise.
    cells : ndarray
        float32 (row, column): noise of each BLOCK x BLOCK pixels over that of the whole image; 1
        where it is not other.
    """

    pixel: float
    under_psf: float
    is_white: bool
    cells: np.ndarray

    @property
    def sigma(self) -> float:
        """The noise with which a network that knows white noise is to read the image."""
        if not self.is_white and np.isfinite(self.under_psf):
            return self.under_psf
        return float(np.fmax(self.pixel, self.under_psf / FAINT_LIGHT))

    @property
    def correlation(self) -> float:
        """That noise over the noise of a pixel: 1 for white noise."""
        return max(self.sigma / self.pixel, 1.0)


def over_pixels(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of every pixel over that of the whole image: float32 of that shape, see Noise.cells."""
    full = cells.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    missing = [(0, max(n - m, 0)) for n, m in zip(shape, full.shape, strict=True)]
    height, width = shape
    whole: np.ndarray = np.pad(full, missing, mode="edge")[:height, :width]
    return whole


def measure_noise(residual: np.ndarray, *, hidden: np.ndarray, lit: np.ndarray, psf: Psf) -> Noise:
    """Measure the noise of a sky-subtracted image.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    hidden : ndarray
        bool (y, x): pixels without data.
    lit : ndarray
        bool (y, x): pixels with light of sources.
    psf : Psf
        PSF whose star's flux is meant.

    Returns
    -------
    Noise
        In the unit of the image.
    """
    blank = ~(lit | hidden)
    used = blank if blank.mean() > MIN_BLANK else _fainter_half(residual, hidden)
    differences = _differences(residual)
    inner = np.s_[1:-1, 1:-1]
    clean = used[inner] & all_seen(hidden)
    cells = _cells(differences, clean)
    ordinary = over_pixels(cells, residual.shape) == 1
    blank, used, clean = blank & ordinary, used & ordinary, clean & ordinary[inner]
    highest, lower = _pixel_noise(differences, clean)
    is_white = highest > WHITE_RATIO * lower
    under_psf = np.nan
    if lit[~hidden].mean() < CROWDED_SHARE:
        under_psf = _under_psf(residual, blank, psf, is_white=is_white)
    if not is_white:
        pixel = _spread(residual[used])
    elif np.isnan(under_psf):  # light of a crowd reaches the lower frequencies
        pixel = highest
    else:
        pixel = float(np.sqrt((highest**2 + 2 * lower**2) / 3))
    return Noise(pixel, under_psf, is_white, cells)


def first_noise(residual: np.ndarray, hidden: np.ndarray) -> float:
    """The noise of the whole image before sources are known, for a threshold of detection."""
    clean = all_seen(hidden)
    highest, lower = _pixel_noise(_differences(residual), clean)
    if highest > WHITE_RATIO * lower:
        return lower
    shared = 3 * uniform_filter(residual, 3)[1:-1, 1:-1][clean]  # white noise would keep its spread
    return _spread(shared - np.median(shared))


def all_seen(hidden: np.ndarray) -> np.ndarray:
    """Whether none of the 3 x 3 pixels around a pixel is hidden: bool (y - 2, x - 2)."""
    seen: np.ndarray = ~maximum_filter(hidden, 3)[1:-1, 1:-1]
    return seen


def _pixel_noise(differences: tuple[np.ndarray, ...], clean: np.ndarray) -> tuple[float, float]:
    """Noise of a pixel from the highest frequencies, and from those of one axis or both."""
    highest, *others = [_spread(part[clean]) for part in differences]
    return highest, float(np.sqrt(np.mean(np.square(others))))


def _differences(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Second differences along both axes, and along each with a smoothing along the other.

    Each float32 (y - 2, x - 2), with the standard deviation of white noise.
    """

    def along_y(weights: tuple[float, ...], part: np.ndarray) -> np.ndarray:
        first, middle, last = weights
        combined: np.ndarray = first * part[:-2] + middle * part[1:-1] + last * part[2:]
        return combined

    second, smooth = along_y(SECOND, image).T, along_y(SMOOTH, image).T
    return tuple(  # type: ignore[return-value]
        (along_y(weights, part) / 6).T
        for part, weights in ((second, SECOND), (second, SMOOTH), (smooth, SECOND))
    )


def _spread(values: np.ndarray) -> float:
    """The robust standard deviation of values whose mean is 0; NaN if there is none."""
    return SIGMA_OF_MAD * float(np.median(np.abs(values))) if len(values) else np.nan


def _fainter_half(residual: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The half of the pixels with data that have the least light: bool (y, x)."""
    smooth = median_filter(residual, 5)
    faint: np.ndarray = (smooth <= np.median(smooth[~hidden])) & ~hidden
    return faint


def _under_psf(residual: np.ndarray, blank: np.ndarray, psf: Psf, *, is_white: bool) -> float:
    """Robust standard deviation of blank sky filtered with the PSF, as that of a white pixel.

    NaN in a crowd, where stars that are too faint to be detected spread it to one side.
    """
    reach = int(np.ceil(2 * psf.fwhm))
    kernel = psf.stamp(2 * reach + 1).astype(np.float32)
    filtered = fftconvolve(residual * blank, kernel, mode="same")
    # Where part of the kernel lies on hidden or lit pixels there is less noise in it.
    weight = fftconvolve(blank.astype(np.float32), kernel**2, mode="same")
    inside = blank & (weight > 0.9 * np.sum(kernel**2))
    values = filtered[inside] / np.sqrt(weight[inside])
    if len(values) == 0:
        return np.nan
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    if is_white and high - middle > MAX_ASYMMETRY * (middle - low):
        return np.nan
    return _spread(values - middle)


def _cells(differences: tuple[np.ndarray, ...], clean: np.ndarray) -> np.ndarray:
    """The noise from place to place over that of the whole image, see Noise.cells."""
    height, width = [max(length // BLOCK, 1) for length in clean.shape]

    def in_cells(array: np.ndarray) -> np.ndarray:
        whole = array[: height * BLOCK, : width * BLOCK]
        cells = whole.reshape(height, -1, width, whole.shape[1] // width).swapaxes(1, 2)
        return cells.reshape(height, width, -1)

    n_clean = in_cells(clean).sum(axis=2)
    variance = np.zeros((height, width))
    for part in differences:
        values = np.sort(np.where(in_cells(clean), np.abs(in_cells(part)), np.inf), axis=2)
        rank = np.minimum(n_clean // 2, values.shape[2] - 1)
        variance += np.take_along_axis(values, rank[..., None], axis=2)[..., 0].astype(float) ** 2
    known = n_clean > MIN_CLEAN * BLOCK**2
    if not known.any():
        return np.ones((height, width), np.float32)
    ratio = np.sqrt(np.where(known, variance, np.median(variance[known])))
    middle = np.median(ratio[known])
    if not middle > 0:  # no noise at all, as in a weight map
        return np.ones((height, width), np.float32)
    ratio = median_filter(ratio / middle, SMOOTHING, mode="nearest")
    ratio[np.abs(ratio - 1) < LOCAL_CHANGE] = 1.0
    highest = maximum_filter(ratio, 3)  # where the noise changes, a cell holds some of the higher
    cells: np.ndarray = np.where(highest > 1, highest, ratio).astype(np.float32)
    return cells
