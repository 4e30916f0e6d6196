"""Inspect an image: measure it, and decide what to believe of what was told.

What does not fit the pixels is replaced where they say what is right (the noise, the width of the
PSF), told where they do not, and refused where a catalog would be worthless.
"""

from dataclasses import dataclass

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import PsfMap
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.surveys.inspection.bright_light import BrightLight
from npecat_sim.surveys.inspection.decisions import check_psf, decide_sky
from npecat_sim.surveys.inspection.defects import (
    HOT_SIGMAS,
    constant_blocks,
    filled,
    flat_top_level,
    single_pixels,
)
from npecat_sim.surveys.inspection.detection import bright_sources, crowded_regions
from npecat_sim.surveys.inspection.explained_noise import decide_gain, decide_noise
from npecat_sim.surveys.inspection.findings import Findings
from npecat_sim.surveys.inspection.noise import all_seen, first_noise, measure_noise
from npecat_sim.surveys.inspection.sky import first_sky, measure_sky
from npecat_sim.surveys.inspection.told import Told

UNFIT = int(PixelFlag.NO_DATA | PixelFlag.SATURATED | PixelFlag.COSMIC_RAY)
"""No star whose core holds a pixel with one of these flags tells the width of the PSF."""

MIN_SEEN = 100
"""Minimum number of pixels with data all around them; the noise of these is known to 10 %."""


class NoSkyError(NpecatError):
    """Too few pixels hold data, or all are equal: there is nothing to catalog."""


@dataclass(frozen=True)
class Inspected:
    """An image with what it was found to be.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x), sky-subtracted.
    flags : ndarray
        uint8 (y, x), bits of PixelFlag.
    background : ndarray
        float32 (y, x): the sky whose photon noise would equal the noise of each pixel.
    gain : float
        Electrons per unit.
    psf : Psf
        The PSF to use, in the middle of the image.
    psf_map : PsfMap
        The PSF at every place.
    findings : Findings
        All that was measured.
    """

    pixels: np.ndarray
    flags: np.ndarray
    background: np.ndarray
    gain: float
    psf: Psf
    psf_map: PsfMap
    findings: Findings


def inspect_pixels(pixels: np.ndarray, flags: np.ndarray, *, told: Told) -> Inspected:
    """Measure an image and decide what to believe of what was told of it.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x), in any unit; finite.
    flags : ndarray
        uint8 (y, x), bits of PixelFlag.
    told : Told
        What was told.

    Returns
    -------
    Inspected

    Raises
    ------
    NoSkyError
        If no pixels, or too few, hold anything but a constant.
    NpecatError
        If the image has no noise, if its sky or noise contradict what was told so that a catalog
        would be worthless, or if neither gain nor PSF is known; the message names image and
        parameter.
    """
    warnings: list[str] = []
    defects = _Defects.of(pixels, flags, told)
    pixels, flags = defects.pixels, defects.flags
    hidden = (flags & int(PixelFlag.NO_DATA)) != 0
    sky = measure_sky(pixels, hidden)
    residual = np.where(hidden, np.float32(0), pixels - sky.level)
    sigma = first_noise(residual, hidden)
    pixels, sky_was = decide_sky(
        pixels, sky, hidden=hidden, sigma=sigma, told=told, warnings=warnings
    )
    check_psf(told)
    light = BrightLight(
        residual,
        bright_sources(residual, noise=sigma, hidden=hidden),
        spoilt=(flags & UNFIT) != 0,
        sigma=sigma,
        electrons=told.gain or max(sky.median, 0) / sigma**2 or np.inf,
    )
    psf, psf_map, psf_was, psf_map_was = light.psf(told, warnings)
    even = residual if told.noise is None else residual / told.noise
    noise = measure_noise(even, hidden=hidden, lit=sky.lit, psf=psf)
    gain, gain_was = decide_gain(sky, noise, told)
    explained = sky.level if told.sky is None else told.sky
    background, ratio = decide_noise(
        np.broadcast_to(np.float32(explained), pixels.shape),
        noise,
        gain,
        told=told,
        warnings=warnings,
    )
    is_crowd = np.isnan(noise.under_psf)  # everywhere, of faint stars that light up few pixels
    crowded = (crowded_regions(sky.lit) | is_crowd) & ~hidden
    flags[crowded] |= int(PixelFlag.CROWDED)
    height, length = pixels.shape
    findings = Findings(
        unit=told.unit,
        size=(length, height),
        sky=sky.median,
        gradient=sky.gradient,
        sky_was=sky_was,
        noise=noise.pixel,
        noise_under_psf=noise.under_psf,
        is_white=noise.is_white,
        noise_correlation=noise.correlation,
        noise_ratio=ratio if told.gain else np.nan,
        other_noise=float((noise.cells != 1).mean()),
        gain=gain,
        gain_was=gain_was,
        fwhm=psf.fwhm * told.pixel_scale,
        psf_was=psf_was,
        psf_map_was=psf_map_was,
        saturation=defects.saturation,
        saturation_was=defects.saturation_was,
        n_saturated=int(((flags & int(PixelFlag.SATURATED)) != 0).sum()),
        n_single=defects.n_single,
        no_data=float(hidden.mean()),
        constant=defects.constant,
        lit=float(sky.lit.mean()),
        crowded=float(crowded.mean()),
        warnings=tuple(warnings),
        notes=told.notes,
    )
    return Inspected(
        np.where(hidden, np.float32(0), pixels), flags, background, gain, psf, psf_map, findings
    )


@dataclass(frozen=True)
class _Defects:
    """An image with its defects flagged, and single pixels filled from their neighbours."""

    pixels: np.ndarray
    flags: np.ndarray
    saturation: float
    saturation_was: str
    n_single: int
    constant: float

    @classmethod
    def of(cls, pixels: np.ndarray, flags: np.ndarray, told: Told) -> "_Defects":
        """Find the defects of an image."""
        hidden = (flags & int(PixelFlag.NO_DATA)) != 0
        _refuse_constants(pixels, hidden, told.name)
        ceiling = np.inf if told.saturation is None else told.saturation
        blocks = constant_blocks(pixels, ceiling=ceiling) & ~hidden
        if all_seen(hidden | blocks).sum() < MIN_SEEN:
            raise NoSkyError(
                f"{told.name}: too few pixels to measure its noise: {hidden.mean():.2%} hold no "
                f"data and {blocks.mean():.2%} lie in constant blocks; give an image of the sky"
            )
        sky = first_sky(pixels, hidden | blocks)
        residual = np.where(hidden, np.float32(0), pixels - sky)
        sigma = first_noise(residual, hidden | blocks)
        if not sigma > 0:
            raise NpecatError(f"{told.name}: it has no noise; give an image of the sky, no map")
        level, level_was = told.saturation, told.saturation_was
        if level is None:
            level = flat_top_level(np.where(hidden, 0, pixels), residual, sigma=sigma)
            level_was = "where the brightest pixels pile up"
        elif level < np.median(sky) + HOT_SIGMAS * sigma:
            raise NpecatError(
                f"{told.name}: a saturation at {level:.4g} {told.unit} ({level_was}) is no more "
                f"than its sky, {np.median(sky):.4g}; give saturate",
                parameters=("saturate",),
            )
        single = single_pixels(residual, sigma=sigma, hidden=hidden | blocks)
        saturated = ~(hidden | single) & (np.False_ if level is None else pixels >= level)
        blocks &= ~saturated
        flags = flags.copy()
        flags[blocks] |= int(PixelFlag.NO_DATA)
        flags[saturated] |= int(PixelFlag.SATURATED)
        flags[single] |= int(PixelFlag.COSMIC_RAY | PixelFlag.INTERPOLATED)
        return cls(
            filled(pixels, single) if single.any() else pixels,
            flags,
            np.nan if level is None else level,
            level_was,
            int(single.sum()),
            float(blocks.mean()),
        )


def _refuse_constants(pixels: np.ndarray, hidden: np.ndarray, name: str) -> None:
    """Raise NoSkyError if no pixel holds data or all that do are equal."""
    faintest = np.min(pixels, where=~hidden, initial=np.inf)
    brightest = np.max(pixels, where=~hidden, initial=-np.inf)
    if faintest >= brightest:
        value = "without data" if hidden.all() else f"{faintest:g}"
        raise NoSkyError(f"{name}: every pixel is {value}; give an image of the sky")
