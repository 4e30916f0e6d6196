"""Metrics as means over sources or images, kept as sums over each image until they are resampled.

Nearly all figures of the evaluation are ratios of two sums over images. A Mean holds both sums
image by image; ``resample`` makes the bootstrap of many of them in one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npecat_eval.metrics.bins import ALL, NONE, Bins
from npecat_eval.metrics.bootstrap import quotient, resampled_totals

EVERY, MATCHED, TILES = "every", "matched", "true tiles"
"""Sources of a metric: all detections or all true sources; pairs of the match; each true source
that is the brightest of its tile, judged by the posterior of that tile (the paper's way)."""


@dataclass(frozen=True)
class Label:
    """What a number is: the metric, of which sources, which selection of them, along which axis."""

    metric: str
    sources: str = EVERY
    selection: str = ALL
    axis: str = NONE


@dataclass(frozen=True)
class Mean:
    """A metric in bins of an axis; low, high: float64 (bin,), the edges of each bin.

    total, count: float64 (image, bin); the metric is their quotient.
    """

    label: Label
    low: np.ndarray
    high: np.ndarray
    total: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Series:
    """A metric in bins of an axis with its resamples.

    samples: float64 (1 + N_RESAMPLES, bin), the first row of the images themselves; NaN where
    there is no source. count: float64 (bin,), sources in each bin.
    """

    label: Label
    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray
    count: np.ndarray


def mean_of(
    label: Label, bins: Bins, image: np.ndarray, at: np.ndarray, value: np.ndarray, n_images: int
) -> Mean:
    """A mean over sources; image, at (the coordinate that is binned) and value are (source,)."""
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
    """The bootstrap of all means, in their order."""
    if not means:
        return []
    sums = [part for mean in means for part in (mean.total, mean.count)]
    splits = np.cumsum([part.shape[1] for part in sums])[:-1]
    totals = np.split(resampled_totals(np.concatenate(sums, axis=1)), splits, axis=1)
    return [
        Series(mean.label, mean.low, mean.high, quotient(total, count), count[0])
        for mean, total, count in zip(means, totals[::2], totals[1::2], strict=True)
    ]
