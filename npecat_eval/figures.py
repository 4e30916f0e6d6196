"""Figures 4 and 5 of the paper from the table of metrics, and marked images.

Colours are those of Okabe & Ito (2008), told apart with any colour vision; markers and dashes
tell the methods apart without colour. Files hold no time stamp.
"""

from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from npecat_eval.evaluate import TRUTH
from npecat_eval.tables import TITLES
from npecat_sim.errors import NpecatError
from npecat_sim.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))

PRINT: Any = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
"""A width of 7 inches fits two columns of a journal; type of 9 points stays readable there."""

PANELS = {
    "figure4_detection": ("precision", "recall"),
    "figure5_measurement": ("star_galaxy_accuracy", "flux_error_percent"),
}

NO_STAMP = {"png": {"Software": None}, "pdf": {"CreationDate": None}}

RESOLUTION = 200
"""Dots an inch of a PNG."""


def check_picture(path: Path) -> None:
    """Raise NpecatError unless the file's name tells its kind."""
    if path.suffix[1:] not in NO_STAMP:
        raise NpecatError(f"{path}: cannot tell its kind; name a file that ends in .png or .pdf")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in one step; path ends in png or pdf."""
    check_picture(path)
    kind = path.suffix[1:]
    with replacing(path) as partial:
        figure.savefig(partial, format=kind, dpi=RESOLUTION, metadata=NO_STAMP[kind])


def draw(table: Table, directory: Path) -> list[Path]:
    """Write each figure of PANELS for each test set as PNG and PDF.

    table: long form, from evaluate.evaluate, of one or of many test sets.
    """
    written = []
    plain = table[(table["reference"] == TRUTH) & np.isfinite(table["bin_low"])]
    for test_set in dict.fromkeys(map(str, plain["test_set"])):
        of_set = plain[plain["test_set"] == test_set]
        for name, metrics in PANELS.items():
            with matplotlib.rc_context(PRINT):
                figure = _metric_figure(of_set, metrics)
                figure.suptitle(f"Test set: {test_set}", fontsize="medium")
                for kind in NO_STAMP:
                    path = directory / f"{name}_{test_set}.{kind}"
                    save_figure(figure, path)
                    written.append(path)
    return written


def _metric_figure(table: Table, metrics: tuple[str, str]) -> Figure:
    """Two panels against magnitude, with one legend."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), metrics, strict=True):
        _draw_metric(axes, table[table["metric"] == metric])
        axes.set_ylabel(TITLES[metric])
        measured = "Estimated" if metric == "precision" else "True"
        axes.set_xlabel(f"{measured} r magnitude")
        if metric == "flux_error_percent" and axes.dataLim.minposy < np.inf:
            _log_percent(axes)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw_metric(axes: Axes, table: Table) -> None:
    """One line a method at the centres of the bins, with a band of one sigma."""
    styles = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=True)
    methods = dict.fromkeys(map(str, table["method"]))
    for method, (colour, marker, dash) in zip(methods, styles, strict=False):
        rows = table[table["method"] == method]
        centre = (rows["bin_low"] + rows["bin_high"]) / 2
        value, sigma = np.array(rows["value"]), np.array(rows["sigma"])
        axes.plot(centre, value, color=colour, marker=marker, linestyle=dash, label=method)
        axes.fill_between(
            centre, value - sigma, value + sigma, color=colour, alpha=0.25, linewidth=0
        )


def _log_percent(axes: Axes) -> None:
    """Flux errors span two decades: a logarithmic axis with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
