"""What may be wrong with the measurement of a source, from the pixels that it lies on."""

from enum import IntFlag

import numpy as np
from scipy.ndimage import center_of_mass, label
from scipy.spatial import KDTree

from npecat_sim import psf
from npecat_sim.survey_image import PixelFlag, SurveyImage


class SourceFlag(IntFlag):
    """Bits of the column ``flags``: those of PixelFlag of any pixel within the source's core.

    The core is the disc around the source whose radius is the FWHM of the PSF; it holds about four
    fifths of a star. EDGE: it reaches beyond the image. HALO: also where the source lies within
    HALO_RADII of a saturated star. BESIDE_BRIGHT: within BESIDE_FWHM of one that is BRIGHTER times
    as bright.
    """

    NO_DATA = PixelFlag.NO_DATA
    SATURATED = PixelFlag.SATURATED
    COSMIC_RAY = PixelFlag.COSMIC_RAY
    INTERPOLATED = PixelFlag.INTERPOLATED
    EDGE = 16
    HALO = PixelFlag.HALO
    BESIDE_BRIGHT = 64


HALO_RADII = 10.0
"""In radii of a disc of as many pixels as are saturated. So far from the stars of r = 10.3 and 14
in SDSS field 94/1/12 their light is 0.3 sigma of the sky in each pixel, several times what the
model of the PSF has there, and looks like faint galaxies."""

BESIDE_FWHM, BRIGHTER = 3.0, 15.0
"""A real PSF is not the circle of the model. In SDSS field 94/1/12 what it has more on one side of
stars of r = 15 to 17 looks like a source of 0.5 to 6 % of the star's flux, up to 3 FWHM away."""


def source_flags(x: np.ndarray, y: np.ndarray, flux: np.ndarray, image: SurveyImage) -> np.ndarray:
    """uint8 (n,): bits of SourceFlag of all sources of an image.

    x, y: (n,), its pixels. flux: (n,), nanomaggies.
    """
    radius = psf.fwhm(image.psf_parameters)
    reach = int(np.ceil(radius))
    step_y, step_x = np.indices((2 * reach + 1,) * 2).reshape(2, -1) - reach
    row = np.rint(y).astype(int)[:, None] + step_y
    column = np.rint(x).astype(int)[:, None] + step_x
    in_core = np.hypot(row - y[:, None], column - x[:, None]) <= radius
    height, width = image.flags.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    of_pixels = image.flags[row.clip(0, height - 1), column.clip(0, width - 1)]
    bits = np.where(inside, of_pixels, SourceFlag.EDGE) * in_core
    halo = np.where(_in_halo(x, y, image), SourceFlag.HALO, 0)
    beside = np.where(_beside_bright(x, y, flux, BESIDE_FWHM * radius), SourceFlag.BESIDE_BRIGHT, 0)
    return (np.bitwise_or.reduce(bits, axis=1) | halo | beside).astype(np.uint8)


def _beside_bright(x: np.ndarray, y: np.ndarray, flux: np.ndarray, within: float) -> np.ndarray:
    """bool (n,): whether one BRIGHTER times as bright lies within so many pixels."""
    places = np.column_stack([x, y])
    near = KDTree(places).query_ball_point(places, within)
    brightest = np.array([flux[others].max() for others in near])
    return brightest > BRIGHTER * flux


def _in_halo(x: np.ndarray, y: np.ndarray, image: SurveyImage) -> np.ndarray:
    """bool (n,): whether a source lies in the halo of one of the saturated stars."""
    touching = np.ones((3, 3))
    star_of_pixel, n_stars = label(image.flags & PixelFlag.SATURATED, structure=touching)
    pixels = np.bincount(star_of_pixel.ravel(), minlength=n_stars + 1)[1:]
    centres = np.reshape(
        center_of_mass(star_of_pixel > 0, star_of_pixel, range(1, n_stars + 1)), (-1, 2)
    )
    distance = np.hypot(y[:, None] - centres[:, 0], x[:, None] - centres[:, 1])
    return (distance < HALO_RADII * np.sqrt(pixels / np.pi)).any(axis=1)
