"""Detection, type, position and flux of a catalog against the truth (section 7 of the paper).

Matching sees every simulated source and every detection, however faint, so a detection estimated
at r < 22 counts as true where it matches a true source of r = 22.3. Precision is binned by
estimated magnitude, all else by true magnitude; by SNR (Appendix A), a property of true sources,
there is no precision.
"""

import numpy as np

from npecat_eval.catalog.detections import GALAXY_THRESHOLD
from npecat_eval.metrics.binned_means import EVERY, MATCHED, Label, Mean, Series, mean_of
from npecat_eval.metrics.bins import NONE, OVERALL, SNR, Bins, coordinate
from npecat_eval.metrics.bootstrap import quotient, resampled_quantiles
from npecat_eval.metrics.matched import MatchedCatalog

ONE_SIGMA = (0.15865525, 0.5, 0.84134475)
"""Levels of the median and of one standard deviation of a normal distribution about it."""


def measurement_means(matched: MatchedCatalog, axes: list[Bins]) -> list[Mean]:
    """Precision, recall, star/galaxy accuracy, flux error and position error.

    Each overall (r < 22) and in the bins of magnitude and SNR. Flux error is the mean absolute
    percentage error, 100 abs(estimate - truth) / truth (Equation 5); position error the mean
    distance in pixels; both and accuracy over matched pairs.
    """
    found = matched.match.detection_match >= 0
    means = [
        mean_of(
            Label("precision", EVERY, axis=bins.axis),
            bins,
            matched.detections.image,
            matched.estimated_magnitude,
            found,
            matched.n_images,
        )
        for bins in (OVERALL, *axes)
        if bins.axis != SNR
    ]
    everything = np.arange(len(matched.true_magnitude))
    means += _of_truth("recall", EVERY, matched, everything, matched.match.truth_match >= 0, axes)
    for name, values in pair_values(matched).items():
        means += _of_truth(name, MATCHED, matched, matched.match.truth, values, axes)
    return means


def pair_values(matched: MatchedCatalog) -> dict[str, np.ndarray]:
    """Metric -> its value for each matched pair, (pair,)."""
    truth, detection = matched.match.truth, matched.match.detection
    called_galaxy = matched.detections.prob_galaxy[detection] > GALAXY_THRESHOLD
    return {
        "star_galaxy_accuracy": called_galaxy == matched.truth["is_galaxy"][truth],
        "flux_error_percent": 100 * np.abs(flux_ratio(matched) - 1),
        "position_error_pixel": np.hypot(
            matched.detections.x[detection] - matched.truth["x"][truth],
            matched.detections.y[detection] - matched.truth["y"][truth],
        ),
    }


def flux_ratio(matched: MatchedCatalog) -> np.ndarray:
    """float64 (pair,): estimated over true flux."""
    true_flux = matched.truth["flux"][matched.match.truth].astype(np.float64)
    return matched.detections.flux[matched.match.detection] / true_flux


def flux_ratio_series(matched: MatchedCatalog, axes: list[Bins]) -> list[Series]:
    """Flux bias, the median of estimated over true flux minus 1, and scatter, both in per cent.

    The scatter is half the interval that holds the middle 68.3 %.
    """
    truth = matched.match.truth
    image, ratio = matched.truth["image"][truth], flux_ratio(matched)
    series = []
    for bins in (OVERALL, *axes):
        at = coordinate(bins, matched.true_magnitude, matched.truth["snr"])[truth]
        place = bins.place(at)
        inside = place >= 0
        low, median, high = resampled_quantiles(
            image[inside], ratio[inside], place[inside], ONE_SIGMA, len(bins), matched.n_images
        )
        count = np.bincount(place[inside], minlength=len(bins)).astype(np.float64)
        for name, samples in (
            ("flux_bias_percent", 100 * (median - 1)),
            ("flux_scatter_percent", 100 * (high - low) / 2),
        ):
            label = Label(name, MATCHED, axis=bins.axis)
            series.append(Series(label, bins.low, bins.high, samples, count))
    return series


def f1(series: list[Series]) -> Series:
    """Harmonic mean of the overall precision and recall, 2 P R / (P + R).

    It has no bins: precision is binned by estimated, recall by true magnitude.
    """
    precision, recall = (
        next(s for s in series if s.label.metric == name and s.label.axis == NONE)
        for name in ("precision", "recall")
    )
    p, r = precision.samples, recall.samples
    return Series(Label("f1"), recall.low, recall.high, quotient(2 * p * r, p + r), recall.count)


def _of_truth(
    metric: str,
    sources: str,
    matched: MatchedCatalog,
    rows: np.ndarray,
    value: np.ndarray,
    axes: list[Bins],
) -> list[Mean]:
    """A metric of some true sources, rows of the truth, along all axes."""
    image = matched.truth["image"][rows]
    return [
        mean_of(
            Label(metric, sources, axis=bins.axis),
            bins,
            image,
            coordinate(bins, matched.true_magnitude, matched.truth["snr"])[rows],
            value,
            matched.n_images,
        )
        for bins in (OVERALL, *axes)
    ]
