"""Simulated images side by side with their true sources marked."""

from math import ceil, sqrt
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.pictures.style import COLOURS, save_figure
from npecat_sim.model.catalog import Catalog
from npecat_sim.units import magnitude

MIN_COLUMNS = 4

TYPE_COLOUR = {"star": COLOURS[0], "galaxy": COLOURS[1]}

SOFTENING = 3.0
"""Noise sigmas up to which the asinh stretch is linear."""

BRIGHT_AREA, FAINT_AREA = 130.0, 40.0
"""Points^2 of a mark."""

WHITE, DARK = -2.0, 40.0
"""Noise sigmas at the ends of the grey scale."""

PRINT: Any = {"font.size": 9}


def draw_panels(images: np.ndarray, truth: Catalog) -> tuple[Figure, np.ndarray]:
    """A figure of images (n, height, width) with open marks at their true sources.

    Returns it with its panels (n,), objects of type Axes.
    """
    n_columns = min(len(images), max(MIN_COLUMNS, ceil(sqrt(len(images)))))
    n_rows = ceil(len(images) / n_columns)
    with matplotlib.rc_context(PRINT):
        figure = Figure(figsize=(2.2 * n_columns, 2.2 * n_rows + 0.5), layout="constrained")
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for row, image in enumerate(images):
        draw_image(panels[row], image)
        _mark_truth(panels[row], truth.sources(row))
    return figure, panels[: len(images)]


def save_panels(figure: Figure, path: Path) -> None:
    """Add the legend of the marks and write the figure; path ends in png or pdf."""
    with matplotlib.rc_context(PRINT):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        legend = figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=4,
            frameon=False,
            title=f"small marks: r > {MAGNITUDE_LIMIT:g}",
        )
        for handle in legend.legend_handles:
            handle.set_sizes([BRIGHT_AREA])  # type: ignore[union-attr]
        save_figure(figure, path)


def mark_size(flux: np.ndarray) -> np.ndarray:
    """Small for sources beyond MAGNITUDE_LIMIT, which no metric counts."""
    return np.where(magnitude(flux) < MAGNITUDE_LIMIT, BRIGHT_AREA, FAINT_AREA)


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Dark on light, in units of the noise on an asinh stretch."""
    deviation = np.median(np.abs(image - np.median(image)))
    noise = 1.4826 * deviation  # sigma of a normal distribution, hardly moved by the sources
    darkest = np.arcsinh(DARK / SOFTENING)
    axes.imshow(
        np.minimum(np.arcsinh(image / noise / SOFTENING), darkest),
        vmin=np.arcsinh(WHITE / SOFTENING),
        vmax=1.5 * darkest,  # a dark grey at most, on which coloured marks stand out
        cmap="Greys",
        origin="lower",
        interpolation="auto",
    )


def _mark_truth(axes: Axes, sources: dict[str, np.ndarray]) -> None:
    galaxy = sources["is_galaxy"]
    size = mark_size(sources["flux"])
    for kind, chosen, marker in (("star", ~galaxy, "o"), ("galaxy", galaxy, "s")):
        axes.scatter(
            sources["x"][chosen],
            sources["y"][chosen],
            size[chosen],
            marker=marker,
            facecolors="none",
            edgecolors=TYPE_COLOUR[kind],
            linewidths=1.0,
            path_effects=[withStroke(linewidth=2.2, foreground="white")],  # seen on dark cores too
            label=f"true {kind}",
        )
