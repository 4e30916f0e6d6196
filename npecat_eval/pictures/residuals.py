"""The residuals of test images: what is left when the sources that a method found are removed."""

from dataclasses import replace
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
    """float32 (y, x): the residual of one image over its noise; 0 where masked."""
    pixels, found = batch.images[row], detections.of_image(row)
    masked = np.zeros(pixels.shape, bool) if batch.mask is None else batch.mask[row] > 0
    scale = PIXEL_SCALE if batch.pixel_scale is None else float(batch.pixel_scale[row])
    if batch.psf is not None:  # its pixels lack the light beyond them, and psf_of adds it to them
        found = replace(found, flux=found.flux * batch.psf[row].sum(dtype=np.float64))
    image = SurveyImage(
        name=f"image {row}",
        image=pixels,
        background=batch.backgrounds[row],
        electrons_per_nmgy=float(batch.electrons_per_nmgy[row]),
        psf=batch.psf_of(row),
        flags=masked.astype(np.uint8),
        wcs=None,
        pixel_scale=scale,
        origin={},
    )
    return np.where(masked, np.float32(0), Reconstruction.of(image, found).chi)
