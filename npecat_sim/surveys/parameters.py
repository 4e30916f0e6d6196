"""Checks of what image_from_arrays is given, each with a message that names image and parameter."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.psf.base import Psf
from npecat_sim.psf.files import read_psf
from npecat_sim.psf.six_numbers import PARAMETERS, SixNumberPsf
from npecat_sim.psf.varying import ConstantMap, PsfMap
from npecat_sim.surveys.wcs import pixel_scale as scale_of
from npecat_sim.units import PIXEL_SCALE

log = logging.getLogger(__name__)

SCALES = (0.05, 20.0)
"""Minimum and maximum accepted pixel scale, arcsec per pixel: those of telescopes on the ground."""

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
    """Arcsec per pixel, checked: NpecatError outside SCALES."""
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
            f"{name}: pixels measure {scale:.3g} arcsec; give an image with {smallest:g} to "
            f"{largest:g} arcsec a pixel"
        )
    return scale


PsfLike = Psf | PsfMap | Path | str | Sequence[float] | np.ndarray
"""A PSF, or what tells one: a file, six numbers as text or not."""


def checked_width(name: str, fwhm: float, scale: float) -> Psf:
    """The typical PSF of an FWHM in arcsec, checked."""
    refuse_unless_positive(name, "fwhm", fwhm)
    psf = typical_psf(float(fwhm) / scale)
    psf.check(f"{name}, PSF")
    return psf


def checked_psf(name: str, psf: PsfLike, *, band: str) -> PsfMap:
    """The PSF at every place from any of its forms, checked at its first pixel."""
    if isinstance(psf, PsfMap):
        found = psf
    elif isinstance(psf, Psf):
        found = ConstantMap(psf)
    elif isinstance(psf, str | Path):
        try:
            found = read_psf(psf, band=band)
        except NpecatError as error:
            raise NpecatError(f"{name}: PSF {error}", parameters=("psf",)) from None
    elif np.shape(psf) == (len(PARAMETERS),):
        found = ConstantMap(SixNumberPsf.of(psf))
    else:
        raise NpecatError(
            f"{name}: psf has shape {np.shape(psf)}; give a Psf, its {len(PARAMETERS)} numbers, "
            "a file, or the FWHM of stars in arcsec",
            parameters=("psf",),
        )
    found.at(0, 0).check(f"{name}, PSF")
    return found


def psf_name(psf: PsfLike) -> str:
    """Where a PSF that is given comes from, in words."""
    is_file = isinstance(psf, str | Path) and Path(psf).exists()
    return Path(psf).name if is_file else "as given"  # type: ignore[arg-type]
