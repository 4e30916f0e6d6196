"""Read a FITS image of any survey; the caller gives calibration and PSF, not the header."""

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
    """Read the first two-dimensional image of a FITS file.

    The file may be packed by gzip, bzip2 or fpack. Coordinates are optional; without them pixels
    are assumed to measure 0.396 arcsec.

    Parameters
    ----------
    path : Path
        Path of the image.
    zeropoint : float
        AB magnitude of one count.
    gain : float
        Electrons per count.
    fwhm : float, optional
        FWHM of stars, arcsec; give either this or `psf`.
    psf : Psf or sequence of float, optional
        A PSF or its six numbers (see psf.PARAMETERS); radii in pixels of this image.
    sky : float, optional
        Counts per pixel that were subtracted already, see image_from_arrays.
    mask : Path, optional
        Path of a FITS image of the same shape; pixels where it is not 0 hold no data.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a file cannot be read, neither or both of `fwhm` and `psf` are given, or a value does
        not suit the image, see image_from_arrays. The message names file and value.
    """
    path = Path(path)
    point = fwhm if psf is None else psf
    if point is None or (fwhm is not None and psf is not None):
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
        psf=point,
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
    """The first image with two axes, float32 (y, x), and its coordinates if it has any."""
    with open_fits(path, "give a whole FITS file with a two-dimensional image") as hdus:
        for hdu in hdus:
            if hdu.is_image and len(hdu.shape) == 2:
                with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
                    return hdu.data.astype(np.float32), celestial_wcs(hdu.header)
        raise NpecatError("it holds no image with two axes")
