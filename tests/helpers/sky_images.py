"""Images of the sky in counts, whose sky, noise and stars are known."""

import numpy as np

from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.psf import Psf

SKY, GAIN = 400.0, 2.5
"""Counts a pixel, and electrons a count."""

SIGMA = float(np.sqrt(SKY / GAIN))
"""Noise of a pixel of blank sky, counts."""

PSF = SINGLE_FIELD.psf_of(0)

REACH = 60
"""Pixels around a star that its light is drawn to."""


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise of a blank sky, counts."""
    return SIGMA * np.random.default_rng(seed).normal(size=shape)


def starlight(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, *, flux: np.ndarray, psf: Psf = PSF
) -> np.ndarray:
    """Light of stars without noise."""
    height, width = shape
    light = np.zeros(shape)
    for at_x, at_y, one in zip(x, y, flux, strict=True):
        rows, columns = [
            slice(max(round(at) - REACH, 0), min(round(at) + REACH + 1, length))
            for at, length in ((at_y, height), (at_x, width))
        ]
        row, column = np.ogrid[rows, columns]
        light[rows, columns] += one * psf.profile(np.hypot(row - at_y, column - at_x))
    return light


def photographed(light: np.ndarray, seed: int = 0) -> np.ndarray:
    """Sky, light and the photon noise of both, counts."""
    sigma = np.sqrt((SKY + light) / GAIN)
    return SKY + light + sigma * np.random.default_rng(seed).normal(size=light.shape)


def on_a_grid(n: int, *, spacing: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Places x and y of n stars, each within 5 pixels of a grid's, and the side of their image."""
    side = spacing * int(np.ceil(np.sqrt(n))) + spacing
    column, row = np.meshgrid(*(np.arange(spacing, side, spacing),) * 2)
    shift = np.random.default_rng(seed).uniform(-5, 5, (2, n))
    return column.ravel()[:n] + shift[0], row.ravel()[:n] + shift[1], side
