"""Read the PSF and the detector of an SDSS field in a band, from a file or numbers.

Formats: photoField, see photofield.py; psField, https://classic.sdss.org/dr7/dm/flatFiles/
psField.html, whose HDU 6 is a table of one row with the same numbers in lower case; any other file
of a PSF, see psf.files.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.psf.files import psf_of_file
from npecat_sim.psf.psfield import TABLE, is_psfield, read_psfield
from npecat_sim.psf.six_numbers import PARAMETERS, SixNumberPsf
from npecat_sim.psf.varying import ConstantMap, PsfMap
from npecat_sim.surveys.sdss.photofield import BANDS, is_photofield, photofield_of

log = logging.getLogger(__name__)

Detectors = dict[str, tuple[float | dict[int, float], ...]]
"""Band -> a property of the detectors of camera columns 1 to 6; where it changed, number of the
first run -> value."""

GAIN: Detectors = {
    "u": (1.62, {0: 1.595, 1100: 1.825}, 1.59, 1.6, 1.47, 2.17),
    "g": (3.32, 3.855, 3.845, 3.995, 4.05, 4.035),
    "r": (4.71, 4.6, 4.72, 4.76, 4.725, 4.895),
    "i": (5.165, np.nan, 4.86, 4.885, 4.64, 4.76),
    "z": (4.745, 5.155, 4.885, 4.775, 3.48, 4.69),
}
"""Electrons per count, from the page of the frame format; used if the PSF is given as numbers,
since PSF files hold gain and dark variance. That page says 6.565 for i in camera column 2, but the
photoField file of run 2583 says 5.195: the number is taken for unknown."""

DARK_VARIANCE: Detectors = {
    "u": (9.61, 12.6025, 8.7025, 12.6025, 9.3025, 7.0225),
    "g": (15.6025, 1.44, 1.3225, 1.96, 1.1025, 1.8225),
    "r": (1.8225, 1.0, 1.3225, 1.3225, 0.81, 0.9025),
    "i": (7.84, {0: 5.76, 1500: 6.25}, 4.6225, {0: 6.25, 1500: 7.5625}, 7.84, 5.0625),
    "z": (0.81, 1.0, 1.0, {0: 9.61, 1500: 12.6025}, {0: 1.8225, 1500: 2.1025}, 1.21),
}
"""Variance that read-out and dark current add to each pixel, counts squared, from the same page."""

STATUS = ("OK", "PSF22", "PSF11", "NOPSF", "ABORTED", "MISSING", "OE_TRANSIENT")
"""Names of the values of a band's status in a psField file, see psp_status in
https://www.sdss.org/dr14/algorithms/image_quality/. With the first three the PSF was measured in
the field, with fewer stars for PSF22 and PSF11; with NOPSF it is a default."""

STATUS_BITS = 31
"""The bits of a status that hold its value. Bits 32 and 64 say how stars were collected: the PSF of
u in field 3900/6/269 has status 32, and SDSS counts it as OK."""

Identity = tuple[int, int, int]
"""Run, camera column and field."""


class FieldOptics(NamedTuple):
    """PSF and detector of a field in a band.

    Parameters
    ----------
    psf : SixNumberPsf or None
        The six numbers of the field, radii in pixels, if they are known.
    psf_map : PsfMap or None
        The PSF at every place, if it is known.
    gain : float
        Electrons per count.
    dark_variance : float
        Variance of the detector's noise in a pixel, counts squared.
    """

    psf: SixNumberPsf | None
    psf_map: PsfMap | None
    gain: float
    dark_variance: float


def field_optics(source: str, identity: Identity, *, band: str) -> FieldOptics:
    """Read PSF and detector of a field.

    Parameters
    ----------
    source : str
        Path of a photoField or psField file, plain or packed, or of any other file with a PSF (see
        psf.files); or six numbers with commas between them (see psf.PARAMETERS).
    identity : tuple of int
        Run, camera column and field.
    band : str
        One of BANDS.

    Raises
    ------
    NpecatError
        If the file is malformed, of another field or without a PSF of the field, a value is not
        physical, or the source does not tell the gain of a detector whose gain is not known; the
        message names the file and its fault.
    """
    path = Path(source)
    if "," in source and not path.exists():
        return given_optics(ConstantMap(SixNumberPsf.from_text(source)), identity, band=band)
    with open_fits(path, "give the field's photoField or psField file, or six numbers") as hdus:
        if is_psfield(hdus):
            optics = _of_psfield(hdus, identity, band)
        elif is_photofield(hdus):
            optics = _of_photofield(hdus, identity, band)
        else:
            optics = given_optics(psf_of_file(path, hdus, band=band), identity, band=band)
        if optics.psf:
            optics.psf.check(f"{band} band")
        for name in ("gain", "dark_variance"):
            value = getattr(optics, name)
            if not (np.isfinite(value) and value > 0):
                raise NpecatError(f"the {name.replace('_', ' ')} of the {band} band is {value:g}")
    return optics


def given_optics(psf_map: PsfMap, identity: Identity, *, band: str) -> FieldOptics:
    """PSF as it is given, and the detector of a field; NpecatError if its gain is not known."""
    psf = psf_map.at(0, 0)
    six = psf if psf_map.is_constant and isinstance(psf, SixNumberPsf) else None
    return FieldOptics(six, psf_map, *_detector(identity, band))


def _detector(identity: Identity, band: str) -> tuple[float, float]:
    """Gain and dark variance of the detector by camera column and run."""
    run, camcol, _ = identity
    gain, dark_variance = _property(GAIN, identity, band), _property(DARK_VARIANCE, identity, band)
    if not np.isfinite(gain):
        raise NpecatError(
            f"the gain of run {run}, camera column {camcol} in the {band} band is not known; give "
            "the field's photoField or psField file as PSF",
            parameters=("psf",),
        )
    return gain, dark_variance


def _property(of: Detectors, identity: Identity, band: str) -> float:
    """Property of the detector of a band and camera column at the time of the run."""
    run, camcol, _ = identity
    value = of[band][camcol - 1]
    if isinstance(value, dict):
        return value[max(first for first in value if first <= run)]
    return value


def _of_photofield(hdus: fits.HDUList, identity: Identity, band: str) -> FieldOptics:
    """PSF and detector in an open photoField file, unchecked."""
    table, is_good = photofield_of(hdus, band)
    rows = np.flatnonzero((table.identity == identity).all(axis=1))
    if len(rows) != 1:
        raise NpecatError(f"{len(rows)} rows are of field {'/'.join(map(str, identity))}, not one")
    if not is_good[rows[0]]:
        raise NpecatError(f"HDU 1, row {rows[0]}: PHOTO_STATUS is not 0, SDSS found no good PSF")
    row = rows[0]
    return FieldOptics(
        table.psf_of(row), None, float(table.gain[row]), float(table.dark_variance[row])
    )


def _of_psfield(hdus: fits.HDUList, identity: Identity, band: str) -> FieldOptics:
    """PSF and detector in an open psField file, unchecked."""
    header = hdus[0].header
    table = data_at(hdus, TABLE, kind=fits.BinTableHDU)
    found = (
        header.get("RUN"),
        header.get("CAMCOL"),
        *column(table, "field", dtype=np.int32).tolist(),
    )
    if found != identity:
        raise NpecatError(f"it is of run, camcol, field {found}, not {identity}")

    def of_band(name: str, dtype: type = np.float64) -> float:
        values = column(table, name, shape=(len(BANDS),), dtype=dtype)
        return float(values[0, BANDS.index(band)])

    status = int(of_band("status", np.int64))
    value = status & STATUS_BITS
    if value:
        name = STATUS[value] if value < len(STATUS) else "UNKNOWN"
        said = f"the status of the {band} band is {status} ({name})"
        if value >= STATUS.index("NOPSF"):
            raise NpecatError(f"{said}, SDSS measured no PSF in this field")
        log.warning("psField of %s: %s, SDSS had few stars for this PSF", identity, said)
    psf = SixNumberPsf.of(of_band(f"psf_{name}") for name in PARAMETERS)
    psf_map = read_psfield(hdus, band)
    return FieldOptics(psf, psf_map, of_band("gain"), of_band("dark_variance"))
