"""Uncertainties by resampling images: sources of one image share noise, sky and neighbours.

A resample gives every image a multinomial weight. The weights depend on nothing but the number
of images: two methods on one test set get the same ones, and the difference of their resamples is
a paired difference. In every array of resamples the first row is the metric of the images
themselves, all of weight one.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

N_RESAMPLES = 1000
"""Leaves 2 % of uncertainty on a sigma: 1 / sqrt(2 N_RESAMPLES)."""

SEED = 7
"""Fixed, so that reruns give the same sigma."""

BLOCK = 4_000_000
"""Weights drawn or multiplied at once: 32 MB."""


@lru_cache(maxsize=1)
def image_weights(n_images: int) -> np.ndarray:
    """uint16 (1 + N_RESAMPLES, image): ones, then how often each resample holds an image."""
    generator = np.random.default_rng(SEED)
    weights = np.ones((1 + N_RESAMPLES, n_images), dtype=np.uint16)
    per_block = max(1, BLOCK // n_images)
    for first in range(1, 1 + N_RESAMPLES, per_block):
        rows = min(per_block, 1 + N_RESAMPLES - first)
        drawn = generator.integers(n_images, size=(rows, n_images))
        drawn += n_images * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n_images)
        weights[first : first + rows] = counts.reshape(rows, n_images)
    weights.setflags(write=False)
    return weights


def resampled_totals(sums: np.ndarray) -> np.ndarray:
    """float64 (1 + N_RESAMPLES, column): weighted totals of sums (image, column)."""
    weights = image_weights(len(sums))
    per_block = max(1, BLOCK // len(sums))
    blocks = (weights[first : first + per_block] for first in range(0, len(weights), per_block))
    return np.concatenate([block.astype(np.float64) @ sums for block in blocks])


def resampled_quantiles(
    image: np.ndarray,
    value: np.ndarray,
    place: np.ndarray,
    levels: Sequence[float],
    n_bins: int,
    n_images: int,
) -> np.ndarray:
    """float64 (level, 1 + N_RESAMPLES, bin): quantiles of the sources of each bin.

    image, value: (source,). place: int (source,), the source's bin. A quantile is the least value
    at which the weights cumulated so far reach the level; NaN where a bin has no weight.
    """
    order = np.lexsort((value, place))
    image, value = image[order], value[order]
    edges = np.searchsorted(place[order], np.arange(n_bins + 1))
    quantiles = np.full((len(levels), 1 + N_RESAMPLES, n_bins), np.nan)
    for row, weights in enumerate(image_weights(n_images)):
        reached = np.cumsum(weights[image], dtype=np.int64)
        at_edges = np.concatenate([[0], reached])[edges]
        total = np.diff(at_edges)
        filled = total > 0
        wanted = at_edges[:-1] + np.asarray(levels)[:, None] * total
        index = np.searchsorted(reached, wanted[:, filled])
        quantiles[:, row, filled] = value[index]
    return quantiles


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is zero."""
    result = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)


def value_and_sigma(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row, and the standard deviation of the others without their NaNs.

    samples: float64 (1 + N_RESAMPLES, column). A column with fewer than two defined resamples has
    sigma NaN.
    """
    resamples = np.ma.masked_invalid(samples[1:])
    sigma = np.ma.filled(resamples.std(axis=0, ddof=1), np.nan)
    return samples[0], np.where(resamples.count(axis=0) > 1, sigma, np.nan)
