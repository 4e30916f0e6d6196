"""From sources to what the telescope records: rate, noise, sky subtraction and SNR."""

import numpy as np

FOOTPRINT_LEVEL = 0.2
"""A source's footprint: the pixels in which its own light exceeds this share of its peak there.
For a Gaussian star this circle holds 80 % of the light and its SNR is within 2 % of the best
aperture's; over prior draws lower and higher levels both give fainter galaxies a smaller SNR."""


def signal_to_noise(source_electrons: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """SNR = C / sqrt(C + B + P) of each source, Appendix A of the paper.

    source_electrons: (source, y, x), expected electrons of each source alone. rate: (y, x),
    expected electrons of background and all sources. Over the source's footprint C is its own
    light, B the background and P what the other sources pour in, so C + B + P sums the rate.
    Returns float64 (source,).
    """
    peak = source_electrons.max(axis=(1, 2), keepdims=True, initial=0.0)
    footprint = source_electrons > FOOTPRINT_LEVEL * peak
    own = np.einsum("syx,syx->s", source_electrons, footprint)
    everything = np.einsum("yx,syx->s", rate, footprint)
    return own / np.sqrt(everything)


def expose(rate: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Observed electrons: Normal(rate, rate), the noise of the paper."""
    return rate + np.sqrt(rate) * generator.standard_normal(rate.shape)
