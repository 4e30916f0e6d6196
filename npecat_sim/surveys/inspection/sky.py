"""The sky of an image, and what is left of one that was subtracted."""

from dataclasses import dataclass

import numpy as np
import sep
from scipy.ndimage import median_filter

from npecat_sim.surveys.inspection.detection import lit_pixels
from npecat_sim.surveys.inspection.noise import MIN_BLANK, SIGMA_OF_MAD, first_noise

PARTS = 24
"""Places along each side at which the plane is fitted to the sky."""

MESH = 64
"""Pixels along each side of a cell in which the sky is measured: the default of SExtractor."""

SAMPLE, ROUNDS, CLIP = 20_000, 5, 3.0
"""Pixels that a plane is fitted to, number of fits, and spreads beyond which none counts."""


@dataclass(frozen=True)
class Sky:
    """The sky of an image, in its unit.

    Parameters
    ----------
    level : ndarray
        float32 (y, x): sky of each pixel, smooth on the scale of MESH.
    lit : ndarray
        bool (y, x): pixels with light of sources.
    """

    level: np.ndarray
    lit: np.ndarray

    @property
    def median(self) -> float:
        """The median over the image."""
        return float(np.median(self.level))

    @property
    def gradient(self) -> float:
        """Change over the image of the plane that fits the sky: light of sources has no slope."""
        height, width = self.level.shape
        y, x = np.indices((PARTS, PARTS)) / (PARTS - 1) - 0.5
        rows, columns = [np.linspace(0, n - 1, PARTS).round().astype(int) for n in (height, width)]
        level = median_filter(self.level[np.ix_(rows, columns)], 5, mode="nearest").ravel()
        design = np.column_stack([np.ones(level.size), x.ravel(), y.ravel()])
        (_, along_x, along_y), *_ = np.linalg.lstsq(design, level.astype(float))
        return float(np.hypot(along_x, along_y))


def measure_sky(pixels: np.ndarray, hidden: np.ndarray) -> Sky:
    """Measure the sky as SExtractor does, then again without the pixels that hold light.

    The first measurement is 0.1 % of the sky too high in a field of SDSS's density, since it holds
    the outer light of sources.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x), of any unit.
    hidden : ndarray
        bool (y, x): pixels without data.

    Returns
    -------
    Sky
    """
    first = first_sky(pixels, hidden)
    residual = pixels - first
    lit = lit_pixels(residual, sigma=first_noise(residual, hidden), hidden=hidden)
    if (lit | hidden).mean() > 1 - MIN_BLANK:  # a crowd: there is no blank sky
        return Sky(first, lit)
    return Sky(first_sky(pixels, lit | hidden), lit)


def first_sky(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The sky of every pixel as SExtractor measures it where nothing is hidden: float32 (y, x).

    SEP measures what a plane leaves, since it takes the sky for constant beyond the centres of the
    outer cells, and for 0 where every cell is mostly hidden.
    """
    plane = _plane(pixels, hidden)
    background = sep.Background(pixels - plane, mask=hidden, bw=MESH, bh=MESH)
    level: np.ndarray = plane + background.back(dtype=np.float32)
    return level


def _plane(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """A plane through most pixels that are not hidden: float32 (y, x).

    Where pixels are hidden, it does not leave its range over the others.
    """
    places = np.flatnonzero(~hidden)
    places = places[np.random.default_rng(0).integers(0, len(places), SAMPLE)]
    values = pixels.ravel()[places].astype(float)
    height, width = pixels.shape
    y, x = places // width / height - 0.5, places % width / width - 0.5
    design = np.column_stack([np.ones(SAMPLE), y, x])
    fit = np.array([np.median(values), 0.0, 0.0])
    for _ in range(ROUNDS):
        rest = values - design @ fit
        near = np.abs(rest) <= CLIP * SIGMA_OF_MAD * np.median(np.abs(rest))
        fit, *_ = np.linalg.lstsq(design[near], values[near])
    constant, along_y, along_x = fit
    rows, columns = [np.arange(n) / n - 0.5 for n in (height, width)]
    plane = np.add.outer(constant + along_y * rows, along_x * columns)
    seen = design @ fit
    within: np.ndarray = plane.clip(seen.min(), seen.max()).astype(np.float32)
    return within
