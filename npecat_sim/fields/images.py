"""What one's own images tell of a telescope: PSF, pixels, sky, gain and noise of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import FieldTable, check_positive
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.psf.base import Psf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.units import magnitude

POSITIVE = ("pixel_scale", "sky", "electrons_per_nmgy", "correlation", "step")
"""Columns of an ImageTable that hold one positive number per image."""

SAMPLES_PER_FWHM = 5
"""Samples of a PSF per FWHM: between them it errs by at most 0.25 % of its peak (Moffat and
Gaussian profiles of 1.3 to 7 pixels)."""

REACH = 6.0
"""Half side of the samples in FWHM, as that of PSFs of an image's own stars."""

KERNEL = "quintic"
"""Kernel between the samples, see sampled.INTERPOLANTS: lanczos3 errs by 0.4 % of the peak."""

DETECTED = 5.0
"""Sigmas of the noise under the PSF of a star that is told as the depth."""


def sampled(psfs: Sequence[Psf]) -> tuple[np.ndarray, float]:
    """Samples of the PSFs of an image.

    Parameters
    ----------
    psfs : sequence of Psf
        PSFs of any kind, at one or more places.

    Returns
    -------
    samples : ndarray
        float32 (place, row, column): share of a star's light per sample. The told PSF of an image,
        which has PSF_SIDE pixels on a side, is covered.
    step : float
        Pixels between them.
    """
    widths = [psf.fwhm for psf in psfs]
    step = min(widths) / SAMPLES_PER_FWHM
    half = int(np.ceil(max(REACH * max(widths), PSF_SIDE / 2) / step))
    offset = step * np.arange(-half, half + 1)
    x, y = np.meshgrid(offset, offset)
    samples = np.array([psf.shares(x, y) for psf in psfs]) * step**2
    return samples.astype(np.float32), step


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Properties of n images.

    Parameters
    ----------
    name, band : tuple of str
        File and filter of each image.
    pixel_scale : ndarray
        float64 (n,), arcsec per pixel.
    sky : ndarray
        float64 (n,), nanomaggies per arcsec^2: the sky whose photons would have the noise of an
        empty pixel, so that the noise of the detector is in it.
    electrons_per_nmgy : ndarray
        float64 (n,), electrons per nanomaggy.
    correlation : ndarray
        float64 (n,), noise under the PSF over that of white noise of the same pixels; 1 if it is
        white.
    step : ndarray
        float64 (n,), pixels between the samples of the PSFs.
    psf : tuple of ndarray
        float32 (place, row, column) of each image: share of a star's light per sample, at one or
        more places of the image.
    """

    name: tuple[str, ...]
    band: tuple[str, ...]
    pixel_scale: np.ndarray
    sky: np.ndarray
    electrons_per_nmgy: np.ndarray
    correlation: np.ndarray
    step: np.ndarray
    psf: tuple[np.ndarray, ...]

    source = "images"
    """Where the PSFs come from, see FieldTable."""

    def __len__(self) -> int:
        return len(self.name)

    @property
    def digest(self) -> str:
        """SHA-256 of all columns and PSFs, which identifies the content of the table."""
        content = sha256("\n".join((*self.name, *self.band)).encode())
        for name in POSITIVE:
            content.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        for samples in self.psf:
            content.update(str(samples.shape).encode())
            content.update(np.ascontiguousarray(samples).tobytes())
        return content.hexdigest()

    def psf_of(self, row: int, *, place: int | None = None) -> SampledPsf:
        """The PSF of an image at a place; by default the mean of all places."""
        samples = self.psf[row].astype(np.float64)
        one = samples.mean(axis=0) if place is None else samples[place]
        return SampledPsf(one, float(self.step[row]), KERNEL, float(one.sum()))

    def noise(self, row: int) -> float:
        """Standard deviation of an empty pixel of an image, nanomaggies."""
        level = self.sky[row] * self.pixel_scale[row] ** 2
        return float(np.sqrt(level / self.electrons_per_nmgy[row]))

    def noise_under_psf(self, row: int) -> float:
        """Standard deviation of the flux of a faint star of an image, nanomaggies."""
        pixels = 1 / np.sum(self.psf_of(row).stamp(PSF_SIDE) ** 2)
        return float(self.noise(row) * self.correlation[row] * np.sqrt(pixels))

    def depth(self, row: int) -> float:
        """Magnitude of a star of DETECTED sigma in an image."""
        return magnitude(DETECTED * self.noise_under_psf(row))

    def ellipticity(self, row: int) -> tuple[float, float]:
        """Ellipticity g1 and g2 of the recorded PSF of an image, see ParametricPsf.

        The response of the pixel is in it, which makes it rounder. It is that of the second moments
        under a round Gaussian twice as wide as the PSF, whose effect is taken out as is right for a
        Gaussian PSF.
        """
        psf = self.psf_of(row)
        sigma = 2 * psf.core_sigma / psf.step  # samples
        y, x = [np.arange(length) - (length - 1) / 2 for length in psf.samples.shape]
        weight = psf.samples * np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2))
        weight /= weight.sum()
        xx, yy = (weight * x**2).sum(), (weight * y[:, None] ** 2).sum()
        xy = (weight * x * y[:, None]).sum()
        inverse = np.linalg.inv([[xx, xy], [xy, yy]]) - np.eye(2) / sigma**2
        moments = np.linalg.inv(inverse)
        size = np.trace(moments) + 2 * np.sqrt(np.linalg.det(moments))
        return float((moments[0, 0] - moments[1, 1]) / size), float(2 * moments[0, 1] / size)

    def check(self, where: str) -> None:
        """Raise NpecatError if the table is empty or a value is unphysical.

        Parameters
        ----------
        where : str
            Name of the table, with which the message begins.

        Raises
        ------
        NpecatError
            The message names the row and the column.
        """
        if len(self) == 0:
            raise NpecatError(f"{where} holds no image; import at least one")
        check_positive({name: getattr(self, name) for name in POSITIVE}, where)
        for row, samples in enumerate(self.psf):
            if samples.ndim != 3 or len(samples) == 0:
                raise NpecatError(
                    f"{where}, row {row}: the PSF has shape {samples.shape}; it must have the axes "
                    "place, row and column"
                )
            for place in range(len(samples)):
                self.psf_of(row, place=place).check(f"{where}, row {row}, PSF {place}")


Fields = FieldTable | ImageTable
"""What images are drawn from."""
