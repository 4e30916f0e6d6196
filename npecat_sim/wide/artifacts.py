"""Defects of an image: cosmic rays, hot pixels, saturation, bad columns, and where no data are."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.wide.chance import half_plane, log_uniform
from npecat_sim.wide.conditions import Conditions

RAY_LENGTH = 8.0
"""Mean length of the track of a cosmic ray, pixels. Muons cross a CCD at any slant and leave tracks
from one pixel to some tens (Groom 2002, Exp. Astron. 14, 45); the mean is a choice."""

RAY_WIDTH = (0.25, 0.5)
"""Standard deviation of the light across a track, pixels: less than any PSF's."""

RAY_LIGHT = (10.0, 3000.0)
"""Light on the middle of a track, in sigmas of a pixel."""

HOT_LIGHT = (5.0, 3000.0)
"""Light of a hot pixel, in sigmas of a pixel."""

RAYS_FOUND = 0.7
"""Share of the cosmic rays that are in the mask, as those that a pipeline finds."""

HOT_FOUND = 0.5
"""Share of the hot pixels that are in the mask."""

DAMAGED = 0.5
"""Sigmas of a pixel above which light of a cosmic ray goes into the mask, with a border of one."""

BLEEDING = (0.2, 1.0)
"""Pixels of a bleed trail over the charge above saturation, in full wells: 1 where nothing drains
it."""

BAD_WIDTH = 3
"""Largest number of neighbouring dead columns."""

NO_DATA_DEPTH = 30.0
"""Pixels to which a region without data reaches at most."""


@dataclass(frozen=True, eq=False)
class Defects:
    """What is wrong with the pixels of an image.

    Parameters
    ----------
    light : ndarray
        float64 (y, x), what defects add, in sigmas of a pixel.
    mask : ndarray
        bool (y, x), whether a pixel is known to hold no information.
    """

    light: np.ndarray
    mask: np.ndarray


def draw_defects(
    conditions: Conditions, electrons: np.ndarray, *, generator: np.random.Generator
) -> Defects:
    """Draw the defects of an image.

    Parameters
    ----------
    conditions : Conditions
        Their rates, and the saturation level.
    electrons : ndarray
        float64 (y, x), light of the sources and the sky, electrons.
    generator : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Defects
        The known ones are in the mask, with all that they damage.
    """
    rates = conditions.artifacts
    shape = (IMAGE_SIZE, IMAGE_SIZE)
    light, mask = np.zeros(shape), np.zeros(shape, dtype=bool)
    mean_rays = log_uniform(rates.cosmic_rays, generator)
    for _ in range(generator.poisson(mean_rays)):
        ray = _ray(generator)
        light += ray
        if generator.random() < RAYS_FOUND:
            mask |= ndimage.binary_dilation(ray > DAMAGED, np.ones((3, 3)))
    for _ in range(generator.poisson(generator.uniform(*rates.hot_pixels))):
        y, x = generator.integers(IMAGE_SIZE, size=2)
        light[y, x] += log_uniform(HOT_LIGHT, generator)
        mask[y, x] |= generator.random() < HOT_FOUND
    if generator.random() < rates.bad_columns:
        first, width = generator.integers(IMAGE_SIZE), generator.integers(1, BAD_WIDTH + 1)
        along_x = generator.random() < 0.5
        (mask if along_x else mask.T)[first : first + width] = True
    if generator.random() < rates.no_data:
        mask |= half_plane(generator, NO_DATA_DEPTH)
    along_x, strength = generator.random() < 0.5, generator.uniform(*BLEEDING)
    if electrons.max() > conditions.saturation:
        full = electrons / conditions.saturation
        mask |= saturated(full.T, strength).T if along_x else saturated(full, strength)
    return Defects(light, mask)


def _ray(generator: np.random.Generator) -> np.ndarray:
    """A straight track of a cosmic ray: float64 (y, x), sigmas of a pixel."""
    start = generator.uniform(-0.5, IMAGE_SIZE - 0.5, size=2)
    angle = 2 * np.pi * generator.random()
    length = RAY_LENGTH * generator.standard_exponential()
    peak, width = log_uniform(RAY_LIGHT, generator), generator.uniform(*RAY_WIDTH)
    y, x = np.ogrid[:IMAGE_SIZE, :IMAGE_SIZE]
    y, x = y - start[0], x - start[1]
    along = np.clip(x * np.cos(angle) + y * np.sin(angle), 0, length)
    distance2 = (x - along * np.cos(angle)) ** 2 + (y - along * np.sin(angle)) ** 2
    track: np.ndarray = peak * np.exp(-distance2 / (2 * width**2))
    return track


def saturated(full: np.ndarray, strength: float) -> np.ndarray:
    """Pixels that are saturated, with trails along the columns.

    Parameters
    ----------
    full : ndarray
        float64 (y, x), light in units of the saturation level.
    strength : float
        Pixels of a trail for each full well of charge above the level.

    Returns
    -------
    ndarray
        bool (y, x).
    """
    above = full > 1
    mask = above.copy()
    row = np.arange(len(full))
    for column in np.flatnonzero(above.any(axis=0)):
        labels, count = ndimage.label(above[:, column])
        for label in range(1, count + 1):
            rows = row[labels == label]
            half = strength * (full[rows, column] - 1).sum() / 2
            mask[(row >= rows[0] - half) & (row <= rows[-1] + half), column] = True
    return mask
