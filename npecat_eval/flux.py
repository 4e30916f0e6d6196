"""Flux error (Equation 5 of the paper)."""

import numpy as np

from npecat_eval.bins import BinnedMean, binned_mean
from npecat_eval.matched import MatchedCatalog


def flux_error_percent(matched: MatchedCatalog, edges: np.ndarray) -> BinnedMean:
    """Mean absolute percentage error of flux over matched pairs, by true magnitude.

    100 |estimate - truth| / truth, Equation 5.
    """
    truth, detection = matched.match.truth, matched.match.detection
    true_flux = matched.truth["flux"][truth].astype(np.float64)
    return binned_mean(
        matched.truth["image"][truth],
        matched.true_magnitude[truth],
        100 * np.abs(matched.detections.flux[detection] - true_flux) / true_flux,
        edges,
        matched.n_images,
    )
