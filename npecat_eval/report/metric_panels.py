"""Panels of metrics against magnitude, SNR, level and the like, from the table of metrics alone.

Every function here takes the rows of one test set, plain metrics and no differences.
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

FEWEST_IMAGES = 10
"""Of a point of mean numbers of sources; the bootstrap of fewer says little."""


def styles(table: Table) -> dict[str, dict[str, Any]]:
    """Method -> colour, marker and dash, the same in all figures; the bound is grey and plain."""
    looks = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=True)
    methods = [method for method in unique(table["method"]) if method != BOUND]
    found = {
        method: {"color": colour, "marker": marker, "linestyle": dash}
        for method, (colour, marker, dash) in zip(methods, looks, strict=False)
    }
    return {**found, BOUND: {"color": "0.4", "marker": "", "linestyle": (0, (1, 1))}}


def _of(table: Table, **wanted: str) -> Table:
    """The rows that have the wanted words in their columns."""
    chosen = np.ones(len(table), dtype=bool)
    for column, word in wanted.items():
        chosen &= np.asarray(table[column]) == word
    return table[chosen]


def _panels(n: int, n_rows: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of rows of n panels; the panels in reading order."""
    size = 7, n_rows * (3.2 if n == 2 else 2.9)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(n_rows, n, squeeze=False).ravel()


def _lines(axes: Axes, table: Table, looks: dict[str, dict[str, Any]], **options: Any) -> None:
    """One line a method at the centres of the bins, with a band of one sigma."""
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
    """One metric against another of the same bins, with the line where they are equal."""
    for method in unique(table["method"]):
        of_method = table[table["method"] == method]
        x, y = (_of(of_method, metric=metric) for metric in (across, upward))
        axes.errorbar(
            np.array(x["value"]),
            np.array(y["value"]),
            yerr=np.array(y["sigma"]),
            label=method,
            **looks[method],
        )
    axes.axline((1, 1), slope=1, color="0.4", linewidth=0.8, linestyle=":")


def _legend(figure: Figure) -> Figure:
    """One legend of all panels' methods, below them."""
    labels: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=5)
    return figure


def by_axis(axis: str, metrics: tuple[str, ...]) -> Callable[[Table], Figure]:
    """Draws metrics against magnitude or SNR, a panel each."""

    def draw_panels(table: Table) -> Figure:
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
    """Expected over true number of sources, a group of points a selection."""
    rows = _of(table, metric="count_ratio", axis=NONE)
    figure, (axes,) = _panels(1)
    looks = styles(table)
    methods = unique(rows["method"])
    for place, method in enumerate(methods):
        numbers = [_of(rows, method=method, selection=selection)[0] for selection in SELECTIONS]
        x = np.arange(len(SELECTIONS)) + 0.12 * (place - (len(methods) - 1) / 2)
        value, sigma = ([row[name] for row in numbers] for name in ("value", "sigma"))
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
    """Mean expected against true number of sources in an image, and the other way round."""
    figure, panels = _panels(len(SELECTIONS), n_rows=2)
    titles = {TRUE_COUNT: "True number", EXPECTED_COUNT: "Expected number"}
    known = table[np.asarray(table["n"]) >= FEWEST_IMAGES]
    places = product((TRUE_COUNT, EXPECTED_COUNT), SELECTIONS)
    for axes, (across, selection) in zip(panels, places, strict=True):
        upward = EXPECTED_COUNT if across == TRUE_COUNT else TRUE_COUNT
        rows = _of(known, axis=across, selection=selection)
        _against(axes, rows, across, upward, styles(table))
        axes.set_title(selection, fontsize="medium")
        axes.set(xlabel=titles[across], ylabel=f"Mean {titles[upward].lower()}")
        axes.locator_params(integer=True, nbins=6, min_n_ticks=1)
        limits = -0.2, max(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.set(xlim=limits, ylim=limits)
    return _legend(figure)


def by_selection(
    metric: str, sources: str, axis: str, finish: Callable[[Axes], None]
) -> Callable[[Table], Figure]:
    """Draws a metric for the three selections, a panel each."""

    def draw_panels(table: Table) -> Figure:
        figure, panels = _panels(len(SELECTIONS))
        rows = _of(table, metric=metric, sources=sources, axis=axis)
        for axes, selection in zip(panels, SELECTIONS, strict=True):
            _lines(axes, _of(rows, selection=selection), styles(table), markersize=2.5)
            axes.set_title(selection, fontsize="medium")
            finish(axes)
        return _legend(figure)

    return draw_panels


def finish_roc(axes: Axes) -> None:
    axes.set(xlabel="Stars called galaxies", ylabel="Galaxies called galaxies")
    axes.set(xlim=(-0.01, 0.5), ylim=(0.5, 1.01))


def finish_coverage(axes: Axes) -> None:
    axes.plot([0.5, 1], [0.5, 1], color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="Probability of the interval", ylabel="Share that holds the truth")


def finish_pit(axes: Axes) -> None:
    axes.axhline(0.05, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="PIT of flux", ylabel="Share of sources")
    axes.set_ylim(bottom=0)


def reliability(table: Table) -> Figure:
    """Share of true ones against the mean probability, of tiles and of detections."""
    figure, panels = _panels(2)
    for axes, sources in zip(panels, (EVERY, MATCHED), strict=True):
        rows = _of(table, sources=sources, axis=PROBABILITY)
        _against(axes, rows, "source_probability", "source_share", styles(table))
        axes.set_xlabel("P(source)")
    panels[0].set_ylabel("Share of tiles with a source")
    panels[1].set_ylabel("Share of detections that match")
    return _legend(figure)


def _log_percent(axes: Axes) -> None:
    """Flux errors span two decades: a logarithmic axis with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
