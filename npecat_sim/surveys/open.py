"""One door to the readers of all surveys."""

from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_sim.model import psf as six_parameters
from npecat_sim.surveys.any_fits import read_fits_image
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.sdss.frame import read_sdss_frame


def open_image(
    path: Path,
    psf: str | None = None,
    mask: Path | None = None,
    zeropoint: float | None = None,
    gain: float | None = None,
    sky: float | None = None,
    fwhm: float | None = None,
) -> SurveyImage:
    """An image of any survey: with a zeropoint any FITS image, without one a frame of SDSS.

    Parameters and errors are those of read_fits_image and read_sdss_frame; psf is text, for any
    FITS image six numbers with commas between them.
    """
    if zeropoint is None:
        given = {"gain": gain, "sky": sky, "fwhm": fwhm}
        for name, value in given.items():
            if value is not None:
                raise NpecatError(
                    f"{path}: {name} is for images of other surveys, which need a zeropoint as well"
                )
        return read_sdss_frame(path, psf, mask)
    if gain is None:
        raise NpecatError(f"{path}: a zeropoint is given but no gain (electrons per count)")
    numbers = None if psf is None else six_parameters.from_text(psf)
    return read_fits_image(path, zeropoint, gain, fwhm, numbers, sky, mask)
