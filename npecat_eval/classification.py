"""Star/galaxy accuracy (section 7 of the paper)."""

import numpy as np

from npecat_eval.bins import BinnedMean, binned_mean
from npecat_eval.matched import MatchedCatalog

GALAXY_THRESHOLD = 0.5
"""A source more probably a galaxy than not is called one (section 7 of the paper)."""


def star_galaxy_accuracy(matched: MatchedCatalog, edges: np.ndarray) -> BinnedMean:
    """Share of matched pairs with the right type, by true magnitude."""
    truth, detection = matched.match.truth, matched.match.detection
    called_galaxy = matched.detections.prob_galaxy[detection] > GALAXY_THRESHOLD
    return binned_mean(
        matched.truth["image"][truth],
        matched.true_magnitude[truth],
        called_galaxy == matched.truth["is_galaxy"][truth],
        edges,
        matched.n_images,
    )
