"""Bright sources of an image by SEP, to hold a catalog against: no network has a say in them."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from npecat_eval.catalog.flags import source_flags
from npecat_sim.psf.base import Psf
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.inspection.detection import bright_sources

MIN_SNR = 20.0
"""SNR from which a catalog that has no row for a detection is at fault."""

MIN_MATCH, MATCH_FWHM = 2.0, 0.75
"""A row belongs to a detection if it lies within MIN_MATCH pixels or MATCH_FWHM times the FWHM."""


STEPS = [(step * x, step * y) for step in (1, 2) for x, y in ((1, 0), (0, 1), (1, 1), (1, -1))]
"""Steps x and y from the brightest pixel of a source to pairs of opposite pixels."""

SHARP, SHARP_SIGMAS = 0.5, 3.0
"""A source is sharper than a star if such a pair holds less than this share of what it would hold
in the sharpest star, by so many sigmas."""


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

    def as_wide_as_the_psf(self, image: SurveyImage) -> "BrightSources":
        """The sources that are nowhere sharper than a star: no cosmic rays or hot pixels.

        Across a cosmic ray light falls at once. So in some direction the two pixels at a distance
        from the brightest one hold less, for its light, than those of any star do.

        Parameters
        ----------
        image : SurveyImage
            The image in which they were detected.

        Returns
        -------
        BrightSources
        """
        height, width = image.image.shape
        y, x = _brightest(self.x, self.y, image.image)
        peak = image.image[y, x]
        is_sharp = np.zeros(len(self), bool)
        for step_x, step_y in STEPS:
            pair = [
                (
                    np.clip(y + sign * step_y, 0, height - 1),
                    np.clip(x + sign * step_x, 0, width - 1),
                )
                for sign in (-1, 1)
            ]
            light = sum(image.image[at] for at in pair) / 2
            sky = sum(image.background[at] for at in pair) / 2
            noise = np.sqrt((sky + np.maximum(light, 0)) / 2 / image.electrons_per_nmgy)
            least = SHARP * _least_share(image.psf, step_x, step_y) * peak
            is_sharp |= light + SHARP_SIGMAS * noise < least
        return BrightSources(**{name: column[~is_sharp] for name, column in vars(self).items()})

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


def _brightest(x: np.ndarray, y: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the brightest pixel within two of each place."""
    height, width = image.shape
    offset = np.arange(-2, 3)
    rows = (np.rint(y).astype(int)[:, None] + np.repeat(offset, 5)).clip(0, height - 1)
    columns = (np.rint(x).astype(int)[:, None] + np.tile(offset, 5)).clip(0, width - 1)
    best = image[rows, columns].argmax(axis=1)
    each = np.arange(len(x))
    return rows[each, best], columns[each, best]


def _least_share(psf: Psf, step_x: int, step_y: int) -> float:
    """Least mean light of two opposite pixels over that of the one between, in which a star is."""
    at_x, at_y = np.meshgrid(*[np.linspace(-0.5, 0.5, 5)] * 2)
    middle = psf.shares(-at_x, -at_y)
    pair = psf.shares(step_x - at_x, step_y - at_y) + psf.shares(-step_x - at_x, -step_y - at_y)
    return float((pair / 2 / middle).min())
