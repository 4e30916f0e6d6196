"""Sources drawn into an image of any shape, each on a stamp of its own."""

import numpy as np

from npecat_sim.model.psf import Psf
from npecat_sim.render.compiled import draw_sources

STAMP = 401
"""Pixels along each side of a stamp. At its edge a star of r = 14 has fallen to 0.0011 sky sigma
or less, one of r = 12 to 0.007, under every field of prior ``many``."""


def draw_field(
    sources: dict[str, np.ndarray],
    psf: Psf,
    shape: tuple[int, int],
    sky_sigma: float,
) -> np.ndarray:
    """float32 (y, x) of the given shape, nanomaggies per pixel: all sources without noise.

    sources: columns of catalog.COLUMNS without snr, each (source,); positions may lie outside.
    sky_sigma: as in compiled.draw_sources, whose sum over sources this
    equals where the shape is square, but for what lies beyond the stamps.
    """
    image = np.zeros(shape, dtype=np.float32)
    corner_x, corner_y = (np.rint(sources[name]).astype(int) - STAMP // 2 for name in ("x", "y"))
    shifted = {**sources, "x": sources["x"] - corner_x, "y": sources["y"] - corner_y}
    for row, (left, top) in enumerate(zip(corner_x, corner_y, strict=True)):
        one = {name: column[row : row + 1] for name, column in shifted.items()}
        stamp = draw_sources(one, psf, STAMP, sky_sigma)[0]
        rows, columns = (
            slice(*np.clip([first, first + STAMP], 0, length))
            for first, length in zip((top, left), shape, strict=True)
        )
        image[rows, columns] += stamp[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return image
