"""The long-form table of metrics, computed from catalogs and posteriors."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from astropy.table import Table

from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.metrics.binned_means import MATCHED, Label, Series, resample
from npecat_eval.metrics.bins import MAGNITUDE, NONE
from npecat_eval.metrics.bootstrap import value_and_sigma
from npecat_eval.metrics.bound import Bound
from npecat_eval.metrics.calibration import (
    Pits,
    calibration_means,
    count_means,
    count_slopes,
    p_value_series,
)
from npecat_eval.metrics.matched import MatchedCatalog
from npecat_eval.metrics.point_metrics import f1, flux_ratio_series, measurement_means
from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.reliability import detection_reliability
from npecat_eval.metrics.roc import separation_series

TRUTH = "truth"
"""Reference of plain metrics; not an empty string, which ECSV would read as a missing value."""

BOUND = "bound"
"""Method: the physical bound, see bound.py."""

P_VALUE = "p_value"
"""Ending of the names of metrics that have no bootstrap."""

COLUMNS = (
    ("test_set", "U", "which images"),
    ("method", "U", "which predicted catalog; bound: what is physically possible"),
    ("reference", "U", "truth; or else the method whose metric was subtracted"),
    ("metric", "U", "name of the metric"),
    ("sources", "U", "every source or detection, matched pairs, or the true tiles"),
    ("selection", "U", "of these sources: all of r < 22, or a tenth"),
    ("axis", "U", "what low and high are of: none stands for r magnitude of all sources"),
    ("low", "f8", "lower edge of the bin"),
    ("high", "f8", "upper edge of the bin"),
    ("value", "f8", "NaN where there is no source"),
    ("sigma", "f8", "standard deviation by bootstrap over images; of paired differences too"),
    ("n", "i8", "sources, tiles or images that the metric is a mean over; true sources for f1"),
    ("unit", "U", "of value and sigma; 1 for pure numbers"),
    ("axis_unit", "U", "of low and high; 1 for pure numbers"),
)
"""Columns of the table of metrics: name, dtype and description."""

UNITS = {"percent": "%", "pixel": "pix", "nll": "nat"}
"""Word in the name of a metric -> unit of the metric."""


def evaluate(
    truth: Truth, predictions: dict[str, Prediction], *, bound: Bound | None, test_set: str
) -> Table:
    """Compute every metric of every method, and the paired differences of the overall ones.

    Parameters
    ----------
    truth : Truth
        True catalog of the test set.
    predictions : dict of str to Prediction
        Method -> its prediction for the images of the test set.
    bound : Bound or None
        Physical bound, which becomes a method of its own.
    test_set : str
        Name of the test set.

    Returns
    -------
    Table
        The columns COLUMNS, one row per number: first the metrics of each method, then of the
        bound, then the differences of each pair of methods, the later one minus the earlier one.

    Raises
    ------
    ValueError
        If the image of a detection is not one of the images of the test set.
    """
    series = {
        method: method_series(truth, prediction) for method, prediction in predictions.items()
    }
    rows = [
        (test_set, method, TRUTH, *row)
        for method, of_method in series.items()
        for one in of_method
        for row in rows_of(one)
    ]
    if bound:
        for one in resample(bound.means(truth.axes, truth.n_images)):
            rows += [(test_set, BOUND, TRUTH, *row) for row in rows_of(one)]
    for reference, method in combinations(series, 2):
        for one in differences(series[reference], series[method]):
            rows += [(test_set, method, reference, *row) for row in rows_of(one)]
    return table_of(rows)


def method_series(truth: Truth, prediction: Prediction) -> list[Series]:
    """Compute all metrics of one method with their resamples.

    Parameters
    ----------
    truth : Truth
        True catalog of the test set.
    prediction : Prediction
        Of the method; calibration is computed only where it has posteriors.

    Returns
    -------
    list of Series
    """
    matched = MatchedCatalog.of(truth.catalog, prediction.detections, hidden=truth.hidden)
    means = measurement_means(matched, truth.axes)
    series = [*flux_ratio_series(matched, truth.axes), *separation_series(matched, truth.spans)]
    if prediction.catalog and prediction.tiles:
        means += detection_reliability(matched)
        means += prediction.tiles.means()
        for counts in prediction.tiles.counts(truth.magnitude, truth.image, spans=truth.spans):
            means += count_means(counts)
            series += count_slopes(counts)
        for pits in (*matched_pits(matched, prediction.catalog), *prediction.tiles.pits()):
            means += calibration_means(pits, truth.spans, n_images=truth.n_images)
            series += p_value_series(pits, truth.spans)
    resampled = resample(means)
    return [*resampled, f1(resampled), *series]


def matched_pits(matched: MatchedCatalog, catalog: PredictedCatalog) -> list[Pits]:
    """Compute the PITs of flux and of position (x and y together) over the matched pairs.

    The position of a detection is confined to its tile; if the true position lies in the next
    tile, the PIT is 0 or 1.

    Parameters
    ----------
    matched : MatchedCatalog
        Detections with their true sources.
    catalog : PredictedCatalog
        The same detections with their posteriors.

    Returns
    -------
    list of Pits
        Of the flux, (pair,), and of the position, (2 pair,), x before y.
    """
    truth, detection = matched.match.truth, matched.match.detection
    image = matched.truth["image"][truth]
    estimated = matched.estimated_magnitude[detection]
    true = matched.true_magnitude[truth]
    pit = catalog.pit(detection, {n: matched.truth[n][truth] for n in ("flux", "x", "y")})
    position = np.concatenate([pit["x"], pit["y"]])
    twice_image, twice_estimated, twice_true = [
        np.tile(values, 2) for values in (image, estimated, true)
    ]
    return [
        Pits("flux", MATCHED, image, pit["flux"], estimated, true),
        Pits("position", MATCHED, twice_image, position, twice_estimated, twice_true),
    ]


def differences(reference: Sequence[Series], method: Sequence[Series]) -> Iterator[Series]:
    """Compute the paired differences of the overall metrics of two methods.

    Parameters
    ----------
    reference, method : sequence of Series
        All metrics of the two methods.

    Yields
    ------
    Series
        Method minus reference, for each metric without bins that both have and that has a
        bootstrap.
    """
    subtracted = {one.label: one for one in reference}
    for one in method:
        plain = one.label.axis == NONE and not one.label.metric.endswith(P_VALUE)
        if plain and one.label in subtracted:
            samples = one.samples - subtracted[one.label].samples
            yield Series(one.label, one.low, one.high, samples, one.count)


def rows_of(series: Series) -> Iterator[tuple[Any, ...]]:
    """Yield the columns from ``metric`` on, one row per bin."""
    label: Label = series.label
    value, sigma = value_and_sigma(series.samples)
    words = label.metric.split("_")
    unit = next((unit for word, unit in UNITS.items() if word in words), "1")
    axis_unit = "mag" if label.axis in (NONE, MAGNITUDE) else "1"
    for cells in zip(series.low, series.high, value, sigma, series.count, strict=True):
        yield label.metric, label.sources, label.selection, label.axis, *cells, unit, axis_unit


def table_of(rows: list[tuple[Any, ...]]) -> Table:
    """Make a table of COLUMNS with descriptions."""
    table = Table()
    for (name, dtype, description), column in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        table[name] = np.array(column, dtype=dtype)
        table[name].description = description
    return table
