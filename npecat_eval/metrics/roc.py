"""How well P(galaxy) separates galaxies from stars: ROC curves and the area under them."""

import numpy as np

from npecat_eval.metrics.binned_means import MATCHED, Label, Series
from npecat_eval.metrics.bins import within
from npecat_eval.metrics.bootstrap import N_RESAMPLES, image_weights, quotient
from npecat_eval.metrics.matched import MatchedCatalog

FALSE_POSITIVE_RATE = "false_positive_rate"
"""Axis: share of stars that are called galaxies."""

GRID = np.linspace(0, 1, 41) ** 2
"""False positive rates at which a curve is given, denser near 0."""


def separation_series(
    matched: MatchedCatalog, spans: dict[str, tuple[float, float]]
) -> list[Series]:
    """AUC and ROC curve over matched pairs of each selection by true magnitude.

    ``roc``: share of galaxies called galaxies, at each false positive rate of GRID.
    """
    truth, detection = matched.match.truth, matched.match.detection
    series = []
    for selection, span in spans.items():
        chosen = within(matched.true_magnitude[truth], span)
        area, curve = resampled_roc(
            matched.truth["image"][truth][chosen],
            matched.detections.prob_galaxy[detection][chosen],
            matched.truth["is_galaxy"][truth][chosen],
            matched.n_images,
        )
        count = np.array([chosen.sum()], dtype=np.float64)
        low, high = (np.array([edge]) for edge in span)
        series.append(Series(Label("auc", MATCHED, selection), low, high, area[:, None], count))
        label = Label("roc", MATCHED, selection, FALSE_POSITIVE_RATE)
        series.append(Series(label, GRID, GRID, curve, np.repeat(count, len(GRID))))
    return series


def resampled_roc(
    image: np.ndarray, prob_galaxy: np.ndarray, is_galaxy: np.ndarray, n_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """float64 (1 + N_RESAMPLES,) AUC and (1 + N_RESAMPLES, GRID) ROC curve.

    image, prob_galaxy, is_galaxy: (source,). Sources of one probability are taken together, so
    that a tie counts half; NaN where there are no stars or no galaxies.
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
        true, false = (
            np.concatenate([[0], np.cumsum(weight * kind)[is_last]])
            for kind in (is_galaxy, ~is_galaxy)
        )
        areas.append(quotient(np.trapezoid(true, false), np.array(true[-1] * false[-1])))
        true_rate, false_rate = (quotient(part, part[-1]) for part in (true, false))
        # Where the curve rises at one false positive rate, its upper end counts.
        last = np.append(np.diff(false_rate) != 0, True)
        curves.append(np.interp(GRID, false_rate[last], true_rate[last]))
    return np.array(areas), np.array(curves)
