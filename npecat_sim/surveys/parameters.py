"""Checks of what image_from_arrays is given, each with a message that names image and parameter."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.psf.base import Psf
from npecat_sim.psf.six_numbers import PARAMETERS, SixNumberPsf
from npecat_sim.surveys.wcs import pixel_scale as scale_of
from npecat_sim.units import PIXEL_SCALE

log = logging.getLogger(__name__)

SCALES = (PIXEL_SCALE / 3, PIXEL_SCALE * 3)
"""Minimum and maximum accepted pixel scale, arcsec per pixel. Networks recognise galaxies by their
size in pixels of 0.396 arcsec; beyond a factor of 3 few galaxies look like those of the prior."""

KNOWN_SCALES = (PIXEL_SCALE / 1.1, PIXEL_SCALE * 1.1)
"""Arcsec per pixel between which galaxies differ by less than 10 % from their size in training."""

KNOWN_FWHM = (1.8, 4.3)
"""Pixels: minimum and maximum FWHM without a warning, about those of prior ``many``; see
docs/log.md, checks of survey images."""

MAX_MASKED = 0.5
"""Maximum share of the pixels that a mask may hide; a weight map is not 0 nearly everywhere."""


def checked_mask(name: str, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels where a mask is not 0, after a check that it is no weight map: bool (y, x)."""
    if np.shape(mask) != shape:
        raise NpecatError(
            f"{name}: the mask has shape {np.shape(mask)}, the image {shape}", parameters=("mask",)
        )
    refuse_unless_real(name, "mask", mask)
    masked: np.ndarray = np.asarray(mask) != 0
    if masked.mean() > MAX_MASKED:
        raise NpecatError(
            f"{name}: the mask hides {masked.mean():.1%} of the pixels, all where it is not 0; is "
            "it a weight map? Then give it as weight",
            parameters=("mask", "weight"),
        )
    return masked


def relative_noise(
    name: str, noise: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The noise of each pixel over that of a typical one, and where it is unknown: (y, x) each."""
    if np.shape(noise) != shape:
        raise NpecatError(
            f"{name}: the noise has shape {np.shape(noise)}, the image {shape}",
            parameters=("noise",),
        )
    refuse_unless_real(name, "noise", noise)
    with np.errstate(over="ignore"):
        noise = np.ma.filled(np.ma.asarray(noise, np.float32), np.nan)
    unknown = ~(np.isfinite(noise) & (noise > 0))
    if unknown.all():
        raise NpecatError(
            f"{name}: the noise is nowhere finite and positive", parameters=("noise",)
        )
    middle = np.median(noise[~unknown])
    return np.where(unknown, np.float32(1), noise / middle), unknown


def refuse_unless_real(name: str, what: str, values: np.ndarray) -> None:
    """Raise NpecatError, naming image and parameter, unless an array holds real numbers."""
    kind = np.asarray(values).dtype
    if kind.kind not in "biuf":
        raise NpecatError(f"{name}: {what} hold {kind}; give real numbers", parameters=(what,))


def is_number(value: Any) -> bool:
    """Whether a value is one real number."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"


def refuse_unless_positive(name: str, what: str, value: float) -> None:
    """Raise NpecatError, naming image and parameter, unless a value is finite and positive."""
    if not (is_number(value) and np.isfinite(value) and value > 0):
        raise NpecatError(
            f"{name}: {what} is {value}; it must be finite and positive", parameters=(what,)
        )


def checked_sky(name: str, sky: float | np.ndarray, shape: tuple[int, ...]) -> float | np.ndarray:
    """The sky that was subtracted, checked, counts per pixel: one number or float32 (y, x)."""
    if np.ndim(sky) == 0:
        refuse_unless_positive(name, "sky", sky)  # type: ignore[arg-type]
        return float(sky)
    if np.shape(sky) != shape:
        raise NpecatError(
            f"{name}: sky has shape {np.shape(sky)}, the image {shape}", parameters=("sky",)
        )
    refuse_unless_real(name, "sky", sky)  # type: ignore[arg-type]
    level = np.asarray(sky, np.float32)
    if not (np.isfinite(level) & (level > 0)).all():
        raise NpecatError(f"{name}: sky is not everywhere finite and positive", parameters=("sky",))
    return level


def checked_scale(name: str, wcs: WCS | None, pixel_scale: float | None) -> float:
    """Arcsec per pixel, checked: NpecatError outside SCALES, a warning outside KNOWN_SCALES."""
    if wcs is not None:
        scale = scale_of(wcs)
    elif pixel_scale is not None:
        refuse_unless_positive(name, "pixel_scale", pixel_scale)
        scale = float(pixel_scale)
    else:
        scale = PIXEL_SCALE
        log.warning("%s has no coordinates: pixels are taken to measure %g arcsec", name, scale)
    smallest, largest = SCALES
    if not smallest <= scale <= largest:
        raise NpecatError(
            f"{name}: pixels measure {scale:.3g} arcsec; resample the image to {PIXEL_SCALE}, "
            "as networks know galaxies by their size in such pixels"
        )
    smallest, largest = KNOWN_SCALES
    if not smallest <= scale <= largest:
        log.warning(
            "%s has pixels of %.3g arcsec: sizes of galaxies are unlike those in training",
            name,
            scale,
        )
    return scale


def checked_psf(name: str, psf: Psf | Sequence[float] | np.ndarray | float, scale: float) -> Psf:
    """The PSF from any of its forms, checked."""
    if isinstance(psf, Psf):
        point: Psf = psf
    elif np.ndim(psf) == 0:
        refuse_unless_positive(name, "fwhm", psf)  # type: ignore[arg-type]
        point = typical_psf(float(psf) / scale)  # type: ignore[arg-type]
    elif np.shape(psf) == (len(PARAMETERS),):
        point = SixNumberPsf.of(psf)  # type: ignore[arg-type]
    else:
        raise NpecatError(
            f"{name}: psf has shape {np.shape(psf)}; give a Psf, its {len(PARAMETERS)} numbers, "
            "or the FWHM of stars in arcsec",
            parameters=("psf",),
        )
    point.check(f"{name}, PSF")
    return point


def warn_of_width(name: str, psf: Psf) -> None:
    """Warn if the FWHM of a PSF is outside KNOWN_FWHM."""
    narrowest, widest = KNOWN_FWHM
    if psf.fwhm > widest:
        log.warning(
            "%s has stars %.3g pixels wide at half maximum, wider than in training: bin the image "
            "2 x 2, or bright stars will be missed",
            name,
            psf.fwhm,
        )
    elif psf.fwhm < narrowest:
        log.warning(
            "%s has stars %.3g pixels wide at half maximum, narrower than in training",
            name,
            psf.fwhm,
        )
