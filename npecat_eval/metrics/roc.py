"""Separation of galaxies and stars by P(galaxy): ROC curves and the area under them (AUC)."""

import numpy as np

from npecat_eval.metrics.binned_means import MATCHED, Label, Series
from npecat_eval.metrics.bins import within
from npecat_eval.metrics.bootstrap import N_RESAMPLES, image_weights, quotient
from npecat_eval.metrics.matched import MatchedCatalog

FALSE_POSITIVE_RATE = "false_positive_rate"
"""Axis: the fraction of stars that are classified as galaxies."""

GRID = np.linspace(0, 1, 41) ** 2
"""False positive rates at which a curve is evaluated, denser near 0."""


def separation_series(
    matched: MatchedCatalog, spans: dict[str, tuple[float, float]]
) -> list[Series]:
    """Compute AUC and ROC curve over the matched pairs of each selection by true magnitude.

    Parameters
    ----------
    matched : MatchedCatalog
        Detections with their true sources.
    spans : dict of str to tuple of float
        Selection -> its range of r magnitude, see bins.selections.

    Returns
    -------
    list of Series
        For each selection ``auc``, and ``roc``, the fraction of galaxies that are classified as
        galaxies at each false positive rate of GRID.
    """
    truth, detection = matched.match.truth, matched.match.detection
    series = []
    for selection, span in spans.items():
        chosen = within(matched.true_magnitude[truth], span)
        area, curve = resampled_roc(
            matched.truth["image"][truth][chosen],
            matched.detections.prob_galaxy[detection][chosen],
            is_galaxy=matched.truth["is_galaxy"][truth][chosen],
            n_images=matched.n_images,
        )
        count = np.array([chosen.sum()], dtype=np.float64)
        low, high = [np.array([edge]) for edge in span]
        series.append(Series(Label("auc", MATCHED, selection), low, high, area[:, None], count))
        label = Label("roc", MATCHED, selection, FALSE_POSITIVE_RATE)
        series.append(Series(label, GRID, GRID, curve, np.repeat(count, len(GRID))))
    return series


def resampled_roc(
    image: np.ndarray, prob_galaxy: np.ndarray, *, is_galaxy: np.ndarray, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute AUC and ROC curve with their resamples.

    Parameters
    ----------
    image : ndarray
        int (source,): index of the image of each source.
    prob_galaxy : ndarray
        float64 (source,): predicted probability of a galaxy.
    is_galaxy : ndarray
        bool (source,): the truth.
    n_images : int
        Number of images.

    Returns
    -------
    area : ndarray
        float64 (1 + N_RESAMPLES,): AUC; NaN where there are no stars or no galaxies.
    curve : ndarray
        float64 (1 + N_RESAMPLES, GRID): true positive rate at each false positive rate of GRID.

    Notes
    -----
    Sources with equal probabilities are taken together, so a tie counts one half.
    """
    order = np.argsort(-prob_galaxy, kind="stable")
    image, is_galaxy = image[order], is_galaxy[order]
    is_last = np.append(np.diff(prob_galaxy[order]) != 0, True)
    if len(order) == 0:
        nowhere = np.full((1 + N_RESAMPLES, len(GRID)), np.nan)
        return nowhere[:, 0], nowhere
    areas, curves = [], []
    for weights in image_weights(n_images):
        weight = weights[image].astype(np.int64)
        true, false = [
            np.concatenate([[0], np.cumsum(weight * kind)[is_last]])
            for kind in (is_galaxy, ~is_galaxy)
        ]
        areas.append(quotient(np.trapezoid(true, false), np.array(true[-1] * false[-1])))
        true_rate, false_rate = [quotient(part, part[-1]) for part in (true, false)]
        # Where the curve is vertical, its upper end counts.
        last = np.append(np.diff(false_rate) != 0, True)
        curves.append(np.interp(GRID, false_rate[last], true_rate[last]))
    return np.array(areas), np.array(curves)
