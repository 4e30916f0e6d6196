"""Read the six-parameter PSF and the detector of an SDSS field, r band, from a file or numbers.

Formats: photoField, see photofield.py; psField, https://classic.sdss.org/dr7/dm/flatFiles/
psField.html, whose HDU 6 is a table of one row with the same numbers in lower case.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.model.psf import PARAMETERS, Psf
from npecat_sim.surveys.sdss.photofield import BANDS, photofield_of

GAIN = (4.71, 4.6, 4.72, 4.76, 4.725, 4.895)
"""Electrons per count of the r-band detectors of camera columns 1 to 6, from the page of the frame
format; used if the PSF is given as numbers, since PSF files hold gain and dark variance."""

DARK_VARIANCE = (1.8225, 1.0, 1.3225, 1.3225, 0.81, 0.9025)
"""Variance that read-out and dark current add to each pixel, counts squared, for camera columns 1
to 6, from the same page."""

PSFIELD_TABLE = 6
"""The HDU of a psField file with the six parameters; HDUs before it hold eigenimages."""

Identity = tuple[int, int, int]
"""Run, camera column and field."""


class FieldOptics(NamedTuple):
    """PSF and detector of a field.

    Parameters
    ----------
    psf : Psf
        PSF of the field; radii in pixels.
    gain : float
        Electrons per count.
    dark_variance : float
        Variance of the detector's noise in a pixel, counts squared.
    """

    psf: Psf
    gain: float
    dark_variance: float


def field_optics(source: str, identity: Identity) -> FieldOptics:
    """Read PSF and detector of a field.

    Parameters
    ----------
    source : str
        Path of a photoField or psField file, plain or packed, or six numbers with commas between
        them (see psf.PARAMETERS).
    identity : tuple of int
        Run, camera column and field.

    Raises
    ------
    NpecatError
        If the file is malformed or of another field, or a value is not physical; the message names
        the file and its fault.
    """
    path = Path(source)
    if "," in source and not path.exists():
        _, camcol, _ = identity
        psf = Psf.from_text(source)
        return FieldOptics(psf, GAIN[camcol - 1], DARK_VARIANCE[camcol - 1])
    with open_fits(path, "give the field's photoField or psField file, or six numbers") as hdus:
        read = _of_psfield if len(hdus) > PSFIELD_TABLE else _of_photofield
        optics = read(hdus, identity)
        optics.psf.check("r band")
        for name in ("gain", "dark_variance"):
            value = getattr(optics, name)
            if not (np.isfinite(value) and value > 0):
                raise NpecatError(f"the {name.replace('_', ' ')} of the r band is {value:g}")
    return optics


def _of_photofield(hdus: fits.HDUList, identity: Identity) -> FieldOptics:
    """PSF and detector in an open photoField file, unchecked."""
    table, is_good = photofield_of(hdus)
    rows = np.flatnonzero((table.identity == identity).all(axis=1))
    if len(rows) != 1:
        raise NpecatError(f"{len(rows)} rows are of field {'/'.join(map(str, identity))}, not one")
    if not is_good[rows[0]]:
        raise NpecatError(f"HDU 1, row {rows[0]}: PHOTO_STATUS is not 0, SDSS found no good PSF")
    row = rows[0]
    return FieldOptics(table.psf_of(row), float(table.gain[row]), float(table.dark_variance[row]))


def _of_psfield(hdus: fits.HDUList, identity: Identity) -> FieldOptics:
    """PSF and detector in an open psField file, unchecked."""
    header = hdus[0].header
    table = data_at(hdus, PSFIELD_TABLE, kind=fits.BinTableHDU)
    found = (
        header.get("RUN"),
        header.get("CAMCOL"),
        *column(table, "field", dtype=np.int32).tolist(),
    )
    if found != identity:
        raise NpecatError(f"it is of run, camcol, field {found}, not {identity}")

    def band(name: str) -> float:
        return float(column(table, name, shape=(len(BANDS),))[0, BANDS.index("r")])

    psf = Psf.of(band(f"psf_{name}") for name in PARAMETERS)
    return FieldOptics(psf, band("gain"), band("dark_variance"))
