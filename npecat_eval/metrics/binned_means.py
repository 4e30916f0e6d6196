"""Metrics that are means over sources or images, kept as sums over each image for the bootstrap.

Nearly all metrics of the evaluation are ratios of two sums over images. A Mean holds both sums
image by image; ``resample`` computes the bootstrap of many of them in one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npecat_eval.metrics.bins import ALL, NONE, Bins
from npecat_eval.metrics.bootstrap import quotient, resampled_totals

EVERY, MATCHED, TILES = "every", "matched", "true tiles"
"""Sources of a metric: all detections or all true sources; matched pairs; or each true source that
is the brightest of its tile, compared with the posterior of that tile, as in the paper."""


@dataclass(frozen=True)
class Label:
    """Names that identify a number of the evaluation.

    Parameters
    ----------
    metric : str
        Name of the metric.
    sources : str, optional
        EVERY, MATCHED or TILES.
    selection : str, optional
        Selection of these sources, see bins.selections.
    axis : str, optional
        Quantity that the bins divide; bins.NONE for a number over all sources.
    """

    metric: str
    sources: str = EVERY
    selection: str = ALL
    axis: str = NONE


@dataclass(frozen=True)
class Mean:
    """A metric in bins of an axis, as two sums over each image.

    Parameters
    ----------
    label : Label
        Names of the metric.
    low, high : ndarray
        float64 (bin,): the edges of each bin.
    total, count : ndarray
        float64 (image, bin): numerator and denominator of the metric in each image.
    """

    label: Label
    low: np.ndarray
    high: np.ndarray
    total: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Series:
    """A metric in bins of an axis, with its resamples.

    Parameters
    ----------
    label : Label
        Names of the metric.
    low, high : ndarray
        float64 (bin,): the edges of each bin.
    samples : ndarray
        float64 (1 + N_RESAMPLES, bin): the metric of the images themselves in the first row, then
        of each resample; NaN where there is no source.
    count : ndarray
        float64 (bin,): number of sources in each bin.
    """

    label: Label
    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray
    count: np.ndarray


def mean_of(
    label: Label, bins: Bins, *, image: np.ndarray, at: np.ndarray, value: np.ndarray, n_images: int
) -> Mean:
    """Sum a property of sources over each image and bin.

    Parameters
    ----------
    label : Label
        Names of the metric.
    bins : Bins
        Bins of the coordinate.
    image : ndarray
        int (source,): index of the image of each source.
    at : ndarray
        (source,): coordinate that the bins divide.
    value : ndarray
        (source,): property whose mean is the metric.
    n_images : int
        Number of images.

    Returns
    -------
    Mean
        Sources outside the bins are left out.
    """
    place = bins.place(at)
    inside = place >= 0
    shape = n_images, len(bins)
    cell = image[inside] * len(bins) + place[inside]
    total = np.bincount(cell, value[inside], n_images * len(bins))
    count = np.bincount(cell, minlength=n_images * len(bins))
    return Mean(
        label, bins.low, bins.high, total.reshape(shape), count.reshape(shape).astype(np.float64)
    )


def resample(means: Sequence[Mean]) -> list[Series]:
    """Compute the bootstrap of all means, in their order."""
    if not means:
        return []
    sums = [part for mean in means for part in (mean.total, mean.count)]
    splits = np.cumsum([part.shape[1] for part in sums])[:-1]
    totals = np.split(resampled_totals(np.concatenate(sums, axis=1)), splits, axis=1)
    return [
        Series(mean.label, mean.low, mean.high, quotient(total, count), count[0])
        for mean, total, count in zip(means, totals[::2], totals[1::2], strict=True)
    ]
