"""From sources to what the telescope records: rate, noise, sky subtraction and SNR."""

import numba
import numpy as np

FOOTPRINT_LEVEL = 0.2
"""A source's footprint: the pixels in which its own light exceeds this share of its peak there.
For a Gaussian star this circle holds 80 % of the light and its SNR is within 2 % of the best
aperture's; over prior draws lower and higher levels both give fainter galaxies a smaller SNR."""


def observe(
    drawn: np.ndarray, sky: np.ndarray, electrons_per_nmgy: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The image of sources under a sky, sky subtracted, and the SNR of each source.

    drawn: float32 (source, y, x) and sky: float32 (y, x), nanomaggies per pixel. Returns float32
    (y, x), nanomaggies, and float64 (source,). The noise is the paper's: observed electrons are
    Normal(rate, rate). SNR = C / sqrt(C + B + P), Appendix A of the paper: over the source's
    footprint C is its own light, B the background and P what the other sources pour in, all in
    electrons, so C + B + P sums the rate.
    """
    noise = generator.standard_normal(sky.shape, dtype=np.float32)
    return _observe(drawn, sky, float(electrons_per_nmgy), noise)


# Sums keep their order, so results do not depend on the batch or the machine's vector width.
@numba.njit(cache=True, error_model="numpy")
def _observe(drawn, sky, electrons_per_nmgy, noise):
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
