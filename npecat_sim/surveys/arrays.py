"""Calibrate pixels in counts, once they and what was told of them were inspected."""

from typing import Any

import numpy as np
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import PsfMap
from npecat_sim.surveys.image import PixelFlag, SurveyImage, check_size, survey_image
from npecat_sim.surveys.inspection.inspect import inspect_pixels
from npecat_sim.surveys.inspection.told import Told
from npecat_sim.surveys.parameters import (
    PsfLike,
    checked_mask,
    checked_psf,
    checked_scale,
    checked_sky,
    checked_width,
    is_number,
    refuse_unless_positive,
    refuse_unless_real,
    relative_noise,
)
from npecat_sim.units import ZERO_POINT, flux_of_magnitude

MAX_COUNTS = 1e30
"""Counts from which a pixel holds no data: some programs write the largest number there."""

MAX_ZEROPOINT = 100
"""Maximum absolute value of a zero point, magnitudes; those of surveys are between 20 and 40."""


def image_from_arrays(
    pixels: np.ndarray,
    *,
    psf: PsfLike | float | None = None,
    zeropoint: float | None = None,
    gain: float | None = None,
    sky: float | np.ndarray | None = None,
    subtract_sky: bool = False,
    mask: np.ndarray | None = None,
    noise: np.ndarray | None = None,
    saturate: float | None = None,
    trust_psf: bool = False,
    wcs: WCS | None = None,
    pixel_scale: float | None = None,
    band: str = "r",
    name: str = "image",
    origin: dict[str, Any] | None = None,
) -> SurveyImage:
    """Make a survey image, ready to be cataloged, from pixels in memory.

    Parameters
    ----------
    pixels : ndarray
        (y, x), counts per pixel. Pixels that are not finite, masked, or beyond MAX_COUNTS
        hold no data.
    psf : Psf, PsfMap, path, sequence of float, or float, optional
        A PSF, a PSF at every place, a file of one (see psf.files), or six numbers (see
        psf.PARAMETERS), radii in pixels of this image. It is scaled to the stars of the image
        where they are enough. Or one number, the FWHM of stars in arcsec, from which
        sdss_statistics.typical_psf makes a PSF. With the FWHM or nothing, stars of the image tell
        its `psf_map` where they can, see psf_from_stars.
    zeropoint : float, optional
        AB magnitude of one count; 22.5 by default, so that counts are nanomaggies.
    gain : float, optional
        Electrons per count. By default it is measured from an image that still holds its sky:
        the level of the sky divided by its variance.
    sky : float or ndarray, optional
        Counts per pixel that were subtracted already, one number or (y, x). By default the image
        still holds its sky, which is measured and subtracted.
    subtract_sky : bool, optional
        Subtract what is left of the sky although `sky` was subtracted already.
    mask : ndarray, optional
        (y, x), of any type; pixels where it is not 0 hold no data.
    noise : ndarray, optional
        (y, x): noise of each pixel, up to a factor that is measured; where it is not finite or not
        positive there is no data. By default it is measured from place to place.
    saturate : float, optional
        Counts from which a pixel is saturated; by default the level at which the brightest pixels
        pile up, if they do.
    trust_psf : bool, optional
        Keep the PSF as it is given, however wide the stars are.
    wcs : WCS, optional
        Celestial coordinates of the pixels, 0-indexed as in astropy's pixel_to_world.
    pixel_scale : float, optional
        Arcsec per pixel if there is no `wcs`; 0.396 by default.
    band : str, optional
        Name of the filter.
    name : str, optional
        Name of the image in messages and in the catalog.
    origin : dict, optional
        Plain values that identify the image, kept in the header of the catalog.

    Returns
    -------
    SurveyImage
        Its ``findings`` are what was measured, see inspection.findings.

    Raises
    ------
    NpecatError
        If a value is not physical, the pixel scale is outside parameters.SCALES, or the image
        contradicts what was told of it so that a catalog would be worthless (see
        inspection.decisions).

    Notes
    -----
    The noise of the image is measured and used, whatever sky and gain say. What does not fit is
    logged as a warning.

    Examples
    --------
    >>> import numpy as np
    >>> import npecat
    >>> sky = np.random.default_rng(0).poisson(900.0, (64, 64)) / 4.7
    >>> image = npecat.image_from_arrays(sky, psf=1.4, zeropoint=28.3, gain=4.7, pixel_scale=0.396)
    >>> image.image.shape, round(image.psf.fwhm * image.pixel_scale, 2)
    ((64, 64), 1.4)
    """
    return calibrated(
        pixels,
        psf=psf,
        zeropoint=zeropoint,
        gain=gain,
        sky=sky,
        subtract_sky=subtract_sky,
        mask=mask,
        noise=noise,
        saturate=saturate,
        trust_psf=trust_psf,
        wcs=wcs,
        pixel_scale=pixel_scale,
        band=band,
        name=name,
        origin=origin,
    )


def calibrated(
    pixels: np.ndarray,
    *,
    psf: PsfLike | float | None,
    zeropoint: float | None,
    gain: float | None,
    sky: float | np.ndarray | None,
    mask: np.ndarray | None,
    noise: np.ndarray | None,
    saturate: float | None,
    wcs: WCS | None,
    pixel_scale: float | None,
    band: str,
    name: str,
    origin: dict[str, Any] | None,
    corner: tuple[int, int] = (0, 0),
    **said: Any,
) -> SurveyImage:
    """Make a survey image as image_from_arrays does, of parameters whose origin is known.

    Parameters
    ----------
    pixels : ndarray
        (y, x), counts per pixel.
    psf, zeropoint, gain, sky, mask, noise, saturate, wcs, pixel_scale, band, name, origin
        See image_from_arrays.
    corner : tuple of int, optional
        Column and row, in the file, of the first pixel.
    **said
        Other fields of inspection.told.Told: decisions of the user, and where parameters come from.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        See image_from_arrays.
    """
    zeropoint = ZERO_POINT if zeropoint is None else zeropoint
    if not (is_number(zeropoint) and abs(zeropoint) <= MAX_ZEROPOINT):
        raise NpecatError(
            f"{name}: zeropoint is {zeropoint}; give the AB magnitude of one count",
            parameters=("zeropoint",),
        )
    nmgy_per_count = float(flux_of_magnitude(zeropoint))
    for what, value in (("gain", gain), ("saturate", saturate)):
        if value is not None:
            refuse_unless_positive(name, what, value)
    scale = checked_scale(name, wcs, pixel_scale)
    shape = np.shape(pixels)
    if len(shape) != 2:
        raise NpecatError(f"{name}: pixels have shape {shape}; give an image with two axes")
    check_size(name, shape)
    point: Psf | None = None
    psf_map: PsfMap | None = None
    if psf is not None and np.ndim(psf) == 0 and is_number(psf):  # type: ignore[arg-type]
        point = checked_width(name, psf, scale)  # type: ignore[arg-type]
    elif psf is not None:
        psf_map = checked_psf(name, psf, band=band).shifted(*corner)  # type: ignore[arg-type]
        point = psf_map.at((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    refuse_unless_real(name, "pixels", pixels)
    with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
        counts = np.array(np.ma.getdata(pixels), dtype=np.float32, order="C")
    no_data = ~((counts > -MAX_COUNTS) & (counts < MAX_COUNTS))
    if np.ma.is_masked(pixels):
        no_data |= np.ma.getmaskarray(pixels)
    if mask is not None:
        no_data |= checked_mask(name, mask, shape)
    relative = None
    if noise is not None:
        relative, unknown = relative_noise(name, noise, shape)
        no_data |= unknown
    counts[no_data] = 0
    told = Told(
        name=name,
        unit="counts",
        pixel_scale=scale,
        sky=None if sky is None else checked_sky(name, sky, shape),
        gain=gain,
        psf=point,
        psf_map=psf_map,
        noise=relative,
        saturation=saturate,
        **said,
    )
    seen = inspect_pixels(counts, no_data * np.uint8(PixelFlag.NO_DATA), told=told)
    return survey_image(
        name,
        seen.pixels * np.float32(nmgy_per_count),
        background=seen.background * nmgy_per_count,
        electrons_per_nmgy=seen.gain / nmgy_per_count,
        psf=seen.psf,
        psf_map=seen.psf_map,
        flags=seen.flags,
        wcs=wcs,
        pixel_scale=scale,
        origin=origin or {"zeropoint": zeropoint, "gain": seen.gain},
        band=band,
        findings=seen.findings,
        corner=corner,
    )
