"""The six-parameter PSF and the gain of one SDSS field, r band, from a file or from numbers.

Formats: photoField, see npecat_sim/sdss.py; psField, https://classic.sdss.org/dr7/dm/flatFiles/
psField.html, whose HDU 6 is a table of one row with the same numbers in lower case.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim import psf
from npecat_sim.errors import NpecatError
from npecat_sim.fits_file import column, data_at, open_fits
from npecat_sim.psf import PARAMETERS
from npecat_sim.sdss import BANDS, photofield_of

GAIN = (4.71, 4.6, 4.72, 4.76, 4.725, 4.895)
"""Electrons per count of the r-band detectors of camera columns 1 to 6, as the frame format's page
tells; for a PSF given as numbers. Files of the PSF hold the gain."""

PSFIELD_TABLE = 6
"""The HDU of a psField file that holds the six parameters; those before hold eigenimages."""

Identity = tuple[int, int, int]
"""Run, camera column and field."""


def psf_and_gain(source: str, identity: Identity) -> tuple[np.ndarray, float]:
    """float64 (6,), see psf.PARAMETERS, and electrons per count of a field.

    source: a photoField or psField file, plain or packed, or six numbers. Raises NpecatError,
    naming the file and what is wrong, also where it is of another field.
    """
    path = Path(source)
    if "," in source and not path.exists():
        return psf.from_text(source), GAIN[identity[1] - 1]
    with open_fits(path, "give the field's photoField or psField file, or six numbers") as hdus:
        read = _of_psfield if len(hdus) > PSFIELD_TABLE else _of_photofield
        parameters, gain = read(hdus, identity)
        psf.check(parameters, "r band")
        if not (np.isfinite(gain) and gain > 0):
            raise NpecatError(f"the gain of the r band is {gain:g}")
    return parameters, gain


def _of_photofield(hdus: fits.HDUList, identity: Identity) -> tuple[np.ndarray, float]:
    table, is_good = photofield_of(hdus)
    rows = np.flatnonzero((table.identity == identity).all(axis=1))
    if len(rows) != 1:
        raise NpecatError(f"{len(rows)} rows are of field {'/'.join(map(str, identity))}, not one")
    if not is_good[rows[0]]:
        raise NpecatError(f"HDU 1, row {rows[0]}: PHOTO_STATUS is not 0, SDSS found no good PSF")
    return table.psf[rows[0]], float(table.gain[rows[0]])


def _of_psfield(hdus: fits.HDUList, identity: Identity) -> tuple[np.ndarray, float]:
    header = hdus[0].header
    table = data_at(hdus, PSFIELD_TABLE, fits.BinTableHDU)
    found = (
        header.get("RUN"),
        header.get("CAMCOL"),
        *column(table, "field", dtype=np.int32).tolist(),
    )
    if found != identity:
        raise NpecatError(f"it is of run, camcol, field {found}, not {identity}")

    def band(name: str) -> float:
        return float(column(table, name, (len(BANDS),))[0, BANDS.index("r")])

    return np.array([band(f"psf_{name}") for name in PARAMETERS]), band("gain")
