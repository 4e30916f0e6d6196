"""Images in counts that hold their sky, as a camera gives them: stars of several shapes."""

import numpy as np

from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.units import PIXEL_SCALE

SKY, GAIN, ZERO_POINT = 183.0, 4.71, 28.304
"""Counts, electrons per count and AB magnitude of a count: those of SDSS field 94/1/12."""

TOLD = {"zeropoint": ZERO_POINT, "gain": GAIN, "pixel_scale": PIXEL_SCALE}
"""What image_from_arrays is told of such images."""

CAMERA = (
    *("--zeropoint", f"{ZERO_POINT}", "--gain", f"{GAIN}"),
    *("--pixel-scale", f"{PIXEL_SCALE}"),
)
"""The same as options of the command line."""

FWHM = 3.5
"""Pixels."""

STAMP = 25
"""Pixels from a star to the edges of the square in which it is drawn."""


def profile(shape: str, x: np.ndarray, y: np.ndarray, fwhm: float = FWHM) -> np.ndarray:
    """Light per pixel of a star of flux 1: "gauss", "elliptical", "psf" or the beta of a Moffat."""
    if shape == "elliptical":  # one axis a tenth longer than the other
        x, y, shape = x * 1.1**0.5, y / 1.1**0.5, "gauss"
    squared = np.square(x) + np.square(y)
    if shape == "gauss":
        sigma = fwhm / np.sqrt(8 * np.log(2))
        return np.exp(-squared / 2 / sigma**2) / (2 * np.pi * sigma**2)
    if shape == "psf":
        return typical_psf(fwhm).profile(np.sqrt(squared))
    beta = float(shape)
    core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    return (beta - 1) / (np.pi * core**2) * (1 + squared / core**2) ** -beta


def starlight(
    places: np.ndarray,
    magnitudes: np.ndarray,
    *,
    size: int,
    shape: str = "3.0",
    fwhm: float = FWHM,
    stamp: int = STAMP,
) -> np.ndarray:
    """Light of stars at places (star, 2), x and y: float64 (size, size), counts."""
    light = np.zeros((size, size))
    for (x, y), magnitude in zip(places, magnitudes, strict=True):
        rows, columns = [
            np.arange(max(round(at) - stamp, 0), min(round(at) + stamp + 1, size)) for at in (y, x)
        ]
        flux = 10 ** (0.4 * (ZERO_POINT - magnitude))
        star = profile(shape, columns - x, (rows - y)[:, None], fwhm)
        light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * star
    return light


def noisy(light: np.ndarray, seed: int = 0) -> np.ndarray:
    """Light on the sky, in counts with photon noise: float32 (y, x)."""
    return (np.random.default_rng(seed).poisson((light + SKY) * GAIN) / GAIN).astype(np.float32)
