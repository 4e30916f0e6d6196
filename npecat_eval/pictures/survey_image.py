"""Pictures of a whole survey image with its catalog, and of the residual of that catalog."""

from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from npecat_eval.catalog.detections import GALAXY_THRESHOLD, Detections
from npecat_eval.catalog.reconstruction import CHI_EDGES, Reconstruction
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.pictures.image_panels import TYPE_COLOUR, draw_image
from npecat_eval.pictures.style import COLOURS, PRINT, save_figure
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import magnitude

ZOOM = 200
"""Pixels: side of the square that is shown enlarged."""

SMALL = 2 * ZOOM
"""Pixels along the longer side of an image that is shown large as a whole."""

FIELD_AREA, ZOOM_AREA = 9.0, 110.0
"""Points^2 of a mark in either panel; half of it for sources fainter than MAGNITUDE_LIMIT."""

CHI_SPAN = 5.0
"""Noise sigmas at the ends of the colour scale of a residual."""


class NotebookFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        """The figure as the bytes of a PNG."""
        picture = BytesIO()
        self.savefig(picture, format="png", dpi=self.dpi)
        return picture.getvalue()


def field_figure(image: SurveyImage, detections: Detections) -> Figure:
    """Draw an image with marks at its detections.

    Of an image that is larger than SMALL pixels, its most crowded part stands enlarged beside it.
    """
    height, width = image.image.shape
    with matplotlib.rc_context({**PRINT, "axes.grid": False}):
        if max(height, width) <= SMALL:
            figure: Figure = NotebookFigure(figsize=(5.5, 5.5), layout="constrained")
            field = zoom = figure.subplots()
        else:
            figure = NotebookFigure(figsize=(11, 5), layout="constrained")
            field, zoom = figure.subplots(1, 2, width_ratios=(width, height))
            left, bottom = crowded_corner(detections, (height, width))
            field.add_patch(Rectangle((left, bottom), ZOOM, ZOOM, fill=False, edgecolor="black"))
            draw_image(field, image.image)
            _mark(field, detections, FIELD_AREA)
            field.set_xlabel("x (pixel)")
        draw_image(zoom, image.image)
        _mark(zoom, detections, ZOOM_AREA)
        zoom.set_xlabel("x (pixel)")
        if zoom is not field:
            zoom.set_xlim(left, left + ZOOM)
            zoom.set_ylim(bottom, bottom + ZOOM)
        field.set_ylabel("y (pixel)")
        field.set_title(Path(image.name).name, fontsize="medium")
        handles, labels = zoom.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def crowded_corner(detections: Detections, shape: tuple[int, int]) -> tuple[float, float]:
    """The lower left corner of the square of ZOOM pixels with the largest number of detections.

    Squares overlap by half; of equal ones the first is taken.

    Parameters
    ----------
    detections : Detections
        Sources of one image.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    x, y : float
        0-indexed pixels.
    """
    rows, columns = [np.arange(0, max(length - ZOOM, 0) + 1, ZOOM // 2) for length in shape]
    halves = [
        np.append(starts, [starts[-1] + ZOOM // 2, starts[-1] + ZOOM]) for starts in (rows, columns)
    ]
    count, _, _ = np.histogram2d(detections.y, detections.x, bins=halves)
    square = count[:-1, :-1] + count[1:, :-1] + count[:-1, 1:] + count[1:, 1:]
    row, column = np.unravel_index(square.argmax(), square.shape)
    return float(columns[column]) - 0.5, float(rows[row]) - 0.5


def _mark(axes: Axes, detections: Detections, area: float) -> None:
    """Draw open marks at all detections, of an area in points^2."""
    galaxy = detections.prob_galaxy > GALAXY_THRESHOLD
    size = np.where(magnitude(detections.flux) < MAGNITUDE_LIMIT, area, area / 2)
    for kind, chosen, marker in (("star", ~galaxy, "o"), ("galaxy", galaxy, "s")):
        axes.scatter(
            detections.x[chosen],
            detections.y[chosen],
            size[chosen],
            marker=marker,
            facecolors="none",
            edgecolors=TYPE_COLOUR[kind],
            linewidths=0.06 * np.sqrt(area) + 0.4,
            label=f"{kind}: {chosen.sum()}",
        )


def write_residual(reconstruction: Reconstruction, path: Path) -> None:
    """Write the residual of a catalog: a .fits file of data, or a .png or .pdf picture."""
    if path.suffix == ".fits":
        reconstruction.write_fits(path)
    else:
        residual_figure(reconstruction, path)


def residual_figure(reconstruction: Reconstruction, path: Path) -> None:
    """Draw the residual over its noise, and its distribution beside the unit normal.

    Pixels with flags are left white.

    Parameters
    ----------
    reconstruction : Reconstruction
        An image with the model of its catalog.
    path : Path
        Picture to write, .png or .pdf.
    """
    with matplotlib.rc_context({**PRINT, "axes.grid": False}):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        field, distribution = figure.subplots(1, 2, width_ratios=(3, 2))
        unflagged = np.where(reconstruction.image.flags == 0, reconstruction.chi, np.nan)
        shown = field.imshow(
            unflagged, vmin=-CHI_SPAN, vmax=CHI_SPAN, cmap="RdBu_r", origin="lower"
        )
        figure.colorbar(shown, ax=field, label="residual over noise", shrink=0.8)
        field.set_xlabel("x (pixel)")
        field.set_ylabel("y (pixel)")
        field.set_title(Path(reconstruction.image.name).name, fontsize="medium")
        _draw_distribution(distribution, reconstruction)
        figure.legend(*distribution.get_legend_handles_labels(), loc="outside lower right", ncols=2)
        save_figure(figure, path)


def _draw_distribution(axes: Axes, reconstruction: Reconstruction) -> None:
    """Draw the densities of the residual over its noise, by kind of pixel."""
    middle = (CHI_EDGES[:-1] + CHI_EDGES[1:]) / 2
    colours = {"sky": COLOURS[2], "stars": TYPE_COLOUR["star"], "galaxies": TYPE_COLOUR["galaxy"]}
    axes.plot(
        middle,
        np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi),
        color="black",
        linestyle="--",
        label="unit normal",
    )
    for name, pixels in reconstruction.pixels.items():
        if pixels.any():
            median, sigma = reconstruction.chi_spread(name)
            label = f"{name}: median {median:.2f}, sigma {sigma:.2f}"
            density = reconstruction.chi_density(name)
            axes.stairs(density, CHI_EDGES, color=colours[name], label=label, linewidth=1.2)
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 1)
    axes.set_xlabel("residual over noise")
    axes.set_ylabel("density")
