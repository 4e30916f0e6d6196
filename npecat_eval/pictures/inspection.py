"""A picture of what an inspection found: the image, its defects, its noise and its stars."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from npecat_eval.catalog.bright import BrightSources
from npecat_eval.pictures.image_panels import draw_image
from npecat_eval.pictures.style import COLOURS, PRINT, save_figure
from npecat_sim.surveys.image import PixelFlag, SurveyImage

SHOWN = {
    PixelFlag.CROWDED: "crowded",
    PixelFlag.COSMIC_RAY: "hot, dead or cosmic ray",
    PixelFlag.SATURATED: "saturated",
    PixelFlag.NO_DATA: "no data",
}
"""Flags in the picture, each drawn over those before it."""

MAX_PIXELS = 1024
"""Pixels along the longer side of a map; larger images are thinned out."""

N_STARS = 20
"""Maximum number of stars in the profile."""

MAX_RADIUS = 15
"""Pixels of a star's profile."""


def inspection_figure(image: SurveyImage, path: Path) -> None:
    """Draw an image with its flags, its noise from place to place, and the profile of its stars.

    Parameters
    ----------
    image : SurveyImage
        An image that was inspected.
    path : Path
        Picture to write, .png or .pdf.
    """
    with matplotlib.rc_context({**PRINT, "axes.grid": False, "axes.titlesize": "medium"}):
        figure = Figure(figsize=(13, 4.9), layout="constrained")
        light, noise, stars = figure.subplots(1, 3)
        _draw_light(light, image)
        _draw_noise(figure, noise, image)
        _draw_stars(stars, image)
        flags = light.get_legend_handles_labels()
        if flags[0]:
            figure.legend(*flags, loc="outside lower left", ncols=len(SHOWN), title="Flagged")
        save_figure(figure, path)


def _step(image: SurveyImage) -> int:
    """Every how many pixels a map shows one."""
    longer: int = max(image.image.shape)
    return -(-longer // MAX_PIXELS)


def _extent(image: SurveyImage) -> tuple[float, float, float, float]:
    """The edges of an image in its pixels, as Matplotlib wants them."""
    height, width = image.image.shape
    return -0.5, width - 0.5, -0.5, height - 0.5


def _draw_light(axes: Axes, image: SurveyImage) -> None:
    """Draw the image, and over it the flagged pixels, each kind in its colour."""
    step = _step(image)
    draw_image(axes, image.image[::step, ::step])
    axes.images[0].set_extent(_extent(image))
    for (flag, name), colour in zip(SHOWN.items(), COLOURS, strict=False):
        is_set = (image.flags & flag) != 0
        if not is_set.any():
            continue
        rows, columns = [np.arange(0, length, step) for length in is_set.shape]
        # A pixel of the map is flagged if any that it stands for is.
        shown = np.logical_or.reduceat(np.logical_or.reduceat(is_set, rows), columns, axis=1)
        axes.imshow(
            np.where(shown, 1.0, np.nan),
            cmap=ListedColormap([colour]),
            origin="lower",
            extent=_extent(image),
            alpha=0.5,
            interpolation="nearest",
        )
        axes.add_patch(
            Rectangle((0, 0), 0, 0, color=colour, alpha=0.5, label=f"{name} {is_set.mean():.2%}")
        )
    axes.set(title=Path(image.name).name, xlabel="x (pixel)", ylabel="y (pixel)")


def _draw_noise(figure: Figure, axes: Axes, image: SurveyImage) -> None:
    """Draw the noise of each pixel over the median."""
    step = _step(image)
    noise = np.sqrt(image.background[::step, ::step])
    noise /= np.median(noise)
    drawn = axes.imshow(
        noise,
        origin="lower",
        cmap="viridis",
        extent=_extent(image),
        vmin=min(0.8, float(np.quantile(noise, 0.01))),
        vmax=max(1.2, float(np.quantile(noise, 0.99))),
    )
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="noise over its median")
    axes.set(xlabel="x (pixel)", title="Noise of a pixel")


def _draw_stars(axes: Axes, image: SurveyImage) -> None:
    """Draw the profiles of the brightest unflagged sources, and that of the PSF."""
    distance, light, n_stars = _profiles(image)
    axes.plot(distance, light, ".", markersize=1.5, color=COLOURS[0], alpha=0.4, rasterized=True)
    radius = np.linspace(0, MAX_RADIUS, 200)
    profile = image.psf.shares(radius, np.zeros_like(radius))
    arcsec = image.psf.fwhm * image.pixel_scale
    label = f"PSF, FWHM {arcsec:.2f} arcsec"
    axes.plot(radius, profile / profile[0], color=COLOURS[1], linewidth=1.8, label=label)
    axes.set(
        yscale="log",
        xlim=(0, MAX_RADIUS),
        ylim=(1e-3, 1.5),
        xlabel="radius (pixel)",
        ylabel="light over the peak",
        title=f"The {n_stars} brightest sources" if n_stars else "No bright source",
    )
    axes.set_box_aspect(1)
    axes.legend()


def _profiles(image: SurveyImage) -> tuple[np.ndarray, np.ndarray, int]:
    """Radii and light over the peak of pixels, (pixel,) each, of the stars, and their number."""
    found = BrightSources.of(image)
    height, width = image.image.shape
    inside = (np.minimum(found.x, width - 1 - found.x) > MAX_RADIUS + 1) & (
        np.minimum(found.y, height - 1 - found.y) > MAX_RADIUS + 1
    )
    brightest = np.flatnonzero(inside)[np.argsort(-found.snr[inside])][:N_STARS]
    step_y, step_x = np.indices((2 * MAX_RADIUS + 1,) * 2) - MAX_RADIUS
    distances, lights = [np.zeros(0)], [np.zeros(0)]
    for x, y in zip(found.x[brightest], found.y[brightest], strict=True):
        rows, columns = step_y + round(y), step_x + round(x)
        light = image.image[rows, columns]
        distances.append(np.hypot(rows - y, columns - x).ravel())
        lights.append((light / light.max()).ravel())
    return np.concatenate(distances), np.concatenate(lights), len(brightest)
