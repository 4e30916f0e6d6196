"""The images of a store on one sheet, with their true sources and seeing."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes

from npecat_eval.pictures.image_panels import PRINT, draw_panels, save_panels
from npecat_sim.store.reader import Batch
from npecat_sim.units import PIXEL_SCALE

SCALE_BAR = 10.0
"""Arcsec: length of the bar below the last image."""


def contact_sheet(batch: Batch, path: Path) -> None:
    """Draw every image of a batch, captioned by its index and FWHM.

    If all have the same pixel scale there is a scale bar.

    Parameters
    ----------
    batch : Batch
        Images with their true catalogs.
    path : Path
        Picture to write, .png or .pdf.
    """
    figure, panels = draw_panels(batch.images, batch.catalog)
    with matplotlib.rc_context(PRINT):
        for image, (axes, fwhm) in enumerate(zip(panels, batch.fwhm, strict=True)):
            axes.set_title(f"image {image}, FWHM {fwhm:.2f} arcsec", fontsize="small", pad=3)
        if batch.pixel_scale is None:
            _draw_scale_bar(panels[-1])
    save_panels(figure, path)


def _draw_scale_bar(axes: Axes) -> None:
    """Draw a bar below the panel, where it hides nothing; every panel has the same scale."""
    axes.autoscale(False)
    left, bottom = -0.5, -4.0  # pixels
    right = left + SCALE_BAR / PIXEL_SCALE
    axes.plot([left, right], [bottom, bottom], color="black", linewidth=1.5, clip_on=False)
    axes.text(right + 2, bottom, f"{SCALE_BAR:g} arcsec", va="center", fontsize="small")
