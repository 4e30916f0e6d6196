"""One unit of brightness for images of any depth.

Metrics count sources of r < 22, which in images of SDSS is where a star has ten sigma of the noise
under its PSF. In images of other depths that limit means nothing. Their fluxes are therefore put in
a unit of each image's own, in which r = 22 is ten sigma as well. Nothing else changes: detections,
relative flux errors and intervals do not depend on the unit.
"""

import numpy as np

from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Contents, Store
from npecat_sim.units import flux_of_magnitude, magnitude

R22, DEPTH = "r22", "depth"
LIMITS = (R22, DEPTH)
"""Which sources count: those of r < 22 in the unit of the store, or in that of each image."""

LIMIT_SIGMAS = 10.0
"""SNR of a star at the limit. Under 5.6 nanomaggies of sky per square arcsec and 990 electrons a
nanomaggy, those of SDSS in the r band, and an FWHM of 1.3 arcsec a star of r = 22 has 9.5."""

SAME_DEPTH, SAME_SHARE = 1.0, 0.9
"""Magnitudes and share: if the limits of so many images of a store are as near to r = 22, as are
those of SDSS for an FWHM of 0.8 to 1.8 arcsec, its fluxes stay as they are."""

POWERS = {
    "images": 1,
    "backgrounds": 1,
    "faint_flux": 1,
    "catalog/flux": 1,
    "electrons_per_nmgy": -1,
}
"""Array of a store -> power of the unit of flux in it."""


def noise_under_psf(store: Contents, images: slice = slice(None)) -> np.ndarray:
    """Standard deviation of the best flux of a faint star in images of prior ``wide``.

    Parameters
    ----------
    store : Contents
        A store of prior ``wide``.
    images : slice, optional
        The images; all by default.

    Returns
    -------
    ndarray
        float64 (image,), nanomaggies, of the median pixel that is not masked.
    """
    background = store.array("backgrounds", images).astype(np.float64)
    background[store.array("mask", images) > 0] = np.nan
    variance = np.nanmedian(background, axis=(1, 2)) / store.array("electrons_per_nmgy", images)
    pixels = 1 / np.sum(store.array("psf", images).astype(np.float64) ** 2, axis=(1, 2))
    noise: np.ndarray = np.sqrt(variance * pixels) * store.array("noise_correlation", images)
    return noise


def depth_factors(noise: np.ndarray) -> np.ndarray:
    """Factors of the fluxes of images that make r = 22 the flux of a star of LIMIT_SIGMAS.

    Parameters
    ----------
    noise : ndarray
        float64 (image,), from noise_under_psf, nanomaggies.

    Returns
    -------
    ndarray
        float64 (image,).
    """
    factors: np.ndarray = flux_of_magnitude(MAGNITUDE_LIMIT) / (LIMIT_SIGMAS * noise)
    return factors


def is_of_one_depth(noise: np.ndarray) -> bool:
    """Whether nearly all images are about as deep as those of SDSS, see SAME_DEPTH."""
    limits = magnitude(LIMIT_SIGMAS * noise)
    return bool(np.mean(np.abs(limits - MAGNITUDE_LIMIT) < SAME_DEPTH) >= SAME_SHARE)


class AtOneDepth(Store):
    """A store of prior ``wide`` whose fluxes are in a unit of each image's own.

    Parameters
    ----------
    path : Path or UPath
        Path of the store.
    factors : ndarray
        float64 (image,), from depth_factors.

    Raises
    ------
    StoreError
        As of Store.
    """

    def __init__(self, path: Location, factors: np.ndarray) -> None:
        super().__init__(path)
        self.factors = factors

    def array(self, name: str, images: slice = slice(None)) -> np.ndarray:
        """One array, or a slice of it along the image axis, see Contents.array."""
        values = super().array(name, images)
        if name not in POWERS:
            return values
        factor = self.factors[images] ** POWERS[name]
        scaled: np.ndarray = values * factor.reshape(-1, *[1] * (values.ndim - 1))
        return scaled.astype(values.dtype)
