"""From sources to what the telescope records: rate, noise, sky subtraction and SNR."""

import numpy as np

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
    row_peak = np.zeros((n_sources, height), np.float32)
    for y in range(height):
        for x in range(width):
            rate[y, x] = sky[y, x]
        for source in range(n_sources):
            peak = np.float32(0)
            for x in range(width):
                rate[y, x] += drawn[source, y, x]
                peak = max(peak, drawn[source, y, x])
            row_peak[source, y] = peak
        for x in range(width):
            rate[y, x] *= electrons_per_nmgy
            observed = rate[y, x] + np.sqrt(rate[y, x]) * noise[y, x]
            image[y, x] = observed * (1 / electrons_per_nmgy) - sky[y, x]
    snr = np.empty(n_sources)
    for source in range(n_sources):
        level = FOOTPRINT_LEVEL * row_peak[source].max()
        own = everything = 0.0
        for y in range(height):
            if row_peak[source, y] > level:
                for x in range(width):
                    if drawn[source, y, x] > level:
                        own += drawn[source, y, x]
                        everything += rate[y, x]
        snr[source] = own * electrons_per_nmgy / np.sqrt(everything)
    return image, snr
