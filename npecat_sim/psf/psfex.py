"""Read the models of PSFEx: images that are added up with a polynomial of the place.

Format: https://psfex.readthedocs.io/en/latest/Appendices.html. The Legacy Surveys write the same
numbers as a table of one row, with the keywords as columns in lower case.
"""

from typing import Any

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import data_at
from npecat_sim.psf.varying import PolynomialMap

IMAGES = "PSF_MASK"
"""Column with the images."""

MAX_DEGREE = 20
"""Maximum degree of a polynomial; PSFEx itself takes no more than 10."""


def psfex_hdu(hdus: fits.HDUList) -> int | None:
    """Index of the table with a model of PSFEx, None if there is none."""
    for index, hdu in enumerate(hdus):
        if isinstance(hdu, fits.BinTableHDU) and IMAGES in map(str.upper, hdu.columns.names):
            return index
    return None


def read_psfex(hdus: fits.HDUList, index: int) -> PolynomialMap:
    """The model of an open file.

    Parameters
    ----------
    hdus : HDUList
        The open file.
    index : int
        The HDU with the model.

    Returns
    -------
    PolynomialMap
        PSFEx counts pixels from 1, and means its samples with the kernel ``lanczos3``.

    Raises
    ------
    NpecatError
        If the model depends on anything but the place, or is damaged; the message names the
        keyword.
    """
    table: fits.FITS_rec = data_at(hdus, index, kind=fits.BinTableHDU)
    if len(table) != 1:
        raise NpecatError(
            f"HDU {index} holds {len(table)} PSFs, of as many images; give a file with one of them"
        )
    name_of = {name.upper(): name for name in table.names}

    def value(keyword: str) -> Any:
        """A keyword of the header, or the column of that name."""
        if keyword in hdus[index].header:
            return hdus[index].header[keyword]
        if keyword in name_of:
            return table[name_of[keyword]][0]
        raise NpecatError(f"HDU {index}: {keyword} is missing")

    def number(keyword: str, what: str = "finite", low: float = -np.inf) -> float:
        """A keyword that is a finite number above a limit."""
        found = value(keyword)
        is_number = np.ndim(found) == 0 and np.asarray(found).dtype.kind in "iuf"
        if not (is_number and np.isfinite(found) and found > low):
            raise NpecatError(f"HDU {index}: {keyword} is {found}; it must be {what}")
        return float(found)

    for keyword, known in (("POLNAXIS", 2), ("POLNGRP", 1), ("POLGRP1", 1), ("POLGRP2", 1)):
        if number(keyword) != known:
            raise NpecatError(
                f"HDU {index}: {keyword} is {value(keyword)}; it must be {known}, so that the PSF "
                "depends on x and y alone"
            )
    for keyword, axis in (("POLNAME1", "X"), ("POLNAME2", "Y")):
        name = str(value(keyword)).strip()
        if not (name.startswith(axis) and name.endswith("IMAGE")):
            raise NpecatError(f"HDU {index}: {keyword} is {name}; it must be {axis}_IMAGE")
    degree = number("POLDEG1")
    if degree not in range(MAX_DEGREE + 1):
        raise NpecatError(f"HDU {index}: POLDEG1 is {degree:.0f}; it must be up to {MAX_DEGREE}")
    n = int(degree)
    powers = [(i, j) for j in range(n + 1) for i in range(n + 1 - j)]
    images = np.asarray(table[name_of[IMAGES]][0])
    if images.ndim != 3 or len(images) != len(powers) or images.dtype.kind != "f":
        raise NpecatError(
            f"HDU {index}: PSF_MASK holds {images.dtype.name} of shape {images.shape}; with "
            f"POLDEG1 = {n} it must be {len(powers)} images"
        )
    if not np.isfinite(images).all():
        raise NpecatError(f"HDU {index}: PSF_MASK holds a value that is not finite")
    zero = [number(f"POLZERO{axis}") - 1 for axis in (1, 2)]
    scale = [number(f"POLSCAL{axis}", "positive", 0) for axis in (1, 2)]
    return PolynomialMap(
        images.astype(np.float64),
        np.array(powers),
        zero=(zero[0], zero[1]),
        scale=(scale[0], scale[1]),
        step=number("PSF_SAMP", "positive", 0),
        interpolant="lanczos3",
    )
