"""Images in counts that hold their sky, as a camera gives them: sky, noise and stars are known."""

import numpy as np

from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.units import PIXEL_SCALE

SKY, GAIN, ZERO_POINT = 183.0, 4.71, 28.304
"""Counts, electrons per count and AB magnitude of a count: those of SDSS field 94/1/12."""

SIGMA = float(np.sqrt(SKY / GAIN))
"""Noise of a pixel of blank sky, counts."""

TOLD = {"zeropoint": ZERO_POINT, "gain": GAIN, "pixel_scale": PIXEL_SCALE}
"""What image_from_arrays is told of such images."""

CAMERA = (
    *("--zeropoint", f"{ZERO_POINT}", "--gain", f"{GAIN}"),
    *("--pixel-scale", f"{PIXEL_SCALE}"),
)
"""The same as options of the command line."""

PSF = SINGLE_FIELD.psf_of(0)

FWHM = 3.5
"""Pixels; that of the shapes that have a name."""

STAMP = 60
"""Pixels from a star to the edges of the square in which it is drawn."""


def profile(
    shape: str | SixNumberPsf, x: np.ndarray, y: np.ndarray, fwhm: float = FWHM
) -> np.ndarray:
    """Light per pixel of a star of flux 1.

    The shape is a PSF, or "gauss", "elliptical", "psf" (a typical one) or the beta of a Moffat,
    all of this FWHM.
    """
    if shape == "elliptical":  # one axis a tenth longer than the other
        x, y, shape = x * 1.1**0.5, y / 1.1**0.5, "gauss"
    squared = np.square(x) + np.square(y)
    if shape == "gauss":
        sigma = fwhm / np.sqrt(8 * np.log(2))
        return np.exp(-squared / 2 / sigma**2) / (2 * np.pi * sigma**2)
    if shape == "psf":
        shape = typical_psf(fwhm)
    if isinstance(shape, SixNumberPsf):
        return shape.profile(np.sqrt(squared))
    beta = float(shape)
    core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    return (beta - 1) / (np.pi * core**2) * (1 + squared / core**2) ** -beta


def flux_of(magnitudes: np.ndarray) -> np.ndarray:
    """Counts of stars of these magnitudes."""
    return 10 ** (0.4 * (ZERO_POINT - magnitudes))


def starlight(
    places: np.ndarray,
    flux: np.ndarray,
    *,
    size: int | tuple[int, int],
    shape: str | SixNumberPsf = PSF,
    fwhm: float = FWHM,
    stamp: int = STAMP,
) -> np.ndarray:
    """Light of stars without noise, in counts: float64 (y, x).

    Places are x and y of each star, (star, 2); the size is that of a side, or height and width.
    """
    light = np.zeros(np.broadcast_to(size, 2))
    for (x, y), one in zip(places, flux, strict=True):
        rows, columns = [
            slice(max(round(at) - stamp, 0), min(round(at) + stamp + 1, length))
            for at, length in zip((y, x), light.shape, strict=True)
        ]
        row, column = np.ogrid[rows, columns]
        light[rows, columns] += one * profile(shape, column - x, row - y, fwhm)
    return light


def noisy(light: np.ndarray, seed: int = 0) -> np.ndarray:
    """Light on the sky, in counts with photon noise: float64 (y, x)."""
    return np.random.default_rng(seed).poisson((light + SKY) * GAIN) / GAIN
