"""Irregular PSFs of prior ``wide``: a kernel for all light, and no negative light around stars.

A kernel of psf_irregularity makes a PSF slightly negative in places. In images with many sources
that would take away light of their neighbours, so the missing light is given back to each star.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.model.psf_irregularity import REACH, draw_kernel
from npecat_sim.psf.base import Psf

MEASURED_WIDTH = 3.3
"""Pixels: FWHM of the SDSS PSFs whose departures were measured. A narrower PSF has departures as
large in fewer pixels of the same circle, so that their rms is smaller in proportion."""

NEGLIGIBLE = 0.01
"""Sigmas of a pixel: less light than this is not given back."""


@dataclass(frozen=True, eq=False)
class Irregularity:
    """How a PSF departs from its regular part.

    Parameters
    ----------
    kernel : ndarray
        float64 (y, x), sum near 1: light is convolved with it.
    missing : ndarray
        float64 (PSF_SIDE, PSF_SIDE): what is then added to a star of unit flux on the middle pixel,
        lest its light be negative.
    """

    kernel: np.ndarray
    missing: np.ndarray

    def applied(
        self, light: np.ndarray, sources: dict[str, np.ndarray], *, sigma: float
    ) -> np.ndarray:
        """The light of sources under the irregular PSF.

        Parameters
        ----------
        light : ndarray
            float64 (y, x), that under its regular part, nanomaggies.
        sources : dict of str to ndarray
            Their columns, see catalog.COLUMNS.
        sigma : float
            Standard deviation of a pixel, nanomaggies; fainter effects are left out.

        Returns
        -------
        ndarray
            float64 (y, x), nowhere negative.
        """
        changed = _convolved(light, self.kernel)
        bright = sources["flux"] * self.missing.max() > NEGLIGIBLE * sigma
        for row in np.flatnonzero(bright & ~sources["is_galaxy"]):
            x, y, flux = [float(sources[name][row]) for name in ("x", "y", "flux")]
            left, top = int(np.floor(x)), int(np.floor(y))
            for down, share_y in ((0, 1 - y + top), (1, y - top)):
                for right, share_x in ((0, 1 - x + left), (1, x - left)):
                    weight = flux * share_x * share_y
                    _add(weight * self.missing, changed, top=top + down, left=left + right)
        positive: np.ndarray = np.maximum(changed, 0)
        return positive


def draw_irregularity(
    psf: Psf, stamp: np.ndarray, *, width: float, largest: float, generator: np.random.Generator
) -> tuple[np.ndarray, Irregularity]:
    """Draw an irregularity and apply it to a PSF.

    Parameters
    ----------
    psf : Psf
        The regular part.
    stamp : ndarray
        float64 (PSF_SIDE, PSF_SIDE), a star of unit flux under it.
    width : float
        FWHM of the PSF, pixels.
    largest : float
        Largest rms departure as a share of the peak, see draw_kernel, of a PSF of MEASURED_WIDTH.
    generator : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    stamp : ndarray
        float64 (PSF_SIDE, PSF_SIDE), the star under the irregular PSF, with the same flux.
    irregularity : Irregularity
        For images.
    """
    of_width = largest * min(1.0, width / MEASURED_WIDTH)
    kernel = draw_kernel(psf, of_width, generator=generator)
    changed = _convolved(stamp, kernel)
    positive = np.maximum(changed, 0)
    factor = stamp.sum() / positive.sum()
    return factor * positive, Irregularity(factor * kernel, factor * (positive - changed))


def _convolved(light: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """An image convolved with a kernel of psf_irregularity, extrapolated beyond its edge."""
    padded = np.pad(light, REACH, mode="edge")
    result: np.ndarray = fftconvolve(padded, kernel, mode="valid")
    return result


def _add(stamp: np.ndarray, image: np.ndarray, *, top: int, left: int) -> None:
    """Add a stamp, whose middle is at a pixel of an image, to the part of it that it covers."""
    rows, columns = [
        slice(*np.clip([at - PSF_SIDE // 2, at + PSF_SIDE // 2 + 1], 0, length))
        for at, length in zip((top, left), image.shape, strict=True)
    ]
    image[rows, columns] += stamp[
        rows.start - top + PSF_SIDE // 2 : rows.stop - top + PSF_SIDE // 2,
        columns.start - left + PSF_SIDE // 2 : columns.stop - left + PSF_SIDE // 2,
    ]
