"""The light of sources on a survey image, without noise."""

import numpy as np

from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import SurveyImage

PSF_CELL = 256
"""Pixels along each side of the cells of an image whose sources have one PSF."""


def light_of(sources: dict[str, np.ndarray], image: SurveyImage) -> np.ndarray:
    """Draw sources with the PSF of an image, or that of their cell where it varies.

    Parameters
    ----------
    sources : dict of str to ndarray
        Columns as of stamps.draw_field, each (source,); fluxes in nanomaggies, radii in arcsec.
    image : SurveyImage
        Its PSF, pixel scale and noise are used, its pixels are not.

    Returns
    -------
    ndarray
        float32 (y, x), nanomaggies per pixel.
    """
    shape = image.image.shape
    if image.psf_map.is_constant:
        cell = np.zeros((len(sources["x"]), 2), int)
    else:
        cell = np.column_stack([sources["x"], sources["y"]]).astype(int) // PSF_CELL
    light = np.zeros(shape, np.float32)
    for place in np.unique(cell, axis=0):
        own = (cell == place).all(axis=1)
        middle_x, middle_y = (place + 0.5) * PSF_CELL
        light += draw_field(
            {name: column[own] for name, column in sources.items()},
            image.psf_map.at(middle_x, middle_y),
            shape=shape,
            sky_sigma=image.sky_sigma,
            pixel_scale=image.pixel_scale,
        )
    return light
