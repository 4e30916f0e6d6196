"""Bright and faint light in an image, found by SEP without any network."""

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter

from npecat_sim.surveys.extraction import extract

MASK_SIGMAS = 1.5
"""Noise sigmas of the filtered image above which a pixel holds light of a source: the default of
SExtractor."""

GROWTH = 3
"""Pixels by which the light of a source reaches beyond its detected pixels."""

STAR_SIGMAS = 5.0
"""Noise sigmas of a pixel above which bright sources are detected; their cores then stand apart."""


CROWDED_LIT, CROWDED_SIDE = 0.4, 64
"""A region is crowded if sources light up more than this share of the pixels in a square of this
side around it. The median share is .05 at the density of the paper's prior, .19 at four times it,
.37 at eight times and .63 at sixteen times, where a catalog has lost its worth."""


def crowded_regions(lit: np.ndarray) -> np.ndarray:
    """Regions with more light of sources than in training: bool (y, x), of lit_pixels."""
    crowded: np.ndarray = uniform_filter(lit.astype(np.float32), CROWDED_SIDE) > CROWDED_LIT
    return crowded


def lit_pixels(residual: np.ndarray, *, sigma: float, hidden: np.ndarray) -> np.ndarray:
    """Pixels with the light of sources, faint ones included.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    sigma : float
        Noise of a pixel, in the same unit.
    hidden : ndarray
        bool (y, x): pixels without data.

    Returns
    -------
    ndarray
        bool (y, x).
    """
    _, segments = extract(
        residual, MASK_SIGMAS, err=sigma, mask=hidden, segmentation_map=True, deblend_cont=1.0
    )
    lit: np.ndarray = binary_dilation(segments > 0, iterations=GROWTH)
    return lit


def bright_sources(
    residual: np.ndarray, *, noise: float | np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Sources with pixels above STAR_SIGMAS, deblended, as SEP's structured array of objects.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    noise : float or ndarray
        Noise of a pixel, in the same unit; one number or (y, x).
    hidden : ndarray
        bool (y, x): pixels without data.

    Returns
    -------
    ndarray
        SEP's objects, (source,).
    """
    found: np.ndarray = extract(residual, STAR_SIGMAS, err=noise, mask=hidden)
    return found
