"""Detection, type, position and flux of a catalog against the truth (section 7 of the paper).

Matching uses every simulated source and every detection, however faint. So a detection with an
estimated r < 22 counts as true if it matches a true source of r = 22.3. Precision is binned by
estimated magnitude, all other metrics by true magnitude. The SNR (Appendix A) is a property of true
sources, so there is no precision in bins of SNR.
"""

import numpy as np

from npecat_eval.catalog.detections import GALAXY_THRESHOLD
from npecat_eval.metrics.binned_means import EVERY, MATCHED, Label, Mean, Series, mean_of
from npecat_eval.metrics.bins import NONE, OVERALL, SNR, Bins, coordinate
from npecat_eval.metrics.bootstrap import quotient, resampled_quantiles
from npecat_eval.metrics.matched import MatchedCatalog

ONE_SIGMA = (0.15865525, 0.5, 0.84134475)
"""Levels of the quantiles -1, 0 and 1 sigma of a normal distribution."""


def measurement_means(matched: MatchedCatalog, axes: list[Bins]) -> list[Mean]:
    """Compute precision, recall, star/galaxy accuracy, flux error and position error.

    The flux error is the mean absolute percentage error, 100 abs(estimate - truth) / truth
    (Equation 5); the position error is the mean distance in pixels. Both errors and the accuracy
    are means over matched pairs.

    Parameters
    ----------
    matched : MatchedCatalog
        Detections with their true sources.
    axes : list of Bins
        Bins of magnitude and of SNR.

    Returns
    -------
    list of Mean
        Each metric overall (r < 22) and in the bins of each axis.
    """
    found = matched.match.detection_match >= 0
    means = [
        mean_of(
            Label("precision", EVERY, axis=bins.axis),
            bins,
            image=matched.detections.image,
            at=matched.estimated_magnitude,
            value=found,
            n_images=matched.n_images,
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
    """Compute the metrics of each matched pair: name of the metric -> (pair,)."""
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
    """Compute estimated over true flux of each matched pair: float64 (pair,)."""
    true_flux = matched.truth["flux"][matched.match.truth].astype(np.float64)
    ratio: np.ndarray = matched.detections.flux[matched.match.detection] / true_flux
    return ratio


def flux_ratio_series(matched: MatchedCatalog, axes: list[Bins]) -> list[Series]:
    """Compute bias and scatter of the flux over matched pairs.

    Parameters
    ----------
    matched : MatchedCatalog
        Detections with their true sources.
    axes : list of Bins
        Bins of magnitude and of SNR.

    Returns
    -------
    list of Series
        ``flux_bias_percent``, the median of estimated over true flux minus 1, and
        ``flux_scatter_percent``, half the width of the interval that holds the middle 68.3 % of
        that ratio; overall (r < 22) and in the bins of each axis.
    """
    truth = matched.match.truth
    image, ratio = matched.truth["image"][truth], flux_ratio(matched)
    series = []
    for bins in (OVERALL, *axes):
        at = coordinate(bins, matched.true_magnitude, snr=matched.truth["snr"])[truth]
        place = bins.place(at)
        inside = place >= 0
        low, median, high = resampled_quantiles(
            image[inside],
            ratio[inside],
            place=place[inside],
            levels=ONE_SIGMA,
            n_bins=len(bins),
            n_images=matched.n_images,
        )
        count = np.bincount(place[inside], minlength=len(bins)).astype(np.float64)
        for name, samples in (
            ("flux_bias_percent", 100 * (median - 1)),
            ("flux_scatter_percent", 100 * (high - low) / 2),
        ):
            label = Label(name, MATCHED, axis=bins.axis)
            series.append(Series(label, bins.low, bins.high, samples, count))
    return series


def f1(series: list[Series], *, axis: str = NONE) -> Series:
    """Compute the harmonic mean of precision and recall, 2 P R / (P + R).

    It is not binned by magnitude, because precision is binned by estimated and recall by true
    magnitude.

    Parameters
    ----------
    series : list of Series
        Metrics of one method, precision and recall along the axis among them.
    axis : str, optional
        Axis of both; by default they are those of all sources.

    Returns
    -------
    Series
    """
    precision, recall = [
        next(s for s in series if s.label.metric == name and s.label.axis == axis)
        for name in ("precision", "recall")
    ]
    p, r = precision.samples, recall.samples
    label = Label("f1", axis=axis)
    return Series(label, recall.low, recall.high, quotient(2 * p * r, p + r), recall.count)


def _of_truth(
    metric: str,
    sources: str,
    matched: MatchedCatalog,
    rows: np.ndarray,
    value: np.ndarray,
    axes: list[Bins],
) -> list[Mean]:
    """Sum a metric of some rows of the truth, overall and in the bins of each axis."""
    image = matched.truth["image"][rows]
    return [
        mean_of(
            Label(metric, sources, axis=bins.axis),
            bins,
            image=image,
            at=coordinate(bins, matched.true_magnitude, snr=matched.truth["snr"])[rows],
            value=value,
            n_images=matched.n_images,
        )
        for bins in (OVERALL, *axes)
    ]
