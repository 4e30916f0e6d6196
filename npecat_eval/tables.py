"""The table of metrics as files for machines and for people.

All functions take the long-form table of evaluate.evaluate, of one or of many test sets.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from npecat_eval.evaluate import TRUTH

TITLES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "star_galaxy_accuracy": "Star/galaxy accuracy",
    "flux_error_percent": "Flux error (%)",
}
"""Metrics in the order of the columns."""

DIGITS = 6
"""Significant ones: more than any sigma resolves, few enough to be the same on every machine."""


def write(table: Table, directory: Path, settings: dict[str, Any]) -> list[Path]:
    """Write metrics.ecsv (long form) and metrics.md (to read); the same input, the same bytes.

    settings: what the numbers depend on, such as the digest of the test store; plain values.
    """
    long_form = table.copy()
    long_form.meta = settings
    for name in ("bin_low", "bin_high", "value", "sigma"):
        long_form[name][:] = [float(f"{number:.{DIGITS}g}") for number in table[name]]
    ecsv, markdown_file = directory / "metrics.ecsv", directory / "metrics.md"
    long_form.write(ecsv, format="ascii.ecsv", overwrite=True)
    markdown_file.write_text(markdown(table), encoding="utf-8")
    return [ecsv, markdown_file]


def markdown(table: Table) -> str:
    """For each test set: the overall metrics, differences of methods, then a table a metric."""
    lines = ["# Metrics", "", "Sources of r < 22; each value ± one sigma (bootstrap over images)."]
    for test_set in _unique(table["test_set"]):
        of_set = table[table["test_set"] == test_set]
        lines += ["", f"## Test set `{test_set}`", ""]
        lines += _markdown_rows(_overall_cells(of_set))
        differences = _difference_cells(of_set)
        if len(differences) > 1:
            lines += ["", "Paired differences, on the same images:", ""]
            lines += _markdown_rows(differences)
        for metric, title in TITLES.items():
            cells = _binned_cells(of_set, metric)
            if len(cells) > 1:
                lines += ["", f"### {title}", ""]
                lines += _markdown_rows(cells)
    return "\n".join(lines) + "\n"


def overall_text(table: Table) -> str:
    """The overall metrics of every test set, in columns for the terminal."""
    blocks = []
    for test_set in _unique(table["test_set"]):
        cells = _overall_cells(table[table["test_set"] == test_set])
        cells[0][0] = f"test set {test_set}"
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            blocks.append("  ".join(padded).rstrip())
        blocks.append("")
    return "\n".join(blocks)


def _unique(column: np.ndarray) -> list[str]:
    return list(dict.fromkeys(map(str, column)))


def _overall_cells(table: Table) -> list[list[str]]:
    """A header, then a row a method with a column a metric."""
    plain = table[(table["reference"] == TRUTH) & np.isinf(table["bin_low"])]
    rows = [["Method", *TITLES.values()]]
    for method in _unique(plain["method"]):
        rows.append([method, *_metric_cells(plain[plain["method"] == method])])
    return rows


def _difference_cells(table: Table) -> list[list[str]]:
    """A header, then a row a pair of methods with a column a metric."""
    pairs = table[table["reference"] != TRUTH]
    rows = [["Difference", *TITLES.values()]]
    for method, reference in dict.fromkeys(zip(pairs["method"], pairs["reference"], strict=True)):
        chosen = (pairs["method"] == method) & (pairs["reference"] == reference)
        rows.append([f"{method} - {reference}", *_metric_cells(pairs[chosen])])
    return rows


def _metric_cells(table: Table) -> list[str]:
    """One row a metric in any order: its cells in the order of TITLES."""
    cell = {str(row["metric"]): _cell(row["value"], row["sigma"]) for row in table}
    return [cell[metric] for metric in TITLES]


def _binned_cells(table: Table, metric: str) -> list[list[str]]:
    """A header, then a row a magnitude bin with a column a method; a header alone if no bins."""
    binned = table[(table["metric"] == metric) & np.isfinite(table["bin_low"])]
    methods = _unique(binned["method"])
    by_method = [binned[binned["method"] == method] for method in methods]
    name = "Estimated r" if metric == "precision" else "True r"
    rows = [[name, *methods]]
    for of_bin in zip(*by_method, strict=True):
        span = f"{of_bin[0]['bin_low']:.2f} to {of_bin[0]['bin_high']:.2f}"
        rows.append([span, *(_cell(row["value"], row["sigma"]) for row in of_bin)])
    return rows


def _cell(value: float, sigma: float) -> str:
    """Value ± sigma with two digits of sigma; a dash where there is no value."""
    if not np.isfinite(value):
        return "-"
    if not np.isfinite(sigma):
        return f"{value:.3f}"
    decimals = 3 if sigma == 0 else max(0, 1 - int(np.floor(np.log10(sigma))))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"


def _markdown_rows(cells: list[list[str]]) -> list[str]:
    rule = ["---"] * len(cells[0])
    return ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])]
