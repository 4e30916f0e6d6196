"""Bright sources of an image by SEP, to hold a catalog against: no network has a say in them."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from npecat_eval.catalog.flags import source_flags
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.inspection.detection import bright_sources

MIN_SNR = 20.0
"""SNR from which a catalog that has no row for a detection is at fault."""

MIN_MATCH, MATCH_FWHM = 2.0, 0.75
"""A row belongs to a detection if it lies within MIN_MATCH pixels or MATCH_FWHM times the FWHM."""


@dataclass(frozen=True)
class BrightSources:
    """Bright unflagged detections of SEP in one image.

    Parameters
    ----------
    x, y : ndarray
        float64 (source,), 0-indexed pixels.
    flux : ndarray
        float64 (source,), nanomaggies in the detected pixels: less than the whole flux.
    snr : ndarray
        float64 (source,): that flux over its noise.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    snr: np.ndarray

    @classmethod
    def of(cls, image: SurveyImage) -> "BrightSources":
        """Detect the sources above MIN_SNR whose core is inside the image and free of flags.

        Pixels of crowded regions count as free.
        """
        hidden = (image.flags & int(PixelFlag.NO_DATA)) != 0
        noise = np.sqrt(image.background / np.float32(image.electrons_per_nmgy))
        found = bright_sources(image.image, noise=noise, hidden=hidden)
        x, y, flux = [found[name].astype(np.float64) for name in ("x", "y", "flux")]
        at = np.rint(y).astype(int), np.rint(x).astype(int)
        with np.errstate(invalid="ignore"):
            snr = flux / np.sqrt(
                found["npix"] * noise[at] ** 2 + np.maximum(flux, 0) / image.electrons_per_nmgy
            )
        kept = (snr > MIN_SNR) & (source_flags(x, y, image=image) & ~int(PixelFlag.CROWDED) == 0)
        return cls(x[kept], y[kept], flux[kept], snr[kept])

    def __len__(self) -> int:
        return len(self.x)

    def without(self, x: np.ndarray, y: np.ndarray, *, fwhm: float) -> "BrightSources":
        """The sources that none of some rows belongs to.

        Parameters
        ----------
        x, y : ndarray
            (row,): positions of the rows, 0-indexed pixels.
        fwhm : float
            FWHM of the PSF, pixels.

        Returns
        -------
        BrightSources
        """
        if len(x) == 0 or len(self) == 0:
            return self
        reach = max(MIN_MATCH, MATCH_FWHM * fwhm)
        distance, _ = KDTree(np.column_stack([x, y])).query(np.column_stack([self.x, self.y]))
        alone = distance > reach
        return BrightSources(**{name: column[alone] for name, column in vars(self).items()})
