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
"""Of panels in a figure, if there are as many images."""

TYPE_COLOUR = {"star": COLOURS[0], "galaxy": COLOURS[1]}
"""Type of source -> colour of its marks."""

SOFTENING = 3.0
"""Noise sigmas up to which the asinh stretch is nearly linear."""

BRIGHT_AREA, FAINT_AREA = 130.0, 40.0
"""Points^2: areas of the marks of sources brighter and fainter than MAGNITUDE_LIMIT."""

WHITE, DARK = -2.0, 40.0
"""Noise sigmas at the ends of the grey scale."""

PRINT: Any = {"font.size": 9}
"""Settings of Matplotlib for figures of images; those of plots are style.PRINT."""


def draw_panels(images: np.ndarray, truth: Catalog) -> tuple[Figure, np.ndarray]:
    """Draw images side by side, with open marks at their true sources.

    Parameters
    ----------
    images : ndarray
        (image, y, x), nanomaggies per pixel.
    truth : Catalog
        True sources of the images.

    Returns
    -------
    figure : Figure
        To be written by save_panels.
    panels : ndarray
        (image,), the Axes of each image.
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
    """Add the legend of the marks and write the figure as .png or .pdf."""
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
    """Areas of marks: small for sources fainter than MAGNITUDE_LIMIT, which no metric counts.

    Parameters
    ----------
    flux : ndarray
        (source,), nanomaggies.

    Returns
    -------
    ndarray
        float64 (source,), points^2.
    """
    return np.where(magnitude(flux) < MAGNITUDE_LIMIT, BRIGHT_AREA, FAINT_AREA)


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draw an image (y, x) dark on light, in units of its noise on an asinh stretch."""
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
    """Draw open marks at the true sources of one image."""
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
