"""Precision and recall (section 7 of the paper).

Matching sees every simulated source and every detection, however faint, so a detection
estimated at r < 22 counts as true where it matches a true source of r = 22.3.
"""

import numpy as np

from npecat_eval.bins import BinnedMean, binned_mean
from npecat_eval.matched import MatchedCatalog


def precision(matched: MatchedCatalog, edges: np.ndarray) -> BinnedMean:
    """Share of detections that are a true source, by estimated magnitude."""
    return binned_mean(
        matched.detections.image,
        matched.estimated_magnitude,
        matched.match.detection_match >= 0,
        edges,
        matched.n_images,
    )


def recall(matched: MatchedCatalog, edges: np.ndarray) -> BinnedMean:
    """Share of true sources that are detected, by true magnitude."""
    return binned_mean(
        matched.truth["image"],
        matched.true_magnitude,
        matched.match.truth_match >= 0,
        edges,
        matched.n_images,
    )
