"""From catalogs to the long-form table of metrics."""

from itertools import combinations

import numpy as np
from astropy.table import Table

from npecat_eval.bins import MAGNITUDE_LIMIT, magnitude_edges
from npecat_eval.bootstrap import value_and_sigma
from npecat_eval.matched import MatchedCatalog
from npecat_eval.metrics import Samples, sample_metrics
from npecat_sim.catalog import Catalog
from npecat_sim.units import magnitude
from npecat_train.detections import Detections

TRUTH = "truth"
"""Reference of plain metrics; the word must not be empty, which ECSV would read as missing."""

COLUMNS = (
    ("test_set", "U", "which images"),
    ("method", "U", "which predicted catalog"),
    ("reference", "U", "truth; or else the method whose metric was subtracted"),
    ("metric", "U", "name of the metric"),
    ("bin_low", "f8", "bright edge of the magnitude bin; -inf for all sources"),
    ("bin_high", "f8", "faint edge of the magnitude bin"),
    ("value", "f8", "NaN where there is no source"),
    ("sigma", "f8", "standard deviation by bootstrap over images; of paired differences too"),
    ("n", "i8", "sources that the metric is a mean over; true sources for f1"),
)


def evaluate(truth: Catalog, methods: dict[str, Detections], test_set: str) -> Table:
    """Every metric of every method, overall and by magnitude bin, and their differences.

    truth: all simulated sources of the images of ``test_set``. methods: name -> its catalog of
    those images. Returns one row a number, with COLUMNS: first each method, then each pair of
    methods, the later minus the earlier, overall. Raises NpecatError where no true source is
    bright enough, ValueError where a detection is of no image.
    """
    edges = magnitude_edges(magnitude(truth.flat()["flux"]))
    samples = {
        method: sample_metrics(MatchedCatalog.of(truth, detections), edges)
        for method, detections in methods.items()
    }
    rows = []
    for method, of_metric in samples.items():
        for metric, sample in of_metric.items():
            rows += [(test_set, method, TRUTH, metric, *row) for row in _rows(sample, edges)]
    for reference, method in combinations(samples, 2):
        for metric, sample in samples[method].items():
            difference = sample.overall - samples[reference][metric].overall
            row = _overall_row(difference, sample.count)
            rows.append((test_set, method, reference, metric, *row))
    return _table(rows)


def _rows(sample: Samples, edges: np.ndarray) -> list[tuple]:
    """(bin_low, bin_high, value, sigma, n), overall and then by bin."""
    value, sigma = value_and_sigma(sample.binned)
    binned = zip(edges[:-1], edges[1:], value, sigma, sample.count, strict=False)
    return [_overall_row(sample.overall, sample.count), *binned]


def _overall_row(overall: np.ndarray, count: np.ndarray) -> tuple:
    value, sigma = value_and_sigma(overall[:, None])
    return -np.inf, MAGNITUDE_LIMIT, value[0], sigma[0], count.sum()


def _table(rows: list[tuple]) -> Table:
    """A table of COLUMNS with units and descriptions."""
    values = zip(*rows, strict=True)
    table = Table()
    for (name, dtype, description), column in zip(COLUMNS, values, strict=True):
        table[name] = np.array(column, dtype=dtype)
        table[name].description = description
    table["bin_low"].unit = table["bin_high"].unit = "mag"
    return table
