"""Uncertainties by resampling images: sources of one image share noise, sky and neighbours.

Every metric is a ratio of sums over images, so a resample is the table of per-image sums times
multinomial weights, one weight an image. The weights depend on nothing but the number of
images: two methods on one test set get the same ones, and the difference of their resamples is
a paired difference.
"""

import numpy as np

N_RESAMPLES = 1000
"""Leaves 2 % of uncertainty on a sigma: 1 / sqrt(2 N_RESAMPLES)."""

SEED = 7
"""Fixed, so that reruns give the same sigma."""

BLOCK = 4_000_000
"""Weights held at once: 32 MB."""


def resampled_totals(sums: np.ndarray) -> np.ndarray:
    """float64 (1 + N_RESAMPLES, column): totals of the images themselves, then of resamples.

    sums: float64 (image, column).
    """
    n_images = len(sums)
    generator = np.random.default_rng(SEED)
    totals = [sums.sum(axis=0, keepdims=True)]
    per_block = max(1, BLOCK // n_images)
    for first in range(0, N_RESAMPLES, per_block):
        rows = min(per_block, N_RESAMPLES - first)
        drawn = generator.integers(n_images, size=(rows, n_images))
        drawn += n_images * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * n_images)
        totals.append(weights.reshape(rows, n_images).astype(np.float64) @ sums)
    return np.concatenate(totals)


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is zero."""
    result = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)


def value_and_sigma(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row, and the standard deviation of the others without their NaNs.

    samples: float64 (1 + N_RESAMPLES, column), from resampled_totals. A column with fewer than
    two defined resamples has sigma NaN.
    """
    resamples = np.ma.masked_invalid(samples[1:])
    sigma = np.ma.filled(resamples.std(axis=0, ddof=1), np.nan)
    return samples[0], np.where(resamples.count(axis=0) > 1, sigma, np.nan)
