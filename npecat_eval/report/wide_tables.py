"""The long-form table of metrics as tables to read: a column a method, a row a bin or a metric."""

from collections.abc import Callable
from dataclasses import dataclass

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
"""The headline: metrics in the order of the columns."""

DETAILS = {
    "flux_bias_percent": "Flux bias (%)",
    "flux_scatter_percent": "Flux scatter (%)",
    "position_error_pixel": "Position error (pixel)",
    "auc": "Star/galaxy AUC",
    "nll": "NLL (nats an image)",
}

FACTORS = {f"nll_{name}": name for name in ("source", "position", "type", "flux")}

BY_SELECTION = {
    "count_ratio": "Expected over true number of sources",
    "count_limit": "The same if each tile counts one source",
    "expected_count_slope": "Slope of expected on true number of sources in an image",
    "true_count_slope": "Slope of true on expected number of sources in an image",
    "auc": "Star/galaxy AUC",
}

LEAST_SIGMA = 1e-9
"""Anything smaller is the rounding of floating point."""

SHOWN_LEVELS = (0.5, 0.6, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class WideTable:
    """title: of the table. cells: a header row, then the others; the first column names the row."""

    title: str
    cells: list[list[str]]


def wide_tables(table: Table) -> list[WideTable]:
    """All tables of one test set; table: the long form of that set alone."""
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
    """A row a method and a column a metric; metrics that no method has are left out."""
    present = {m: name for m, name in metrics.items() if m in set(table["metric"])}
    rows = [["Method", *present.values()]]
    for method in unique(table["method"]):
        cells = _cells(table[table["method"] == method], lambda row: row["metric"])
        if any(metric in cells for metric in present):
            rows.append([method, *(cells.get(metric, "-") for metric in present)])
    return WideTable(title, rows)


def by_bin(title: str, table: Table) -> WideTable:
    """A row a bin and a column a method."""
    methods = unique(table["method"])
    rows = [["Bin", *methods]]
    by = [
        _cells(table[table["method"] == m], lambda row: (row["low"], row["high"])) for m in methods
    ]
    for low, high in by[0] if by else ():
        rows.append([f"{low:.2f} to {high:.2f}", *(of.get((low, high), "-") for of in by)])
    return WideTable(title, rows)


def unique(column: np.ndarray) -> list[str]:
    """Values of a column in the order of their first place."""
    return list(dict.fromkeys(map(str, column)))


def cell(value: float, sigma: float) -> str:
    """Value ± sigma with two digits of sigma; a dash where there is no value."""
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(sigma):
        return f"{value:.3f}"
    decimals = 3 if sigma < LEAST_SIGMA else max(0, 1 - int(np.floor(np.log10(sigma))))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"


def _cells(table: Table, key: Callable[[Row], object]) -> dict:
    return {key(row): cell(row["value"], row["sigma"]) for row in table}


def _differences(table: Table) -> list[WideTable]:
    """Paired differences of methods, a row a pair."""
    pairs = table[(table["reference"] != TRUTH) & (table["selection"] == ALL)]
    named = pairs.copy()
    named["method"] = [f"{row['method']} - {row['reference']}" for row in pairs]
    return [
        by_method(f"Paired differences: {name}", named, metrics=metrics)
        for name, metrics in (("headline", TITLES), ("more", DETAILS))
    ]


def _by_selection(title: str, table: Table, metric: str) -> WideTable:
    """A row a method and a column a selection."""
    of_metric = table[(table["metric"] == metric) & (table["axis"] == NONE)]
    selections = [ALL, BRIGHTEST, FAINTEST]
    rows = [["Method", *selections]]
    for method in unique(of_metric["method"]):
        cells = _cells(of_metric[of_metric["method"] == method], lambda row: row["selection"])
        rows.append([method, *(cells.get(name, "-") for name in selections)])
    return WideTable(title, rows)


def _coverage(table: Table, parameter: str, sources: str) -> WideTable:
    """A row a method and selection, a column a level."""
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
