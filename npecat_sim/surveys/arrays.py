"""Calibrate pixels in counts: measure and subtract their sky, check their noise and PSF."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import sep
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.model.psf import PARAMETERS, Psf
from npecat_sim.surveys.image import PixelFlag, SurveyImage, survey_image
from npecat_sim.surveys.wcs import pixel_scale as scale_of
from npecat_sim.units import PIXEL_SCALE, ZERO_POINT, flux_of_magnitude

log = logging.getLogger(__name__)

SCALES = (PIXEL_SCALE / 3, PIXEL_SCALE * 3)
"""Minimum and maximum accepted pixel scale, arcsec per pixel. Networks recognise galaxies by their
size in pixels of 0.396 arcsec; beyond a factor of 3 few galaxies look like those of the prior."""

KNOWN_SCALES = (PIXEL_SCALE / 1.1, PIXEL_SCALE * 1.1)
"""Arcsec per pixel between which galaxies differ by less than 10 % from their size in training."""

KNOWN_FWHM = (1.8, 4.3)
"""Pixels: minimum and maximum FWHM without a warning, about those of prior ``many``; see
docs/log.md, checks of survey images."""

NOISE_RATIO = (0.5, 2.0)
"""Minimum and maximum accepted ratio of the measured noise to the photon noise of the sky. It is
below 1 if resampling has correlated pixels and above 1 if the detector adds noise; see docs/log.md,
checks of survey images."""

MAX_ZEROPOINT = 100
"""Maximum absolute value of a zero point, magnitudes; those of surveys are between 20 and 40."""

MESH = 64
"""Pixels along each side of a cell in which the sky is measured: the default of SExtractor."""


def image_from_arrays(
    pixels: np.ndarray,
    *,
    psf: Psf | Sequence[float] | np.ndarray | float,
    zeropoint: float | None = None,
    gain: float | None = None,
    sky: float | np.ndarray | None = None,
    mask: np.ndarray | None = None,
    wcs: WCS | None = None,
    pixel_scale: float | None = None,
    name: str = "image",
    origin: dict[str, Any] | None = None,
) -> SurveyImage:
    """Make a survey image, ready to be cataloged, from pixels in memory.

    Parameters
    ----------
    pixels : ndarray
        (y, x), counts per pixel. Pixels that are not finite hold no data.
    psf : Psf, sequence of float, or float
        A PSF or its six numbers (see psf.PARAMETERS), radii in pixels of this image; or one
        number, the FWHM of stars in arcsec, from which sdss_statistics.typical_psf makes a PSF.
    zeropoint : float, optional
        AB magnitude of one count; 22.5 by default, so that counts are nanomaggies.
    gain : float, optional
        Electrons per count. By default it is measured from an image that still holds its sky:
        the level of the sky divided by its variance.
    sky : float or ndarray, optional
        Counts per pixel that were subtracted already, one number or (y, x). By default the image
        still holds its sky, which is measured as SExtractor does and subtracted. If the detector
        adds noise, give the gain times the variance of blank sky.
    mask : ndarray, optional
        (y, x), of any type; pixels where it is not 0 hold no data.
    wcs : WCS, optional
        Celestial coordinates of the pixels, 0-indexed as in astropy's pixel_to_world.
    pixel_scale : float, optional
        Arcsec per pixel if there is no `wcs`; 0.396 by default.
    name : str, optional
        Name of the image in messages and in the catalog.
    origin : dict, optional
        Plain values that identify the image, kept in the header of the catalog.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a value is not physical, the pixel scale is outside SCALES, or sky and gain do not
        explain the noise (see NOISE_RATIO).

    Notes
    -----
    A pixel scale or PSF unlike those in training is logged as a warning.

    Examples
    --------
    >>> import numpy as np
    >>> import npecat
    >>> sky = np.random.default_rng(0).poisson(900.0, (64, 64)) / 4.7
    >>> image = npecat.image_from_arrays(sky, psf=1.4, zeropoint=28.3, gain=4.7, pixel_scale=0.396)
    >>> image.image.shape, round(image.psf.fwhm * image.pixel_scale, 2)
    ((64, 64), 1.4)
    """
    zeropoint = ZERO_POINT if zeropoint is None else zeropoint
    if not abs(zeropoint) <= MAX_ZEROPOINT:
        raise NpecatError(
            f"{name}: zeropoint is {zeropoint:g}; give the AB magnitude of one count",
            parameters=("zeropoint",),
        )
    nmgy_per_count = float(flux_of_magnitude(zeropoint))
    if gain is not None:
        _refuse_unless_positive(name, "gain", gain)
    scale = _scale(name, wcs, pixel_scale)
    shape = np.shape(pixels)
    if len(shape) != 2:
        raise NpecatError(f"{name}: pixels have shape {shape}; give an image with two axes")
    psf = _psf(name, psf, scale)
    with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
        counts = np.array(pixels, dtype=np.float32)
    no_data = ~np.isfinite(counts)
    if mask is not None:
        if np.shape(mask) != shape:
            raise NpecatError(
                f"{name}: the mask has shape {np.shape(mask)}, the image {shape}",
                parameters=("mask",),
            )
        no_data |= np.asarray(mask) != 0
    counts[no_data] = 0
    found = sep.Background(counts, mask=no_data, bw=MESH, bh=MESH)
    if sky is None:
        background = found.back(dtype=np.float32)
        if not background.min() > 0:
            raise NpecatError(
                f"{name}: the sky that was measured falls to {background.min():.4g} counts; if it "
                "was subtracted already, give sky",
                parameters=("sky",),
            )
        counts -= background
    else:
        background = _known_sky(name, sky, shape)
        if found.globalback > np.median(background) / 2:
            raise NpecatError(
                f"{name}: the image still holds a sky of {found.globalback:.4g} counts, though "
                f"{np.median(background):g} were said to be subtracted; leave sky out",
                parameters=("sky",),
            )
    level = float(np.median(background))
    if gain is None:
        if sky is not None:
            raise NpecatError(
                f"{name}: the gain of an image without its sky cannot be measured; give it",
                parameters=("gain",),
            )
        gain = level / found.globalrms**2
    counts *= nmgy_per_count
    background = background * nmgy_per_count
    image = survey_image(
        name,
        counts,
        background=background,
        electrons_per_nmgy=gain / nmgy_per_count,
        psf=psf,
        flags=no_data * np.uint8(PixelFlag.NO_DATA),
        wcs=wcs,
        pixel_scale=scale,
        origin=origin or {"zeropoint": zeropoint, "gain": gain},
    )
    ratio = found.globalrms / np.sqrt(level / gain)
    lowest, highest = NOISE_RATIO
    if not lowest <= ratio <= highest:
        raise NpecatError(
            f"{name}: its pixel noise is {ratio:.3g} times that of a sky of {level:.4g} counts at "
            f"a gain of {gain:g}; check gain and sky (sky={gain * found.globalrms**2:.4g} would "
            "fit the noise if the sky was subtracted)",
            parameters=("gain", "sky"),
        )
    return image


def _refuse_unless_positive(name: str, what: str, value: float) -> None:
    """Raise NpecatError, naming image and parameter, unless a value is finite and positive."""
    if not (np.isfinite(value) and value > 0):
        raise NpecatError(
            f"{name}: {what} is {value:g}; it must be finite and positive", parameters=(what,)
        )


def _known_sky(name: str, sky: float | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sky that was subtracted, checked: float32 (y, x), counts per pixel."""
    if np.ndim(sky) == 0:
        _refuse_unless_positive(name, "sky", float(sky))
        return np.full(shape, sky, np.float32)
    if np.shape(sky) != shape:
        raise NpecatError(
            f"{name}: sky has shape {np.shape(sky)}, the image {shape}", parameters=("sky",)
        )
    level = np.asarray(sky, np.float32)
    if not (np.isfinite(level) & (level > 0)).all():
        raise NpecatError(f"{name}: sky is not everywhere finite and positive", parameters=("sky",))
    return level


def _scale(name: str, wcs: WCS | None, pixel_scale: float | None) -> float:
    """Arcsec per pixel, checked: NpecatError outside SCALES, a warning outside KNOWN_SCALES."""
    if wcs is not None:
        scale = scale_of(wcs)
    elif pixel_scale is not None:
        _refuse_unless_positive(name, "pixel_scale", pixel_scale)
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


def _psf(name: str, psf: Psf | Sequence[float] | np.ndarray | float, scale: float) -> Psf:
    """The PSF from any of its forms, checked, with a warning if its FWHM is outside KNOWN_FWHM."""
    if isinstance(psf, Psf):
        point = psf
    elif np.ndim(psf) == 0:
        _refuse_unless_positive(name, "fwhm", float(psf))  # type: ignore[arg-type]
        point = typical_psf(float(psf) / scale)  # type: ignore[arg-type]
    elif np.shape(psf) == (len(PARAMETERS),):
        point = Psf.of(psf)  # type: ignore[arg-type]
    else:
        raise NpecatError(
            f"{name}: psf has shape {np.shape(psf)}; give a Psf, its {len(PARAMETERS)} numbers, "
            "or the FWHM of stars in arcsec",
            parameters=("psf",),
        )
    point.check(f"{name}, PSF")
    narrowest, widest = KNOWN_FWHM
    if not narrowest <= point.fwhm <= widest:
        log.warning(
            "%s has stars %.3g pixels wide at half maximum: the PSF is unlike those in training",
            name,
            point.fwhm,
        )
    return point
