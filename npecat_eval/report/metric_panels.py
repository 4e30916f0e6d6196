"""Panels of metrics against magnitude, SNR, level and so on, made from the table of metrics.

Every function here takes the rows of one test set in long form: metrics, without differences
between methods.
"""

from collections.abc import Callable
from itertools import cycle, product
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from npecat_eval.metrics.binned_means import EVERY, MATCHED
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST, NONE, SNR
from npecat_eval.metrics.calibration import EXPECTED_COUNT, TRUE_COUNT
from npecat_eval.metrics.reliability import PROBABILITY
from npecat_eval.metrics.table import BOUND
from npecat_eval.pictures.style import COLOURS, DASHES, MARKERS
from npecat_eval.report.wide_tables import TITLES, unique

SELECTIONS = (ALL, BRIGHTEST, FAINTEST)
"""Selections of sources, each with a panel or a group of points."""

MIN_IMAGES = 10
"""Minimum number of images behind a point of mean numbers of sources; a bootstrap over fewer is not
reliable."""


def styles(table: Table) -> dict[str, dict[str, Any]]:
    """The look of each method, the same in all figures.

    Parameters
    ----------
    table : Table
        All rows of the test set.

    Returns
    -------
    dict
        Method -> its colour, marker and line style; the bound is grey and has no marker.
    """
    looks = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=True)
    methods = [method for method in unique(table["method"]) if method != BOUND]
    found = {
        method: {"color": colour, "marker": marker, "linestyle": dash}
        for method, (colour, marker, dash) in zip(methods, looks, strict=False)
    }
    return {**found, BOUND: {"color": "0.4", "marker": "", "linestyle": (0, (1, 1))}}


def _of(table: Table, **wanted: str) -> Table:
    """The rows that have the wanted values in the named columns."""
    chosen = np.ones(len(table), dtype=bool)
    for column, word in wanted.items():
        chosen &= np.asarray(table[column]) == word
    return table[chosen]


def _panels(n: int, n_rows: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure with rows of n panels each, and the panels in reading order."""
    size = 7, n_rows * (3.2 if n == 2 else 2.9)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(n_rows, n, squeeze=False).ravel()


def _lines(axes: Axes, table: Table, looks: dict[str, dict[str, Any]], **options: Any) -> None:
    """Draw a line for each method at the centres of the bins, with a band of one sigma."""
    for method in unique(table["method"]):
        rows = table[table["method"] == method]
        centre = (rows["low"] + rows["high"]) / 2
        value, sigma = np.array(rows["value"]), np.array(rows["sigma"])
        axes.plot(centre, value, label=method, **{**looks[method], **options})
        colour = looks[method]["color"]
        axes.fill_between(
            centre, value - sigma, value + sigma, color=colour, alpha=0.25, linewidth=0
        )


def _against(
    axes: Axes, table: Table, across: str, upward: str, looks: dict[str, dict[str, Any]]
) -> None:
    """Draw one metric against another of the same bins, and the line where they are equal."""
    for method in unique(table["method"]):
        of_method = table[table["method"] == method]
        x, y = _of(of_method, metric=across), _of(of_method, metric=upward)
        axes.errorbar(
            np.array(x["value"]),
            np.array(y["value"]),
            yerr=np.array(y["sigma"]),
            label=method,
            **looks[method],
        )
    axes.axline((1, 1), slope=1, color="0.4", linewidth=0.8, linestyle=":")


def _legend(figure: Figure) -> Figure:
    """Add one legend of the methods of all panels below them."""
    labels: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=5)
    return figure


def by_axis(axis: str, metrics: tuple[str, ...]) -> Callable[[Table], Figure]:
    """A function that draws metrics against magnitude or SNR, with a panel for each.

    Parameters
    ----------
    axis : str
        MAGNITUDE or SNR.
    metrics : tuple of str
        Names of metrics.

    Returns
    -------
    callable
        Draws the figure from the rows of one test set.
    """

    def draw_panels(table: Table) -> Figure:
        """Draw a panel for each metric."""
        figure, panels = _panels(len(metrics))
        for axes, metric in zip(panels, metrics, strict=True):
            _lines(axes, _of(table, metric=metric, axis=axis), styles(table))
            axes.set_ylabel(TITLES[metric])
            measured = "Estimated" if metric == "precision" else "True"
            axes.set_xlabel("SNR" if axis == SNR else f"{measured} r magnitude")
            if metric == "flux_error_percent" and 0 < axes.dataLim.minposy < np.inf:
                _log_percent(axes)
            if axis == SNR and axes.dataLim.minposx < np.inf:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return _legend(figure)

    return draw_panels


def counts(table: Table) -> Figure:
    """Draw the expected over the true number of sources, a group of points for each selection."""
    rows = _of(table, metric="count_ratio", axis=NONE)
    figure, (axes,) = _panels(1)
    looks = styles(table)
    methods = unique(rows["method"])
    for place, method in enumerate(methods):
        numbers = [_of(rows, method=method, selection=selection)[0] for selection in SELECTIONS]
        x = np.arange(len(SELECTIONS)) + 0.12 * (place - (len(methods) - 1) / 2)
        value, sigma = [row["value"] for row in numbers], [row["sigma"] for row in numbers]
        look = {**looks[method], "linestyle": ""}
        axes.errorbar(x, value, yerr=sigma, capsize=2, label=method, **look)
    limits = _of(table, metric="count_limit", axis=NONE)
    for row in limits[: len(SELECTIONS)]:  # the same of all methods
        place = SELECTIONS.index(row["selection"])
        label = None if place else "all that tiles can count"
        axes.hlines(row["value"], place - 0.3, place + 0.3, color="0.4", label=label)
    axes.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(SELECTIONS)), SELECTIONS)
    axes.set_ylabel("Expected / true number")
    return _legend(figure)


def numbers(table: Table) -> Figure:
    """Draw the mean expected against the true number of sources in an image, and the reverse."""
    figure, panels = _panels(len(SELECTIONS), n_rows=2)
    titles = {TRUE_COUNT: "True number", EXPECTED_COUNT: "Expected number"}
    known = table[np.asarray(table["n"]) >= MIN_IMAGES]
    places = product((TRUE_COUNT, EXPECTED_COUNT), SELECTIONS)
    for axes, (across, selection) in zip(panels, places, strict=True):
        upward = EXPECTED_COUNT if across == TRUE_COUNT else TRUE_COUNT
        rows = _of(known, axis=across, selection=selection)
        _against(axes, rows, across, upward, styles(table))
        axes.set_title(selection, fontsize="medium")
        axes.set(xlabel=titles[across], ylabel=f"Mean {titles[upward].lower()}")
        axes.locator_params(integer=True, nbins=6, min_n_ticks=1)
        _, right = axes.get_xlim()
        _, top = axes.get_ylim()
        limits = -0.2, max(right, top)
        axes.set(xlim=limits, ylim=limits)
    return _legend(figure)


def by_selection(
    metric: str, sources: str, *, axis: str, finish: Callable[[Axes], None]
) -> Callable[[Table], Figure]:
    """A function that draws a metric for the three selections, with a panel for each.

    Parameters
    ----------
    metric, sources, axis : str
        Values of these columns of the long form.
    finish : callable
        Sets the labels and limits of a panel.

    Returns
    -------
    callable
        Draws the figure from the rows of one test set.
    """

    def draw_panels(table: Table) -> Figure:
        """Draw a panel for each selection."""
        figure, panels = _panels(len(SELECTIONS))
        rows = _of(table, metric=metric, sources=sources, axis=axis)
        for axes, selection in zip(panels, SELECTIONS, strict=True):
            _lines(axes, _of(rows, selection=selection), styles(table), markersize=2.5)
            axes.set_title(selection, fontsize="medium")
            finish(axes)
        return _legend(figure)

    return draw_panels


def finish_roc(axes: Axes) -> None:
    """Set labels and limits of a receiver operating characteristic."""
    axes.set(xlabel="Stars called galaxies", ylabel="Galaxies called galaxies")
    axes.set(xlim=(-0.01, 0.5), ylim=(0.5, 1.01))


def finish_coverage(axes: Axes) -> None:
    """Set labels of a panel of coverage, and draw the diagonal of exact intervals."""
    axes.plot([0.5, 1], [0.5, 1], color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="Probability of the interval", ylabel="Share that holds the truth")


def finish_pit(axes: Axes) -> None:
    """Set labels of a histogram of the PIT, and draw the level of a uniform distribution."""
    axes.axhline(0.05, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="PIT of flux", ylabel="Share of sources")
    axes.set_ylim(bottom=0)


def reliability(table: Table) -> Figure:
    """Draw the share of tiles and of detections with a source against their mean probability."""
    figure, (tiles, detections) = _panels(2)
    for axes, sources in ((tiles, EVERY), (detections, MATCHED)):
        rows = _of(table, sources=sources, axis=PROBABILITY)
        _against(axes, rows, "source_probability", "source_share", styles(table))
        axes.set_xlabel("P(source)")
    tiles.set_ylabel("Share of tiles with a source")
    detections.set_ylabel("Share of detections that match")
    return _legend(figure)


def _log_percent(axes: Axes) -> None:
    """Make the y axis logarithmic with plain numbers, for flux errors span two decades."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
