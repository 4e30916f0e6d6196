"""Read a FITS image of any survey, given what its header cannot be trusted to say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import open_fits
from npecat_sim.model.psf import Psf
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.wcs import celestial_wcs


def read_fits_image(
    path: Path,
    *,
    zeropoint: float,
    gain: float,
    fwhm: float | None = None,
    psf: Psf | Sequence[float] | np.ndarray | None = None,
    sky: float | None = None,
    mask: Path | None = None,
) -> SurveyImage:
    """The first two-dimensional image of a FITS file, plain or packed by gzip, bzip2 or fpack.

    Coordinates are optional; without them pixels are taken to measure 0.396 arcsec.

    Parameters
    ----------
    path : Path
        Of the image.
    zeropoint, gain, sky
        See image_from_arrays.
    fwhm : float, optional
        Of stars at half maximum, arcsec; either this or `psf`.
    psf : Psf or sequence of float, optional
        The PSF, radii in pixels of this image.
    mask : Path, optional
        A FITS image of the same shape whose pixels that are not 0 hold no data.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        As image_from_arrays does, and if a file cannot be read; it names file and value.
    """
    path = Path(path)
    if (fwhm is None) == (psf is None):
        raise NpecatError(
            f"{path}: give either fwhm or psf, the six parameters of the PSF",
            parameters=("fwhm", "psf"),
        )
    counts, wcs = _first_image(path)
    excluded = None if mask is None else _first_image(Path(mask))[0]
    if excluded is not None and excluded.shape != counts.shape:
        raise NpecatError(
            f"{mask}: the mask has shape {excluded.shape}, the image {counts.shape}",
            parameters=("mask",),
        )
    return image_from_arrays(
        counts,
        psf=fwhm if psf is None else psf,  # type: ignore[arg-type]
        zeropoint=zeropoint,
        gain=gain,
        sky=sky,
        mask=excluded,
        wcs=wcs,
        name=str(path),
        origin={
            "zeropoint": zeropoint,
            "gain": gain,
            "fwhm": fwhm,
            "sky": sky,
            "mask": None if mask is None else str(mask),
        },
    )


def _first_image(path: Path) -> tuple[np.ndarray, WCS | None]:
    """float32 (y, x), and its coordinates, of the first image with two axes."""
    with open_fits(path, "give a whole FITS file with a two-dimensional image") as hdus:
        for hdu in hdus:
            if hdu.is_image and len(hdu.shape) == 2:
                with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
                    return hdu.data.astype(np.float32), celestial_wcs(hdu.header)
        raise NpecatError("it holds no image with two axes")
