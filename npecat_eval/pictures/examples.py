"""Test images with their true and predicted sources marked."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from npecat_eval.catalog.detections import GALAXY_THRESHOLD, Detections
from npecat_eval.pictures.image_panels import TYPE_COLOUR, draw_panels, mark_size, save_panels
from npecat_eval.pictures.style import COLOURS
from npecat_sim.store.reader import Batch

MASK_TINT = ListedColormap([COLOURS[5]])
"""Colour of masked pixels."""


def example_figure(batch: Batch, detections: Detections, *, path: Path) -> None:
    """Draw the images of a batch with their true sources and detections.

    Open marks are true sources, crosses are predicted ones; stars and galaxies differ in colour.
    Masked pixels are tinted.

    Parameters
    ----------
    batch : Batch
        Images with their true catalogs.
    detections : Detections
        Predicted sources of the same images.
    path : Path
        Picture to write, .png or .pdf.
    """
    figure, panels = draw_panels(batch.images, batch.catalog)
    for row, axes in enumerate(panels):
        if batch.mask is not None:
            masked = np.ma.masked_equal(batch.mask[row], 0)
            axes.imshow(masked, cmap=MASK_TINT, origin="lower", interpolation="nearest")
        _mark_detections(axes, detections, detections.image == row)
    save_panels(figure, path)


def _mark_detections(axes: Axes, detections: Detections, inside: np.ndarray) -> None:
    """Draw crosses at the detections ``inside``, a mask."""
    galaxy = detections.prob_galaxy > GALAXY_THRESHOLD
    size = mark_size(detections.flux)
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
