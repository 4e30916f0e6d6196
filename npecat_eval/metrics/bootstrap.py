"""Uncertainties by resampling images: sources of one image share noise, sky and neighbours.

A resample gives every image a multinomial weight. The weights depend only on the number of images.
So two methods on the same test set get the same weights, and the difference of their resamples is
a paired difference. In every array of resamples the first row is the metric of the images
themselves, each with a weight of one.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

N_RESAMPLES = 1000
"""Number of resamples; the relative error of a sigma is 1 / sqrt(2 N_RESAMPLES), 2 %."""

SEED = 7
"""Seed of the weights, fixed so that each run gives the same sigma."""

BLOCK = 4_000_000
"""Number of weights that are drawn or multiplied together: 32 MB."""


@lru_cache(maxsize=1)
def image_weights(n_images: int) -> np.ndarray:
    """Draw the weights of the images in each resample.

    Parameters
    ----------
    n_images : int
        Number of images.

    Returns
    -------
    ndarray
        uint16 (1 + N_RESAMPLES, image), read-only: ones in the first row, then how many times each
        resample contains an image.
    """
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
    """Compute the weighted totals of sums over images.

    Parameters
    ----------
    sums : ndarray
        float64 (image, column): sums over each image.

    Returns
    -------
    ndarray
        float64 (1 + N_RESAMPLES, column).
    """
    weights = image_weights(len(sums))
    per_block = max(1, BLOCK // len(sums))
    blocks = (weights[first : first + per_block] for first in range(0, len(weights), per_block))
    return np.concatenate([block.astype(np.float64) @ sums for block in blocks])


def resampled_quantiles(
    image: np.ndarray,
    value: np.ndarray,
    *,
    place: np.ndarray,
    levels: Sequence[float],
    n_bins: int,
    n_images: int,
) -> np.ndarray:
    """Compute quantiles of a property of the sources in each bin.

    Parameters
    ----------
    image : ndarray
        int (source,): index of the image of each source.
    value : ndarray
        (source,): property of the sources.
    place : ndarray
        int (source,): bin of each source.
    levels : sequence of float
        Levels of the quantiles, in [0, 1].
    n_bins : int
        Number of bins.
    n_images : int
        Number of images.

    Returns
    -------
    ndarray
        float64 (level, 1 + N_RESAMPLES, bin). A quantile is the smallest value up to which the
        cumulative weight reaches the level; NaN where a bin has no weight.
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
    """Divide two arrays that broadcast; the result is NaN where the denominator is zero."""
    result: np.ndarray = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def value_and_sigma(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split resamples into values and their standard deviations.

    Parameters
    ----------
    samples : ndarray
        float64 (1 + N_RESAMPLES, column).

    Returns
    -------
    value : ndarray
        float64 (column,): the first row.
    sigma : ndarray
        float64 (column,): standard deviation of the other rows without their NaNs; NaN for a
        column with fewer than two resamples that are not NaN.
    """
    value, resamples = samples[0], np.ma.masked_invalid(samples[1:])
    sigma = np.ma.filled(resamples.std(axis=0, ddof=1), np.nan)
    return value, np.where(resamples.count(axis=0) > 1, sigma, np.nan)
