"""Read SDSS's photoField files: PSF, sky and detector of all fields of a camera column.

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
from npecat_sim.model.psf import PARAMETERS

log = logging.getLogger(__name__)

BANDS = "ugriz"
"""Order of every 5-vector in a photoField file."""


def read_photofield(path: Path) -> FieldTable:
    """The r band of all fields of a photoField file whose PHOTO_STATUS is 0 (good).

    Logs how many were left out. Raises NpecatError, naming file, row and column (rows counted
    from 0 as in the file), on a malformed file or an unphysical value.
    """
    with open_fits(path, "get the photoField file from SDSS again") as hdus:
        every, is_good = photofield_of(hdus)
        good = np.flatnonzero(is_good)
        if len(good) == 0:
            raise NpecatError("no field has PHOTO_STATUS 0")
        # A field that is left out may hold anything; a good one stands in its row for the check.
        every.take(np.where(is_good, np.arange(len(every)), good[0])).check("HDU 1")
    if len(good) < len(every):
        log.warning(
            "%s: left out %d of %d fields, their PHOTO_STATUS is not 0",
            path,
            len(every) - len(good),
            len(every),
        )
    return every.take(good)


def photofield_of(hdus: fits.HDUList) -> tuple[FieldTable, np.ndarray]:
    """The r band of all fields of a photoField file, unchecked, and whether they are good, (n,).

    Raises NpecatError, naming HDU and column, on a malformed file.
    """
    table = data_at(hdus, 1, fits.BinTableHDU)

    def band(name: str) -> np.ndarray:
        return column(table, name, (len(BANDS),))[:, BANDS.index("r")]

    every = FieldTable(
        identity=identities(table),
        psf=np.stack([band(f"PSF_{name.upper()}") for name in PARAMETERS], axis=1),
        fwhm=band("PSF_WIDTH"),
        sky=band("SKY"),
        gain=band("GAIN"),
        dark_variance=band("DARK_VARIANCE"),
        nmgy_per_count=band("NMGYPERCOUNT"),
        sky_maps={},
        source="library",
    )
    return every, column(table, "PHOTO_STATUS", dtype=np.int32) == 0
