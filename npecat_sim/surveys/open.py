"""Open an image of any survey with the reader that suits it."""

from pathlib import Path
from typing import Any

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.any_fits import read_fits_image
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.parameters import PsfLike
from npecat_sim.surveys.sdss.frame import NotAFrameError, read_sdss_frame

OF_OTHER_SURVEYS = (
    "zeropoint",
    "gain",
    "sky",
    "mask_bits",
    "weight",
    "variance",
    "rms",
    "hdu",
    "cut",
    "pixel_scale",
)
"""Parameters that a frame of SDSS does not have: it tells these things itself."""


def open_image(
    path: Path | str,
    *,
    psf: PsfLike | None = None,
    fwhm: float | None = None,
    trust_psf: bool = False,
    zeropoint: float | None = None,
    gain: float | None = None,
    saturate: float | None = None,
    sky: float | None = None,
    subtract_sky: bool = False,
    mask: Path | None = None,
    mask_bits: int | None = None,
    weight: Path | None = None,
    variance: Path | None = None,
    rms: Path | None = None,
    hdu: str | None = None,
    cut: str | None = None,
    pixel_scale: float | None = None,
) -> SurveyImage:
    """Read an image of any survey: a frame of SDSS, which tells all by itself, or any FITS image.

    Parameters
    ----------
    path : Path or str
        Path of the image, which may be packed by gzip, bzip2 or fpack.
    psf : path, str, Psf or PsfMap, optional
        A file of PSFEx, Piff, stamps or psField (see psf.files), whose places are those of the
        whole image; or six numbers with commas between them (see psf.PARAMETERS), radii in pixels.
        A frame of SDSS also takes a photoField file, by default the one beside it. Without a PSF
        the stars of the image tell it, see psf_from_stars.
    fwhm : float, optional
        FWHM of stars, arcsec, in place of `psf`; by default SEEING of the header, or that of the
        stars. Stars decide in any case where they are enough.
    trust_psf : bool, optional
        Keep the PSF as it is given, however wide the stars are.
    zeropoint : float, optional
        AB magnitude of one count; by default that of the header, see keywords.KEYWORDS.
    gain : float, optional
        Electrons per count; by default that of the header, or else measured if the image still
        holds its sky.
    saturate : float, optional
        Counts from which a pixel is saturated; by default that of the header, or else the level at
        which the brightest pixels pile up.
    sky : float, optional
        Counts per pixel that were subtracted already; by default the image still holds its sky.
    subtract_sky : bool, optional
        Subtract what is left of the sky although `sky` was subtracted already.
    mask : Path, optional
        For an SDSS frame an fpM file, by default the one beside the frame; for any other image a
        FITS image of the same shape, whose pixels that are not 0 mark pixels without data.
    mask_bits : int, optional
        Sum of the bits of `mask` that count; all by default.
    weight, variance, rms : Path, optional
        A FITS image of the same shape with the inverse variance, the variance or the standard
        deviation of each pixel, up to a factor; pixels of no weight hold no data.
    hdu : str, optional
        Index or name of the image in the file, where it holds several.
    cut : str, optional
        ``x0:x1,y0:y1``: the part of the image to read, columns and rows from 0.
    pixel_scale : float, optional
        Arcsec per pixel of an image without coordinates; 0.396 by default.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a file cannot be read, a value does not suit the image or is not known; the message
        names both.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> import npecat
    >>> path = Path(tempfile.mkdtemp()) / "sky.fits"
    >>> fits.writeto(path, np.random.default_rng(0).poisson(900.0, (64, 64)) / 4.7)
    >>> image = npecat.open_image(path, zeropoint=28.3, gain=4.7, fwhm=1.4)
    >>> image.image.shape
    (64, 64)
    """
    path = Path(path)
    of_any: dict[str, Any] = {
        "fwhm": fwhm,
        "trust_psf": trust_psf,
        "saturate": saturate,
        "subtract_sky": subtract_sky,
        "mask": mask,
    }
    values = (zeropoint, gain, sky, mask_bits, weight, variance, rms, hdu, cut, pixel_scale)
    of_others: dict[str, Any] = dict(zip(OF_OTHER_SURVEYS, values, strict=True))
    if zeropoint is None:
        try:
            image = read_sdss_frame(path, psf, **of_any)
        except NotAFrameError:
            pass
        else:
            _refuse_others(path, of_others)
            return image
    return read_fits_image(path, psf=psf, **of_any, **of_others)


def _refuse_others(path: Path, given: dict[str, Any]) -> None:
    """Raise NpecatError for the first parameter that a frame of SDSS does not have."""
    for name, value in given.items():
        if value is not None:
            raise NpecatError(
                f"{path}: {name} is for images of other surveys, which need a zeropoint as well",
                parameters=("zeropoint",),
            )
