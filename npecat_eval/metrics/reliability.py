"""Reliability of probabilities: of all cases with probability p, a fraction p should be true.

The cases are tiles that may hold a source, or detections that may match a true source.
"""

import numpy as np

from npecat_eval.catalog.decode import DETECTION_THRESHOLD
from npecat_eval.metrics.binned_means import MATCHED, Label, Mean
from npecat_eval.metrics.matched import MatchedCatalog

PROBABILITY = "probability"
"""Axis: the predicted probability of a source."""

PROBABILITY_EDGES = np.concatenate([[0.0, 0.01], np.linspace(0.05, 0.95, 19), [0.99, 1.0]])
"""Edges of the bins of the reliability diagram of tiles; narrow near 0 and 1, where most tiles
are."""

DETECTION_EDGES = PROBABILITY_EDGES[PROBABILITY_EDGES >= DETECTION_THRESHOLD]
"""Edges of the bins of the reliability diagram of detections."""


def reliability_sums(
    image: np.ndarray,
    probability: np.ndarray,
    *,
    is_true: np.ndarray,
    edges: np.ndarray,
    n_images: int,
) -> np.ndarray:
    """Sum the cases in each image and bin of probability.

    Parameters
    ----------
    image : ndarray
        int (case,): index of the image of each case.
    probability : ndarray
        float64 (case,): predicted probability.
    is_true : ndarray
        bool (case,): the truth.
    edges : ndarray
        float64 (bin + 1,): edges of the bins of probability.
    n_images : int
        Number of images.

    Returns
    -------
    ndarray
        float64 (3, image, bin): number of cases, sum of their probabilities, number of true cases.
    """
    n_bins = len(edges) - 1
    cell = n_bins * image + np.clip(np.digitize(probability, edges) - 1, 0, n_bins - 1)
    weights = np.ones_like(probability), probability, is_true.astype(np.float64)
    sums = [np.bincount(cell, weight, n_images * n_bins) for weight in weights]
    return np.stack(sums).reshape(3, n_images, n_bins)


def reliability_means(sources: str, sums: np.ndarray, *, edges: np.ndarray) -> list[Mean]:
    """Make the metrics of a reliability diagram.

    Parameters
    ----------
    sources : str
        Label of the cases, see binned_means.EVERY.
    sums : ndarray
        float64 (3, image, bin), from reliability_sums.
    edges : ndarray
        float64 (bin + 1,): edges of the bins of probability.

    Returns
    -------
    list of Mean
        ``source_share``, the fraction of true cases, and ``source_probability``, the mean
        probability, in each bin.
    """
    n_cases, probability, n_true = sums
    return [
        Mean(Label(metric, sources, axis=PROBABILITY), edges[:-1], edges[1:], total, n_cases)
        for metric, total in (("source_share", n_true), ("source_probability", probability))
    ]


def detection_reliability(matched: MatchedCatalog) -> list[Mean]:
    """Compute the reliability of the probability that a detection lies near a true source.

    Parameters
    ----------
    matched : MatchedCatalog
        Detections with their true sources. A detection is true if it is matched; its probability
        is ``prob_located``.

    Returns
    -------
    list of Mean
        See reliability_means.
    """
    detections = matched.detections
    is_true = matched.match.detection_match >= 0
    sums = reliability_sums(
        detections.image,
        detections.prob_located,
        is_true=is_true,
        edges=DETECTION_EDGES,
        n_images=matched.n_images,
    )
    return reliability_means(MATCHED, sums, edges=DETECTION_EDGES)
