"""Test images with their true and predicted sources, for the eye."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from npecat_eval.catalog.detections import GALAXY_THRESHOLD, Detections
from npecat_eval.pictures.image_panels import TYPE_COLOUR, draw_panels, mark_size, save_panels
from npecat_sim.store.reader import Batch


def example_figure(batch: Batch, detections: Detections, path: Path) -> None:
    """Draw the images of a batch with their truth and detections; path ends in png or pdf.

    Open marks are true sources, crosses predicted ones; colours tell stars from galaxies.
    """
    figure, panels = draw_panels(batch.images, batch.catalog)
    for row, axes in enumerate(panels):
        _mark_detections(axes, detections, detections.image == row)
    save_panels(figure, path)


def _mark_detections(axes: Axes, detections: Detections, inside: np.ndarray) -> None:
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
