"""Test images with their true and predicted sources, for the eye."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from npecat_eval.bins import MAGNITUDE_LIMIT
from npecat_eval.classification import GALAXY_THRESHOLD
from npecat_eval.figures import COLOURS, NO_STAMP
from npecat_sim.catalog import Catalog
from npecat_sim.units import magnitude
from npecat_train.detections import Detections

N_COLUMNS = 4

TYPE_COLOUR = {"star": COLOURS[0], "galaxy": COLOURS[1]}

SOFTENING = 3.0
"""Noise sigmas up to which the asinh stretch is linear."""

BRIGHT_AREA, FAINT_AREA = 130.0, 40.0
"""Points^2 of a mark."""

WHITE, DARK = -2.0, 40.0
"""Noise sigmas at the ends of the grey scale."""


def example_figure(images: np.ndarray, truth: Catalog, detections: Detections, path: Path) -> None:
    """Draw images (n, height, width) with their truth and detections; path ends in png or pdf.

    Open marks are true sources, crosses predicted ones; colours tell stars from galaxies.
    """
    n_columns = min(len(images), N_COLUMNS)
    n_rows = -(-len(images) // n_columns)
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(2.2 * n_columns, 2.2 * n_rows + 0.5), layout="constrained")
        panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for row, image in enumerate(images):
            _draw_image(panels[row], image)
            _mark_truth(panels[row], truth.sources(row))
            _mark_detections(panels[row], detections, detections.image == row)
        for axes in panels:
            axes.set_axis_off()
        note = f"small marks: r > {MAGNITUDE_LIMIT:g}"
        handles, labels = panels[0].get_legend_handles_labels()
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, title=note
        )
        for handle in legend.legend_handles:
            handle.set_sizes([BRIGHT_AREA])  # type: ignore[union-attr]
        figure.savefig(path, dpi=150, metadata=NO_STAMP[path.suffix[1:]])


def _draw_image(axes: Axes, image: np.ndarray) -> None:
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
        interpolation="nearest",
    )


def _mark_truth(axes: Axes, sources: dict[str, np.ndarray]) -> None:
    galaxy = sources["is_galaxy"]
    size = _mark_size(sources["flux"])
    for kind, chosen, marker in (("star", ~galaxy, "o"), ("galaxy", galaxy, "s")):
        axes.scatter(
            sources["x"][chosen],
            sources["y"][chosen],
            size[chosen],
            marker=marker,
            facecolors="none",
            edgecolors=TYPE_COLOUR[kind],
            linewidths=1.0,
            label=f"true {kind}",
        )


def _mark_detections(axes: Axes, detections: Detections, inside: np.ndarray) -> None:
    galaxy = detections.prob_galaxy > GALAXY_THRESHOLD
    size = _mark_size(detections.flux)
    for kind, chosen, marker in (("star", ~galaxy, "+"), ("galaxy", galaxy, "x")):
        chosen = chosen & inside
        axes.scatter(
            detections.x[chosen],
            detections.y[chosen],
            0.5 * size[chosen],
            marker=marker,
            color=TYPE_COLOUR[kind],
            linewidths=1.0,
            label=f"predicted {kind}",
        )


def _mark_size(flux: np.ndarray) -> np.ndarray:
    """Small for sources beyond MAGNITUDE_LIMIT, which no metric counts."""
    return np.where(magnitude(flux) < MAGNITUDE_LIMIT, BRIGHT_AREA, FAINT_AREA)
