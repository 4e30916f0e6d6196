"""Read a PSF from a file of any kind that is known; the content tells which.

====================  =============================================================================
six numbers           as text, see six_numbers.PARAMETERS
PSFEx                 a table with the column PSF_MASK, see psfex
psField of SDSS       its eigenimages, see psfield
Piff                  what ``piff.PSF.write`` writes, see piff
a stamp               one image: the recorded star in its middle
stamps at places      one image with axes (stamp, y, x), and a table with the columns x and y, a row
                      for each stamp: 0-indexed pixels of the image of the sky
====================  =============================================================================

The header of stamps may hold OVERSAMP, the number of samples per pixel, which is 1 by default.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at, image_at, image_hdus, open_fits
from npecat_sim.psf.base import Psf
from npecat_sim.psf.piff import is_piff, read_piff
from npecat_sim.psf.psfex import psfex_hdu, read_psfex
from npecat_sim.psf.psfield import is_psfield, read_psfield
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.psf.varying import ConstantMap, GridMap, PsfMap

FIX = "give six numbers, or a file of PSFEx, Piff or stamps, or a psField file of SDSS"
"""What to do about a file that holds no PSF."""

OVERSAMPLING = "OVERSAMP"
"""Keyword with the number of samples per pixel."""

MAX_OVERSAMPLING = 50
"""Maximum number of samples per pixel."""

MAX_SAMPLES = 1001
"""Maximum number of samples along an axis of a stamp."""

MAX_OFFSET = 0.3
"""Pixels from the middle of a stamp within which its star must be. Half a pixel, as in a stamp of
an even number of pixels with the star on one of them, would shift all that is found."""


def read_psf(source: Path | str, *, band: str = "r") -> PsfMap:
    """Read a PSF from a file, or from six numbers.

    Parameters
    ----------
    source : Path or str
        Path of a file, plain or packed by gzip or bzip2, or six numbers with commas between them.
    band : str, optional
        The band of a psField file of SDSS, which holds five.

    Returns
    -------
    PsfMap

    Raises
    ------
    NpecatError
        If the file is of no known kind or damaged; the message names the file and its fault.

    Examples
    --------
    >>> round(read_psf("1.2,2.6,2.6,3.2,0.04,0.01").at(0, 0).fwhm, 2)
    2.9
    """
    path = Path(source)
    if isinstance(source, str) and "," in source and not path.exists():
        return ConstantMap(SixNumberPsf.from_text(source))
    with open_fits(path, FIX) as hdus:
        return psf_of_file(path, hdus, band=band)


def psf_of_file(path: Path, hdus: fits.HDUList, *, band: str) -> PsfMap:
    """The PSF of an open file, see read_psf."""
    index = psfex_hdu(hdus)
    if index is not None:
        found: PsfMap = read_psfex(hdus, index)
    elif is_psfield(hdus):
        found = read_psfield(hdus, band)
    elif is_piff(hdus):
        return read_piff(path, hdus)
    else:
        found = _stamps(hdus)
    found.at(0, 0).check("it")
    return found


def _stamps(hdus: fits.HDUList) -> PsfMap:
    """One stamp, or stamps at places."""
    cubes = [i for i, hdu in enumerate(hdus) if hdu.is_image and len(hdu.shape) == 3]
    tables = [i for i, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)]
    if len(cubes) == 1 and hdus[cubes[0]].shape[0] > 1:
        kind = type(hdus[cubes[0]])
        images = _checked(data_at(hdus, cubes[0], kind=kind))
        step = _step(hdus[cubes[0]].header)
        if len(tables) != 1:
            raise NpecatError(
                f"HDU {cubes[0]} holds {len(images)} stamps; a table with the columns x and y must "
                "tell their places"
            )
        table = data_at(hdus, tables[0], kind=fits.BinTableHDU)
        places = np.column_stack([column(table, axis) for axis in ("x", "y")])
        if len(places) != len(images) or len(np.unique(places, axis=0)) != len(places):
            raise NpecatError(
                f"HDU {tables[0]} tells {len(np.unique(places, axis=0))} places for the "
                f"{len(images)} stamps of HDU {cubes[0]}; they must be as many"
            )
        if not np.isfinite(places).all():
            raise NpecatError(f"HDU {tables[0]}: a place is not finite")
        for number, image in enumerate(images):
            _check_star(SampledPsf(image, step), f"HDU {cubes[0]}, stamp {number}")
        return GridMap(images, places, step)
    if any("PSF_SIGMA1" in hdus[table].columns.names for table in tables):
        raise NpecatError(
            "it is a photoField file, which serves only a frame of SDSS, which has 4 HDUs, the "
            "first an image in nanomaggy"
        )
    found = image_hdus(hdus)
    if len(found) != 1:
        told = f"{len(found)} images" if found else "no PSF that is known"
        raise NpecatError(f"it holds {told}")
    image, header = image_at(hdus, found[0][0])
    stamp = SampledPsf(_checked(image), _step(header))
    _check_star(stamp, f"HDU {found[0][0]}")
    return ConstantMap(stamp)


def _checked(images: np.ndarray) -> np.ndarray:
    """Stamps as float64, after a check of their size."""
    if max(images.shape[-2:]) > MAX_SAMPLES:
        raise NpecatError(
            f"its images have {images.shape[-1]} x {images.shape[-2]} samples, more than "
            f"{MAX_SAMPLES} on a side; give the star alone"
        )
    with np.errstate(over="ignore"):
        return np.array(images, np.float64)


def _step(header: fits.Header) -> float:
    """Pixels between samples."""
    number = header.get(OVERSAMPLING, 1)
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not (is_number and 0 < number <= MAX_OVERSAMPLING):
        raise NpecatError(
            f"{OVERSAMPLING} is {number}; it is the number of samples per pixel, up to "
            f"{MAX_OVERSAMPLING}"
        )
    return 1 / float(number)


def _check_star(psf: Psf, where: str) -> None:
    """Raise NpecatError unless a stamp is a PSF whose star is in the middle."""
    psf.check(where)
    assert isinstance(psf, SampledPsf)
    y, x = np.indices(psf.samples.shape) * psf.step
    core = psf.samples * (psf.samples > psf.samples.max() / 2)
    off_x, off_y = [(core * at).sum() / core.sum() - at.mean() for at in (x, y)]
    if np.hypot(off_x, off_y) > MAX_OFFSET:
        raise NpecatError(
            f"{where}: its star is ({off_x:.1f}, {off_y:.1f}) pixels from the middle of the "
            "stamp; cut the stamp so that it is in the middle"
        )
