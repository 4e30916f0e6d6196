"""Read photoField files of SDSS: PSF, sky and detector of all fields of a camera column.

Format: the SDSS data model, https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/
"""

import logging
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import identities
from npecat_sim.fields.table import FieldTable
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.psf.six_numbers import PARAMETERS

log = logging.getLogger(__name__)

BANDS = ("u", "g", "r", "i", "z")
"""Bands in the order of every 5-vector in a photoField file."""


def is_photofield(hdus: fits.HDUList) -> bool:
    """Whether an open file is a photoField file."""
    table = hdus[1] if len(hdus) > 1 else None
    return isinstance(table, fits.BinTableHDU) and "PHOTO_STATUS" in table.columns.names


def read_photofield(path: Path) -> FieldTable:
    """Read the r band of all fields of a photoField file whose PHOTO_STATUS is 0 (good).

    The number of fields left out is logged.

    Raises
    ------
    NpecatError
        If the file is malformed, has no good field or has a value that is not physical; the message
        names file, row and column, with rows of the file counted from 0.
    """
    with open_fits(path, "get the photoField file from SDSS again") as hdus:
        every, is_good = photofield_of(hdus)
        good = np.flatnonzero(is_good)
        if len(good) == 0:
            raise NpecatError("no field has PHOTO_STATUS 0")
        # A field that is left out may hold any value; a good one replaces it for the check.
        every.take(np.where(is_good, np.arange(len(every)), good[0])).check("HDU 1")
    if len(good) < len(every):
        log.warning(
            "%s: left out %d of %d fields, their PHOTO_STATUS is not 0",
            path,
            len(every) - len(good),
            len(every),
        )
    return every.take(good)


def photofield_of(hdus: fits.HDUList, band: str = "r") -> tuple[FieldTable, np.ndarray]:
    """One band of all fields of an open photoField file, unchecked.

    Parameters
    ----------
    hdus : HDUList
        The file.
    band : str, optional
        One of BANDS.

    Returns
    -------
    fields : FieldTable
        All fields, in the order of the file.
    is_good : ndarray
        bool (field,): whether PHOTO_STATUS is 0.

    Raises
    ------
    NpecatError
        If the file is malformed; the message names HDU and column.
    """
    table = data_at(hdus, 1, kind=fits.BinTableHDU)

    def of_band(name: str) -> np.ndarray:
        return column(table, name, shape=(len(BANDS),))[:, BANDS.index(band)]

    every = FieldTable(
        identity=identities(table),
        psf=np.stack([of_band(f"PSF_{name.upper()}") for name in PARAMETERS], axis=1),
        fwhm=of_band("PSF_WIDTH"),
        sky=of_band("SKY"),
        gain=of_band("GAIN"),
        dark_variance=of_band("DARK_VARIANCE"),
        nmgy_per_count=of_band("NMGYPERCOUNT"),
        sky_maps={},
        source="library",
    )
    return every, column(table, "PHOTO_STATUS", dtype=np.int32) == 0
