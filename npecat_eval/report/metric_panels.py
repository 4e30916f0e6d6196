"""Panels of metrics against magnitude, SNR, level and the like, from the table of metrics alone.

Every function here takes the rows of one test set, plain metrics and no differences.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from npecat_eval.metrics.binned_means import EVERY, MATCHED
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST, NONE, SNR
from npecat_eval.metrics.reliability import PROBABILITY
from npecat_eval.metrics.table import BOUND
from npecat_eval.pictures.style import COLOURS, DASHES, MARKERS
from npecat_eval.report.wide_tables import TITLES, unique

SELECTIONS = (ALL, BRIGHTEST, FAINTEST)


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


def _panels(n: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(7, 3.2 if n == 2 else 2.9), layout="constrained")
    return figure, figure.subplots(1, n, squeeze=False)[0]


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
        for method in unique(rows["method"]):
            of_method = rows[rows["method"] == method]
            share, mean = (
                _of(of_method, metric=f"source_{name}") for name in ("share", "probability")
            )
            axes.errorbar(
                np.array(mean["value"]),
                np.array(share["value"]),
                yerr=np.array(share["sigma"]),
                label=method,
                **styles(table)[method],
            )
        axes.axline((1, 1), slope=1, color="0.4", linewidth=0.8, linestyle=":")
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
