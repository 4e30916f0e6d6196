"""The figure of metrics by condition of stores of prior ``wide``."""

from pathlib import Path

import matplotlib
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from npecat_eval.metrics.bins import ALL, NONE
from npecat_eval.metrics.conditions import CONDITIONS
from npecat_eval.pictures.style import (
    COLOURS,
    DASHES,
    MARKERS,
    NO_STAMP,
    PRINT,
    save_figure,
)
from npecat_eval.report.wide_tables import WideTable, cell, unique
from npecat_sim.wide.conditions import KINDS

METRICS = {
    "f1": "F1",
    "star_galaxy_accuracy": "Star/galaxy accuracy",
    "flux_error_percent": "Flux error (%)",
    "star_flux_bias_percent": "Star flux bias (%)",
    "flux_coverage_95": "Coverage at 95 %",
}
"""Rows of the figure, and columns of the tables: metric -> title."""

NAME = "conditions"
"""Of the figure, before the name of the test set."""

CAPTION = (
    "The same sources by what their images are like, a column for each condition; error bars are "
    "one sigma. Each bin has all sources of the images in it. conditions.ecsv also has recall, "
    "precision, the recall of stars of SNR > 20, and coverage at 60, 80 and 95 % of all sources "
    "and of the brightest and faintest tenth."
)
"""How to read the figure."""


def draw(table: Table, directory: Path) -> list[Path]:
    """Write the figure of one test set as PNG and PDF.

    Parameters
    ----------
    table : Table
        From metrics.conditions.by_condition.
    directory : Path
        Folder to write to.

    Returns
    -------
    list of Path
        The files.
    """
    methods = unique(table["method"])
    shown = table[table["selection"] == ALL]
    with matplotlib.rc_context(PRINT):
        size = (2.0 * len(CONDITIONS), 1.8 * len(METRICS) + 0.6)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(METRICS), len(CONDITIONS), sharey="row", sharex="col")
        for row, metric in enumerate(METRICS):
            for column, axis in enumerate(CONDITIONS):
                here = shown[(shown["metric"] == metric) & (shown["axis"] == axis)]
                _panel(panels[row, column], here, methods)
            panels[row, 0].set_ylabel(METRICS[metric])
        for column, (axis, condition) in enumerate(CONDITIONS.items()):
            unit = f" ({condition.unit})" if condition.unit != "1" else ""
            panels[-1, column].set_xlabel(condition.title + unit)
            labels = _labels(shown[shown["axis"] == axis])
            panels[-1, column].set_xticks(range(len(labels)), labels, rotation=60, ha="right")
        figure.align_xlabels()
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(methods))
        paths = [figure_path(directory, str(table["test_set"][0]), suffix) for suffix in NO_STAMP]
        for path in paths:
            save_figure(figure, path)
    return paths


def figure_path(directory: Path, test_set: str, suffix: str) -> Path:
    """The file of the figure of a test set."""
    return directory / f"{NAME}_{test_set}.{suffix}"


def _panel(axes: Axes, table: Table, methods: list[str]) -> None:
    """Draw one metric along one condition, a line for each method that has it."""
    places = {low: place for place, low in enumerate(unique(table["low"]))}
    for number, method in enumerate(methods):
        rows = table[(table["method"] == method) & np.isfinite(table["value"])]
        if len(rows):
            axes.errorbar(
                [places[str(low)] for low in rows["low"]],
                rows["value"],
                yerr=rows["sigma"],
                label=method,
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle=DASHES[number % len(DASHES)],
            )


def condition_tables(table: Table) -> list[WideTable]:
    """A table for each condition, with a row for each bin and method and a column for each metric.

    Parameters
    ----------
    table : Table
        From metrics.conditions.by_condition.

    Returns
    -------
    list of WideTable
    """
    shown = table[(table["selection"] == ALL) & (table["axis"] != NONE)]
    tables = []
    for axis in unique(shown["axis"]):
        of_axis = shown[shown["axis"] == axis]
        rows = [["Bin, method", *METRICS.values()]]
        lows = unique(of_axis["low"])
        for low, label in zip(lows, _labels(of_axis), strict=True):
            of_bin = of_axis[[str(value) == low for value in of_axis["low"]]]
            for method in unique(of_bin["method"]):
                found = {
                    str(row["metric"]): cell(row["value"], row["sigma"])
                    for row in of_bin[of_bin["method"] == method]
                }
                cells = [found.get(metric, "-") for metric in METRICS]
                rows.append([f"{label}, {method}", *cells])
        tables.append(WideTable(f"By {CONDITIONS[axis].title}", rows))
    return tables


def _labels(table: Table) -> list[str]:
    """Names of the bins of one condition."""
    edges = dict.fromkeys((row["low"], row["high"]) for row in table)
    if len(table) and table["axis"][0] == "psf_kind":
        return [KINDS[int(low + 0.5)].replace("_", " ") for low, _ in edges]
    return [f"{low:.2g} to {high:.2g}" for low, high in edges]
