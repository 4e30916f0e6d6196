"""Images of any shape, with each source drawn on its own square stamp."""

import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.render.compiled import draw_sources
from npecat_sim.units import PIXEL_SCALE

STAMP = 401
"""Pixels along each side of a stamp.

At its edge a star of r = 14 is at most 0.0011 sky sigma, and one of r = 12 at most 0.007 sky sigma,
under every field of prior ``many``.
"""


def draw_field(
    sources: dict[str, np.ndarray],
    psf: Psf,
    *,
    shape: tuple[int, int],
    sky_sigma: float,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """Draw all sources into one image of any shape, without noise.

    Parameters
    ----------
    sources : dict of str to ndarray
        Columns of catalog.COLUMNS without ``snr``, each (source,); positions may lie outside.
    psf : Psf
        The PSF.
    shape : tuple of int
        Pixels (y, x) of the image.
    sky_sigma : float
        Standard deviation of the empty sky, nanomaggies per pixel, as of compiled.draw_sources.
    pixel_scale : float, optional
        Arcsec per pixel; the radii of galaxies are in arcsec.

    Returns
    -------
    ndarray
        float32 (y, x), nanomaggies per pixel. If the shape is square it equals the sum of
        compiled.draw_sources over the sources, except for light beyond the stamps.
    """
    image = np.zeros(shape, dtype=np.float32)
    corner_x = np.rint(sources["x"]).astype(int) - STAMP // 2
    corner_y = np.rint(sources["y"]).astype(int) - STAMP // 2
    shifted = {**sources, "x": sources["x"] - corner_x, "y": sources["y"] - corner_y}
    for row, (left, top) in enumerate(zip(corner_x, corner_y, strict=True)):
        one = {name: column[row : row + 1] for name, column in shifted.items()}
        stamp = draw_sources(one, psf, STAMP, sky_sigma, pixel_scale)[0]
        rows, columns = [
            slice(*np.clip([first, first + STAMP], 0, length))
            for first, length in zip((top, left), shape, strict=True)
        ]
        image[rows, columns] += stamp[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return image
