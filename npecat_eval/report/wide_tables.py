"""Metrics as wide tables for readers, made from the long form of metrics.table.evaluate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Row, Table

from npecat_eval.metrics.binned_means import MATCHED, TILES
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST, MAGNITUDE, NONE, SNR
from npecat_eval.metrics.calibration import BY_TRUTH, LEVEL
from npecat_eval.metrics.table import TRUTH

TITLES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "star_galaxy_accuracy": "Star/galaxy accuracy",
    "flux_error_percent": "Flux error (%)",
}
"""The main metrics in the order of their columns: name -> title."""

DETAILS = {
    "flux_bias_percent": "Flux bias (%)",
    "flux_scatter_percent": "Flux scatter (%)",
    "position_error_pixel": "Position error (pixel)",
    "auc": "Star/galaxy AUC",
    "nll": "NLL (nats an image)",
}
"""More metrics of the same sources: name -> title."""

FACTORS = {f"nll_{name}": name for name in ("source", "position", "type", "flux")}
"""Negative log-likelihoods of the factors of the posterior: name -> title."""

BY_SELECTION = {
    "count_ratio": "Expected over true number of sources",
    "count_limit": "The same if each tile counts one source",
    "expected_count_slope": "Slope of expected on true number of sources in an image",
    "true_count_slope": "Slope of true on expected number of sources in an image",
    "auc": "Star/galaxy AUC",
}
"""Metrics with a table of their own, which has a column for each selection: name -> title."""

MIN_SIGMA = 1e-9
"""A smaller sigma is rounding error."""

SHOWN_LEVELS = (0.5, 0.6, 0.8, 0.9, 0.95)
"""Probabilities of the credible intervals in the tables of coverage."""


@dataclass(frozen=True)
class WideTable:
    """A table to read.

    Parameters
    ----------
    title : str
        Of the table.
    cells : list of list of str
        A header row, then the other rows; the first column holds the names of the rows.
    """

    title: str
    cells: list[list[str]]


def wide_tables(table: Table) -> list[WideTable]:
    """All wide tables of one test set.

    Parameters
    ----------
    table : Table
        Metrics of that test set in long form.

    Returns
    -------
    list of WideTable
        Tables without values are left out.
    """
    plain = table[table["reference"] == TRUTH]
    overall = plain[(plain["axis"] == NONE) & (plain["selection"] == ALL)]
    tables = [
        by_method("Sources of r < 22", overall, metrics=TITLES),
        by_method("More of the same sources", overall, metrics=DETAILS),
        *_differences(table),
    ]
    for axis, name in ((MAGNITUDE, "r"), (SNR, "SNR")):
        of_axis = plain[plain["axis"] == axis]
        for metric, title in (TITLES | DETAILS).items():
            measured = "estimated" if metric == "precision" else "true"
            tables.append(
                by_bin(f"{title} by {measured} {name}", of_axis[of_axis["metric"] == metric])
            )
    tables.append(
        by_method("Negative log-likelihood by factor (nats an image)", overall, metrics=FACTORS)
    )
    tables += [_by_selection(title, plain, metric) for metric, title in BY_SELECTION.items()]
    tables += [
        _coverage(plain, parameter, sources)
        for parameter in ("flux", "position")
        for sources in (MATCHED, TILES)
    ]
    return [one for one in tables if len(one.cells) > 1 and len(one.cells[0]) > 1]


def by_method(title: str, table: Table, *, metrics: dict[str, str]) -> WideTable:
    """A table with a row for each method and a column for each metric.

    Parameters
    ----------
    title : str
        Of the table.
    table : Table
        Rows of the long form, at most one for each method and metric.
    metrics : dict of str to str
        Metric -> title of its column; metrics that no method has are left out.

    Returns
    -------
    WideTable
    """
    present = {m: name for m, name in metrics.items() if m in set(table["metric"])}
    rows = [["Method", *present.values()]]
    for method in unique(table["method"]):
        cells = _cells(table[table["method"] == method], lambda row: row["metric"])
        if any(metric in cells for metric in present):
            rows.append([method, *(cells.get(metric, "-") for metric in present)])
    return WideTable(title, rows)


def by_bin(title: str, table: Table) -> WideTable:
    """A table with a row for each bin and a column for each method.

    Parameters
    ----------
    title : str
        Of the table.
    table : Table
        Rows of the long form of one metric and axis.

    Returns
    -------
    WideTable
    """
    methods = unique(table["method"])
    rows = [["Bin", *methods]]
    by = [
        _cells(table[table["method"] == m], lambda row: (row["low"], row["high"])) for m in methods
    ]
    for low, high in by[0] if by else ():
        rows.append([f"{low:.2f} to {high:.2f}", *(of.get((low, high), "-") for of in by)])
    return WideTable(title, rows)


def unique(column: np.ndarray) -> list[str]:
    """The different values of a column, in the order in which they first appear."""
    return list(dict.fromkeys(map(str, column)))


def cell(value: float, sigma: float) -> str:
    """A value ± its sigma, with two digits of the sigma; a dash if there is no value."""
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(sigma):
        return f"{value:.3f}"
    decimals = 3 if sigma < MIN_SIGMA else max(0, 1 - int(np.floor(np.log10(sigma))))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"


def _cells(table: Table, key: Callable[[Row], object]) -> dict[Any, str]:
    """The value and sigma of each row as text, by a key of the row."""
    return {key(row): cell(row["value"], row["sigma"]) for row in table}


def _differences(table: Table) -> list[WideTable]:
    """Paired differences of methods, a row for each pair."""
    pairs = table[(table["reference"] != TRUTH) & (table["selection"] == ALL)]
    named = pairs.copy()
    named["method"] = [f"{row['method']} - {row['reference']}" for row in pairs]
    return [
        by_method(f"Paired differences: {name}", named, metrics=metrics)
        for name, metrics in (("headline", TITLES), ("more", DETAILS))
    ]


def _by_selection(title: str, table: Table, metric: str) -> WideTable:
    """A table with a row for each method and a column for each selection."""
    of_metric = table[(table["metric"] == metric) & (table["axis"] == NONE)]
    selections = [ALL, BRIGHTEST, FAINTEST]
    rows = [["Method", *selections]]
    for method in unique(of_metric["method"]):
        cells = _cells(of_metric[of_metric["method"] == method], lambda row: row["selection"])
        rows.append([method, *(cells.get(name, "-") for name in selections)])
    return WideTable(title, rows)


def _coverage(table: Table, parameter: str, sources: str) -> WideTable:
    """A table with a row for each method and selection, and a column for each level."""
    chosen = (
        (table["metric"] == f"{parameter}_coverage")
        & (table["sources"] == sources)
        & (table["axis"] == LEVEL)
    )
    of_metric = table[chosen]
    where = "matched pairs" if sources == MATCHED else "the true tiles"
    rows = [["Method, selection", *(f"{100 * level:g} %" for level in SHOWN_LEVELS)]]
    for method in unique(of_metric["method"]):
        of_method = of_metric[of_metric["method"] == method]
        for selection in (ALL, BRIGHTEST, FAINTEST, *BY_TRUTH.values()):
            found = _cells(
                of_method[of_method["selection"] == selection], lambda row: round(row["low"], 3)
            )
            cells = [found.get(level, "-") for level in SHOWN_LEVELS]
            rows.append([f"{method}, {selection}", *cells])
    return WideTable(f"Coverage of central {parameter} intervals at {where}", rows)
