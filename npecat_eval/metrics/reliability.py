"""Does what has probability p prove true in a share p of cases? Of tiles and of detections."""

import numpy as np

from npecat_eval.catalog.decode import DETECTION_THRESHOLD
from npecat_eval.metrics.binned_means import MATCHED, Label, Mean
from npecat_eval.metrics.matched import MatchedCatalog

PROBABILITY = "probability"
"""Axis: the predicted probability of a source."""

PROBABILITY_EDGES = np.concatenate([[0.0, 0.01], np.linspace(0.05, 0.95, 19), [0.99, 1.0]])
"""Bins of the reliability diagram; most tiles are surely empty, some surely not."""

DETECTION_EDGES = PROBABILITY_EDGES[PROBABILITY_EDGES >= DETECTION_THRESHOLD]


def reliability_sums(
    image: np.ndarray,
    probability: np.ndarray,
    is_true: np.ndarray,
    edges: np.ndarray,
    n_images: int,
) -> np.ndarray:
    """float64 (3, image, bin): number of cases, sum of their probabilities, number that are true.

    image, probability, is_true: (case,). edges: of the bins of probability.
    """
    n_bins = len(edges) - 1
    cell = n_bins * image + np.clip(np.digitize(probability, edges) - 1, 0, n_bins - 1)
    weights = np.ones_like(probability), probability, is_true.astype(np.float64)
    sums = [np.bincount(cell, weight, n_images * n_bins) for weight in weights]
    return np.stack(sums).reshape(3, n_images, n_bins)


def reliability_means(sources: str, sums: np.ndarray, edges: np.ndarray) -> list[Mean]:
    """Share that is true and mean probability in each bin; sources: see means.EVERY."""
    n_cases, probability, n_true = sums
    return [
        Mean(Label(metric, sources, axis=PROBABILITY), edges[:-1], edges[1:], total, n_cases)
        for metric, total in (("source_share", n_true), ("source_probability", probability))
    ]


def detection_reliability(matched: MatchedCatalog) -> list[Mean]:
    """Of detections: true are those that match, which the probability of being located says."""
    detections = matched.detections
    is_true = matched.match.detection_match >= 0
    sums = reliability_sums(
        detections.image, detections.prob_located, is_true, DETECTION_EDGES, matched.n_images
    )
    return reliability_means(MATCHED, sums, DETECTION_EDGES)
