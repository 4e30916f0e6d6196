"""Read a FITS image of any survey, given what its header cannot be trusted to say."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sep
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.io.fits import open_fits
from npecat_sim.model import psf as six_parameters
from npecat_sim.surveys.image import PixelFlag, SurveyImage, survey_image
from npecat_sim.surveys.wcs import celestial_wcs, pixel_scale
from npecat_sim.units import PIXEL_SCALE, flux_of_magnitude

log = logging.getLogger(__name__)

SCALES = (PIXEL_SCALE / 3, PIXEL_SCALE * 3)
"""Arcsec per pixel that are accepted. Networks know galaxies by their size in pixels of 0.396
arcsec; beyond a factor of 3 few galaxies look like those of the prior."""

KNOWN_SCALES = (PIXEL_SCALE / 1.1, PIXEL_SCALE * 1.1)
"""Arcsec per pixel at which galaxies appear less than a tenth off their size in training."""

KNOWN_FWHM = (1.8, 4.3)
"""Pixels: the fields of prior ``many`` have widths at half maximum of 1.86 to 4.20."""

NOISE = (0.5, 2.0)
"""Accepted ratios of measured noise to that of the sky's photons. It is 1.04 for an SDSS frame,
less than 1 where resampling has correlated pixels, more where the detector adds noise."""

MAX_ZEROPOINT = 100
"""Magnitudes; those of surveys lie between 20 and 40."""

MESH = 64
"""Pixels of a cell in which the sky is measured, SExtractor's default."""


def read_fits_image(
    path: Path,
    zeropoint: float,
    gain: float,
    fwhm: float | None = None,
    psf: Sequence[float] | np.ndarray | None = None,
    sky: float | None = None,
    mask: Path | None = None,
) -> SurveyImage:
    """The first two-dimensional image of a FITS file, plain or packed by gzip, bzip2 or fpack.

    zeropoint: AB magnitude of one count. gain: electrons per count. fwhm: of stars at half
    maximum, arcsec, from which field_model.typical_psf makes a PSF; or psf: the six numbers of
    psf.PARAMETERS, radii in pixels of this image. sky: counts per pixel that were subtracted from
    the image already; left out, the image still holds its sky, which is measured as SExtractor
    does and subtracted. Where the detector adds noise, give as sky the gain times the variance of
    blank sky. mask: a FITS image of the same shape whose pixels that are not 0 hold no data.

    Coordinates are optional; without them pixels are taken to measure 0.396 arcsec. A pixel scale
    or PSF unlike those in training is warned of, a scale beyond SCALES refused, and so is noise
    that sky and gain do not explain (see NOISE). Raises NpecatError, naming file and value.
    """
    path = Path(path)
    if not abs(zeropoint) <= MAX_ZEROPOINT:
        raise NpecatError(f"{path}: zeropoint is {zeropoint:g}; give the AB magnitude of one count")
    nmgy_per_count = float(flux_of_magnitude(zeropoint))
    electrons_per_nmgy = _positive(path, "gain", gain) / nmgy_per_count
    counts, wcs = _first_image(path)
    parameters = _psf_of(path, fwhm, psf, wcs)
    no_data = ~np.isfinite(counts)
    if mask is not None:
        no_data |= _no_data(Path(mask), counts.shape)
    counts[no_data] = 0
    found = sep.Background(counts, mask=no_data, bw=MESH, bh=MESH)
    if sky is None:
        background = found.back(dtype=np.float32)
        if not background.min() > 0:
            raise NpecatError(
                f"{path}: the sky that was measured falls to {background.min():.4g} counts; if it "
                "was subtracted already, give sky"
            )
        counts -= background
    else:
        background = np.full_like(counts, _positive(path, "sky", sky))
        if found.globalback > sky / 2:
            raise NpecatError(
                f"{path}: the image still holds a sky of {found.globalback:.4g} counts, though "
                f"{sky:g} were said to be subtracted; leave sky out"
            )
    counts *= nmgy_per_count
    background *= nmgy_per_count
    image = survey_image(
        name=str(path),
        image=counts,
        background=background,
        electrons_per_nmgy=electrons_per_nmgy,
        psf_parameters=parameters,
        flags=no_data * np.uint8(PixelFlag.NO_DATA),
        wcs=wcs,
        origin={
            "zeropoint": zeropoint,
            "gain": gain,
            "fwhm": fwhm,
            "sky": sky,
            "mask": None if mask is None else str(mask),
        },
    )
    level = float(np.median(background)) / nmgy_per_count
    ratio = found.globalrms / np.sqrt(level / gain)
    if not NOISE[0] <= ratio <= NOISE[1]:
        raise NpecatError(
            f"{path}: its pixel noise is {ratio:.3g} times that of a sky of {level:.4g} counts at "
            f"a gain of {gain:g}; check gain and sky (sky={gain * found.globalrms**2:.4g} would "
            "fit the noise if the sky was subtracted)"
        )
    return image


def _positive(path: Path, name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise NpecatError(f"{path}: {name} is {value:g}; it must be finite and positive")
    return float(value)


def _first_image(path: Path) -> tuple[np.ndarray, WCS | None]:
    """float32 (y, x), and its coordinates, of the first image with two axes."""
    with open_fits(path, "give a whole FITS file with a two-dimensional image") as hdus:
        for hdu in hdus:
            if hdu.is_image and len(hdu.shape) == 2:
                with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
                    return hdu.data.astype(np.float32), celestial_wcs(hdu.header)
        raise NpecatError("it holds no image with two axes")


def _no_data(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """bool (y, x): the pixels that a mask excludes."""
    mask, _ = _first_image(path)
    if mask.shape != shape:
        raise NpecatError(f"{path}: the mask has shape {mask.shape}, the image {shape}")
    return mask != 0


def _psf_of(
    path: Path, fwhm: float | None, psf: Sequence[float] | np.ndarray | None, wcs: WCS | None
) -> np.ndarray:
    """float64 (6,); warns of what networks have not seen in training."""
    scale = PIXEL_SCALE if wcs is None else pixel_scale(wcs)
    if not SCALES[0] <= scale <= SCALES[1]:
        raise NpecatError(
            f"{path}: pixels measure {scale:.3g} arcsec; resample the image to {PIXEL_SCALE}, "
            "as networks know galaxies by their size in such pixels"
        )
    if psf is not None and fwhm is None:
        parameters = np.asarray(psf, np.float64)
        six_parameters.check(parameters, f"{path}, PSF")
    elif fwhm is not None and psf is None:
        parameters = typical_psf(_positive(path, "fwhm", fwhm) / scale)
    else:
        raise NpecatError(f"{path}: give either fwhm or psf, the six parameters of the PSF")
    width = six_parameters.fwhm(parameters)
    for value, (least, most), what in (
        (scale, KNOWN_SCALES, "pixels of %s arcsec: sizes of galaxies are"),
        (width, KNOWN_FWHM, "stars %s pixels wide at half maximum: the PSF is"),
    ):
        if not least <= value <= most:
            log.warning(f"%s has {what} unlike those in training", path, f"{value:.3g}")
    if wcs is None:
        log.warning("%s has no coordinates: pixels are taken to measure %g arcsec", path, scale)
    return parameters
