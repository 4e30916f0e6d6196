"""The residuals of test images: what is left when the sources that a method found are removed."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.reconstruction import Reconstruction
from npecat_eval.pictures.image_panels import MIN_COLUMNS, PRINT
from npecat_eval.pictures.style import save_figure
from npecat_sim.store.reader import Batch
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import PIXEL_SCALE

SPAN = 5.0
"""Noise sigmas at the ends of the colour scale."""


def residual_figure(batch: Batch, detections: Detections, *, path: Path) -> None:
    """Draw the residual over the noise of each image of a batch.

    Parameters
    ----------
    batch : Batch
        Simulated images.
    detections : Detections
        Predicted sources of the same images.
    path : Path
        Picture to write, .png or .pdf.
    """
    n_rows = -(-len(batch.images) // MIN_COLUMNS)
    with matplotlib.rc_context(PRINT):
        figure = Figure(figsize=(2.2 * MIN_COLUMNS, 2.2 * n_rows + 0.5), layout="constrained")
        panels = figure.subplots(n_rows, MIN_COLUMNS, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for row in range(len(batch.images)):
            drawn = panels[row].imshow(
                _chi(batch, row, detections),
                vmin=-SPAN,
                vmax=SPAN,
                cmap="RdBu",
                origin="lower",
                interpolation="nearest",
            )
        figure.colorbar(
            drawn, ax=panels, orientation="horizontal", shrink=0.4, aspect=40, label="noise sigmas"
        )
        save_figure(figure, path)


def _chi(batch: Batch, row: int, detections: Detections) -> np.ndarray:
    """float32 (y, x): the residual of one image over its noise."""
    pixels = batch.images[row]
    image = SurveyImage(
        name=f"image {row}",
        image=pixels,
        background=batch.backgrounds[row],
        electrons_per_nmgy=float(batch.electrons_per_nmgy[row]),
        psf=batch.psf_of(row),
        flags=np.zeros(pixels.shape, np.uint8),
        wcs=None,
        pixel_scale=PIXEL_SCALE,
        origin={},
    )
    return Reconstruction.of(image, detections.of_image(row)).chi
