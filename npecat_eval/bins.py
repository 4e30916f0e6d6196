"""Magnitude bins with equal numbers of true sources."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.errors import NpecatError

MAGNITUDE_LIMIT = 22.0
"""Figures are for sources brighter than this, about the 5 sigma limit of SDSS in the r band
(section 7 of the paper); the prior reaches 23, so that a network also sees what lies below."""

N_BINS = 10
"""Bins of Figures 4 and 5 of the paper."""


def magnitude_edges(true_magnitude: np.ndarray) -> np.ndarray:
    """float64 (N_BINS + 1,), ascending: edges that share true sources equally.

    From the brightest true source to MAGNITUDE_LIMIT. Raises NpecatError where no true source is
    brighter than that.
    """
    bright = true_magnitude[true_magnitude < MAGNITUDE_LIMIT]
    if len(bright) == 0:
        raise NpecatError(
            f"the test set holds no source brighter than r = {MAGNITUDE_LIMIT:g}; "
            "simulate more test images"
        )
    edges = np.quantile(bright, np.linspace(0, 1, N_BINS + 1))
    edges[-1] = MAGNITUDE_LIMIT
    return edges


@dataclass(frozen=True)
class BinnedMean:
    """A metric as a mean over sources, kept as sums over each image; float64 (image, bin).

    total: of the values of the sources. count: of the sources.
    """

    total: np.ndarray
    count: np.ndarray


def binned_mean(
    image: np.ndarray, magnitude: np.ndarray, value: np.ndarray, edges: np.ndarray, n_images: int
) -> BinnedMean:
    """Sums by image and magnitude bin; image, magnitude and value are (source,).

    A bin holds its lower edge and not its upper one; the first also holds whatever is brighter,
    such as an overestimate of the brightest source. Sources at or beyond the last edge, and
    those of NaN magnitude, are in no bin.
    """
    n_bins = len(edges) - 1
    inside = magnitude < edges[-1]
    place = np.searchsorted(edges[1:], magnitude[inside], side="right")
    cell = image[inside] * n_bins + place
    total = np.bincount(cell, value[inside], n_images * n_bins)
    count = np.bincount(cell, minlength=n_images * n_bins).astype(np.float64)
    return BinnedMean(total.reshape(n_images, n_bins), count.reshape(n_images, n_bins))
