"""All metrics of a catalog at once, with the resamples that give their uncertainties."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npecat_eval.bins import BinnedMean
from npecat_eval.bootstrap import quotient, resampled_totals
from npecat_eval.classification import star_galaxy_accuracy
from npecat_eval.detection import precision, recall
from npecat_eval.flux import flux_error_percent
from npecat_eval.matched import MatchedCatalog

METRICS: dict[str, Callable[[MatchedCatalog, np.ndarray], BinnedMean]] = {
    "precision": precision,
    "recall": recall,
    "star_galaxy_accuracy": star_galaxy_accuracy,
    "flux_error_percent": flux_error_percent,
}
F1 = "f1"


@dataclass(frozen=True)
class Samples:
    """A metric with its resamples.

    binned: float64 (1 + resample, bin). overall: float64 (1 + resample,), over all bins. In
    both the first row is the metric of the images themselves; NaN where there is no source.
    count: float64 (bin,), sources in each bin.
    """

    binned: np.ndarray
    overall: np.ndarray
    count: np.ndarray


def sample_metrics(matched: MatchedCatalog, edges: np.ndarray) -> dict[str, Samples]:
    """Samples of every metric of METRICS, then of F1.

    F1 = 2 P R / (P + R) has no bins: precision is binned by estimated, recall by true magnitude.
    """
    means = {name: metric(matched, edges) for name, metric in METRICS.items()}
    sums = [part for mean in means.values() for part in (mean.total, mean.count)]
    totals = np.split(resampled_totals(np.concatenate(sums, axis=1)), len(sums), axis=1)
    samples = {
        name: Samples(
            binned=quotient(total, count),
            overall=quotient(total.sum(axis=1), count.sum(axis=1)),
            count=count[0],
        )
        for name, total, count in zip(means, totals[::2], totals[1::2], strict=True)
    }
    p, r = samples["precision"], samples["recall"]
    samples[F1] = Samples(
        binned=np.empty((len(p.overall), 0)),
        overall=quotient(2 * p.overall * r.overall, p.overall + r.overall),
        count=r.count,
    )
    return samples
