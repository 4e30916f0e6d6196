"""Random numbers of a range, and random straight edges and slopes of an image."""

import numpy as np

from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.wide.sections import Range


def half_plane(generator: np.random.Generator, depth: float) -> np.ndarray:
    """The part of an image beyond a straight edge.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of the random numbers: half of the edges are along rows or columns, as those of
        detectors; the others have any direction, as those of exposures that were turned.
    depth : float
        Pixels to which it reaches at most into the image.

    Returns
    -------
    ndarray
        bool (y, x).
    """
    along = bool(generator.integers(2))
    angle = np.pi / 2 * generator.integers(4) if along else 2 * np.pi * generator.random()
    distance = _plane(float(angle)) * IMAGE_SIZE
    beyond: np.ndarray = distance > distance.max() - depth * generator.random()
    return beyond


def gradient(generator: np.random.Generator) -> np.ndarray:
    """A plane of random direction with mean 0 and slope 1 across the image: float64 (y, x)."""
    return _plane(float(2 * np.pi * generator.random()))


def _plane(angle: float) -> np.ndarray:
    """A plane with mean 0 and slope 1 across the image that rises in a direction (radians)."""
    pixel = (np.arange(IMAGE_SIZE) - (IMAGE_SIZE - 1) / 2) / IMAGE_SIZE
    plane: np.ndarray = np.add.outer(np.sin(angle) * pixel, np.cos(angle) * pixel)
    return plane


def uniform(limits: Range, generator: np.random.Generator) -> float:
    """A number from a range; every value is as likely."""
    return float(generator.uniform(*limits))


def log_uniform(limits: Range, generator: np.random.Generator) -> float:
    """A number from a range; every ratio is as likely, or every value if it begins at 0."""
    low, high = limits
    if low == 0:
        return uniform(limits, generator)
    return float(low * (high / low) ** generator.random())
