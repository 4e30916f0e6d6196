"""Open an image of any survey with the reader that suits it."""

from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_sim.model.psf import Psf
from npecat_sim.surveys.any_fits import read_fits_image
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.sdss.frame import read_sdss_frame


def open_image(
    path: Path | str,
    *,
    psf: str | None = None,
    mask: Path | None = None,
    zeropoint: float | None = None,
    gain: float | None = None,
    sky: float | None = None,
    fwhm: float | None = None,
) -> SurveyImage:
    """Read an image of any survey: a FITS image if a zero point is given, else an SDSS frame.

    Parameters
    ----------
    path : Path or str
        Path of the image, which may be packed by gzip, bzip2 or fpack.
    psf : str, optional
        For an SDSS frame a photoField or psField file, by default the one beside the frame; for
        any image six numbers with commas between them (see psf.PARAMETERS), radii in pixels.
    mask : Path, optional
        For an SDSS frame an fpM file, by default the one beside the frame; for any other image a
        FITS image of the same shape, whose pixels that are not 0 mark pixels without data.
    zeropoint : float, optional
        AB magnitude of one count. Images of surveys other than SDSS need it, and a gain.
    gain : float, optional
        Electrons per count.
    sky : float, optional
        Counts per pixel that were subtracted already; by default the image still holds its sky.
    fwhm : float, optional
        FWHM of stars, arcsec, in place of `psf`.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a file cannot be read, or a value does not suit the image; the message names both.

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
    if zeropoint is None:
        given = {"gain": gain, "sky": sky, "fwhm": fwhm}
        for name, value in given.items():
            if value is not None:
                raise NpecatError(
                    f"{path}: {name} is for images of other surveys, which need a zeropoint as "
                    "well",
                    parameters=("zeropoint",),
                )
        return read_sdss_frame(path, psf=psf, mask=mask)
    if gain is None:
        raise NpecatError(
            f"{path}: a zeropoint is given but no gain (electrons per count)", parameters=("gain",)
        )
    numbers = None if psf is None else Psf.from_text(psf)
    return read_fits_image(
        path, zeropoint=zeropoint, gain=gain, fwhm=fwhm, psf=numbers, sky=sky, mask=mask
    )
