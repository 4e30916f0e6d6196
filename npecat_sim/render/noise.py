"""From sources to what the telescope records: rate, noise, correlated or not, and SNR."""

import numpy as np
from scipy.ndimage import convolve1d
from scipy.special import ndtr

from npecat_sim.render.jit import jit

FOOTPRINT_LEVEL = 0.2
"""Share of a source's peak that a pixel of its footprint exceeds; see docs/log.md, SNR."""

# Sums keep their order, so results do not depend on the batch or the machine's vector width.
_jit = jit()


def observe(
    drawn: np.ndarray, sky: np.ndarray, *, electrons_per_nmgy: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to sources under a sky, subtract the sky, and compute the SNR of each source.

    Parameters
    ----------
    drawn : ndarray
        float32 (source, y, x), each source alone, nanomaggies per pixel.
    sky : ndarray
        float32 (y, x), nanomaggies per pixel.
    electrons_per_nmgy : float
        Electrons per nanomaggy.
    generator : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    image : ndarray
        float32 (y, x), sky subtracted, nanomaggies per pixel.
    snr : ndarray
        float64 (source,).

    Notes
    -----
    The noise is the paper's: observed electrons are Normal(rate, rate). The SNR is
    C / sqrt(C + B + P), Appendix A of the paper. Over the footprint of the source C is its own
    light, B the background and P the light of the other sources, all in electrons, so C + B + P is
    the sum of the rate. The footprint is the pixels in which the source's own light exceeds
    FOOTPRINT_LEVEL of its peak.
    """
    noise = generator.standard_normal(sky.shape, dtype=np.float32)
    return _observe(drawn, sky, float(electrons_per_nmgy), noise)


@_jit
def _observe(
    drawn: np.ndarray, sky: np.ndarray, electrons_per_nmgy: float, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image and the SNR; noise: float32 (y, x), standard normal."""
    n_sources, height, width = drawn.shape
    image = np.empty((height, width), np.float32)
    rate = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            rate[y, x] = sky[y, x]
        for source in range(n_sources):
            for x in range(width):
                rate[y, x] += drawn[source, y, x]
        for x in range(width):
            rate[y, x] *= electrons_per_nmgy
            observed = rate[y, x] + np.sqrt(rate[y, x]) * noise[y, x]
            image[y, x] = observed * (1 / electrons_per_nmgy) - sky[y, x]
    return image, _snr(drawn, rate, electrons_per_nmgy)


def signal_to_noise(drawn: np.ndarray, rate: np.ndarray, electrons_per_nmgy: float) -> np.ndarray:
    """SNR of each source, as of observe, where the rate is known.

    Parameters
    ----------
    drawn : ndarray
        float32 (source, y, x), each source alone, nanomaggies per pixel.
    rate : ndarray
        float64 (y, x), nanomaggies per pixel whose photons have the noise of the pixel.
    electrons_per_nmgy : float
        Electrons per nanomaggy.

    Returns
    -------
    ndarray
        float64 (source,).
    """
    return _snr(drawn, rate * electrons_per_nmgy, float(electrons_per_nmgy))


@_jit
def _snr(drawn: np.ndarray, rate: np.ndarray, electrons_per_nmgy: float) -> np.ndarray:
    """The SNR of each source; rate: float64 (y, x), electrons."""
    n_sources, height, width = drawn.shape
    snr = np.empty(n_sources)
    row_peak = np.empty(height, np.float32)
    for source in range(n_sources):
        for y in range(height):
            peak = np.float32(0)
            for x in range(width):
                peak = max(peak, drawn[source, y, x])
            row_peak[y] = peak
        level = FOOTPRINT_LEVEL * row_peak.max()
        own = everything = 0.0
        for y in range(height):
            if row_peak[y] > level:
                for x in range(width):
                    if drawn[source, y, x] > level:
                        own += drawn[source, y, x]
                        everything += rate[y, x]
        snr[source] = own * electrons_per_nmgy / np.sqrt(everything)
    return snr


CORRELATION_REACH = 5
"""Pixels to which correlated noise is spread along an axis: five sigma at a sigma of 1 pixel."""


def correlated_noise(size: int, sigma: float, *, generator: np.random.Generator) -> np.ndarray:
    """White noise of unit variance, convolved with a Gaussian and scaled to unit variance again.

    Parameters
    ----------
    size : int
        Pixels along each side.
    sigma : float
        Standard deviation of the Gaussian, pixels; 0 for white noise.
    generator : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray
        float32 (size, size).
    """
    if not sigma:
        return generator.standard_normal((size, size), dtype=np.float32)
    side = size + 2 * CORRELATION_REACH
    white = generator.standard_normal((side, side), dtype=np.float32)
    weights = _weights(sigma)
    spread = sum(w * white[first : first + size] for first, w in enumerate(weights))
    noise: np.ndarray = sum(w * spread[:, first : first + size] for first, w in enumerate(weights))
    return noise


def noise_correlation(stamp: np.ndarray, sigma: float) -> float:
    """Standard deviation of correlated noise under a PSF over that of white noise.

    Parameters
    ----------
    stamp : ndarray
        float64 (y, x), the PSF at whole pixels.
    sigma : float
        Standard deviation of the Gaussian, pixels, as of correlated_noise.

    Returns
    -------
    float
        1 for white noise. Both noises have the same variance in a pixel.
    """
    if not sigma:
        return 1.0
    weights = _weights(sigma).astype(np.float64)
    covariance = np.correlate(weights, weights, mode="full")
    spread = stamp
    for axis in (0, 1):
        spread = convolve1d(spread, covariance, axis=axis, mode="constant")
    return float(np.sqrt(np.sum(stamp * spread) / np.sum(stamp**2)))


def _weights(sigma: float) -> np.ndarray:
    """A Gaussian averaged over each pixel, with unit sum of squares: float32 (pixel,)."""
    edge = (np.arange(2 * CORRELATION_REACH + 2) - CORRELATION_REACH - 0.5) / sigma
    weights = np.diff(ndtr(edge))
    scaled: np.ndarray = (weights / np.sqrt(np.sum(weights**2))).astype(np.float32)
    return scaled
