"""A field library: the fields a user imported from SDSS, in one FITS file.

HDU 0: NPECAT = 'fields', FORMAT, SKYMAPS (the number of maps). HDU 1: table FIELDS, one row per
field. Then two images per sky map: its grid, with RUN, CAMCOL, FIELD, Y0, X0 and STEP, and its
calibration vector (see table.SkyMap). Every HDU has CHECKSUM and DATASUM.
"""

import logging
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import IDENTITY, SCALARS, FieldTable, SkyMap
from npecat_sim.io.checksums import add_checksums, check_checksums
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.io.storage import replacing
from npecat_sim.psf.six_numbers import PARAMETERS

FORMAT = 2
"""Version of the layout."""

WITHOUT_CHECKSUMS = 1
"""Version that differs in one thing: it has no checksums. It is read, too."""

PSF_UNITS = dict(zip(PARAMETERS, ("pixel", "pixel", "pixel", None, None, None), strict=True))
"""Column of a PSF parameter -> its unit."""

SCALAR_UNITS = dict(
    zip(
        SCALARS,
        ("arcsec", "nmgy/arcsec2", "electron/count", "count2", "nmgy/count"),
        strict=True,
    )
)
"""Column of a FieldTable's scalar -> its unit."""

log = logging.getLogger(__name__)

REMAKE = "make it again with: npecat fields import photoField-*.fits -o LIBRARY"
"""What to do about a bad library, for error messages."""


def save_library(table: FieldTable, path: Path) -> None:
    """Write a library; the same fields give the same bytes.

    Parameters
    ----------
    table : FieldTable
        The fields.
    path : Path
        The file to make or replace.

    Raises
    ------
    NpecatError
        If a field is unphysical or the file cannot be written.
    """
    table.check(str(path))
    primary = fits.PrimaryHDU()
    primary.header["NPECAT"] = ("fields", "field library of npecat")
    primary.header["FORMAT"] = (FORMAT, "version of this layout")
    primary.header["SKYMAPS"] = (len(table.sky_maps), "number of sky maps, two HDUs each")
    columns = [
        fits.Column(name, "J", array=table.identity[:, index])
        for index, name in enumerate(IDENTITY)
    ]
    columns += [
        fits.Column(name.upper(), "D", unit=unit, array=table.psf[:, index])
        for index, (name, unit) in enumerate(PSF_UNITS.items())
    ]
    columns += [
        fits.Column(name.upper(), "D", unit=unit, array=getattr(table, name))
        for name, unit in SCALAR_UNITS.items()
    ]
    hdus = [primary, fits.BinTableHDU.from_columns(columns, name="FIELDS")]
    for row, sky_map in sorted(table.sky_maps.items()):
        grid = fits.ImageHDU(sky_map.grid.astype(np.float32), name="SKY")
        for name, value in zip(IDENTITY, table.identity[row], strict=True):
            grid.header[name] = int(value)
        grid.header["Y0"] = (sky_map.y0, "grid row of the first pixel")
        grid.header["X0"] = (sky_map.x0, "grid column of the first pixel")
        grid.header["STEP"] = (sky_map.step, "grid cells per pixel")
        grid.header["BUNIT"] = "count/pixel"
        calibration = fits.ImageHDU(sky_map.calibration.astype(np.float32), name="CALIBRATION")
        calibration.header["BUNIT"] = "nmgy/count"
        hdus += [grid, calibration]
    library = fits.HDUList(hdus)
    add_checksums(library)
    with replacing(path) as partial:
        library.writeto(partial, overwrite=True)


def load_library(path: Path) -> FieldTable:
    """Read the fields of a library.

    Parameters
    ----------
    path : Path
        A file of save_library.

    Returns
    -------
    FieldTable
        The fields, with ``source`` "library".

    Raises
    ------
    NpecatError
        If the file is missing, incomplete, changed since it was written, of another kind or
        unphysical; the message names the file, the row, the column and the fix.
    """
    if not Path(path).is_file():
        raise NpecatError(f"{path}: there is no such field library; {REMAKE}")
    with open_fits(path, REMAKE) as hdus:
        header = hdus[0].header
        if header.get("NPECAT") == "images":
            raise NpecatError("it is a library of images, for prior wide")
        if header.get("NPECAT") != "fields":
            raise NpecatError("this is no field library")
        if header.get("FORMAT") == WITHOUT_CHECKSUMS:
            log.warning("%s has no checksums: damage is not noticed; %s", path, REMAKE)
        elif header.get("FORMAT") == FORMAT:
            check_checksums(hdus, required=True)
        else:
            raise NpecatError(f"FORMAT is {header.get('FORMAT')}, this npecat reads {FORMAT}")
        fields = data_at(hdus, 1, kind=fits.BinTableHDU)
        identity = identities(fields)
        row_of = rows_of(identity, [f"row {row}" for row in range(len(identity))])
        sky_maps = {}
        for index in range(2, 2 + 2 * header["SKYMAPS"], 2):
            grid = data_at(hdus, index, kind=fits.ImageHDU)
            calibration = data_at(hdus, index + 1, kind=fits.ImageHDU)
            about = hdus[index].header
            owner = tuple(about[name] for name in IDENTITY)
            if owner not in row_of:
                raise NpecatError(f"HDU {index}: sky map of {field_name(owner)}, not in FIELDS")
            if row_of[owner] in sky_maps:
                raise NpecatError(f"HDU {index}: a second sky map of {field_name(owner)}")
            sky_maps[row_of[owner]] = SkyMap(
                grid.astype(np.float32),
                calibration.astype(np.float32),
                float(about["Y0"]),
                float(about["X0"]),
                float(about["STEP"]),
            )
        table = FieldTable(
            identity=identity,
            psf=np.stack([column(fields, name.upper()) for name in PARAMETERS], axis=1),
            **{name: column(fields, name.upper()) for name in SCALARS},  # type: ignore[arg-type]
            sky_maps=sky_maps,
            source="library",
        )
        table.check("FIELDS")
    return table


def identities(table: fits.FITS_rec) -> np.ndarray:
    """Run, camera column and field of every row of a table.

    Parameters
    ----------
    table : FITS_rec
        A table with the columns IDENTITY.

    Returns
    -------
    ndarray
        int32 (row, 3).

    Raises
    ------
    NpecatError
        If a column is missing, of another type, or holds a number that does not fit in int32.
    """
    return np.stack([column(table, name, dtype=np.int32) for name in IDENTITY], axis=1)


def rows_of(identity: np.ndarray, source_of: list[str]) -> dict[tuple[int, ...], int]:
    """Row of each field, after a check that no field comes twice.

    Parameters
    ----------
    identity : ndarray
        int32 (row, 3): run, camera column and field.
    source_of : list of str
        Where each row comes from, for the message.

    Returns
    -------
    dict of tuple to int
        (run, camcol, field) -> row.

    Raises
    ------
    NpecatError
        If a field comes twice; the message names both sources.
    """
    row_of: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(map(tuple, identity.tolist())):
        if key in row_of:
            raise NpecatError(
                f"{field_name(key)} comes twice, from {source_of[row_of[key]]} and "
                f"{source_of[row]}; leave one of them out"
            )
        row_of[key] = row
    return row_of


def field_name(key: tuple[int, ...]) -> str:
    """Name of the field (run, camcol, field) for messages, such as "field 94/1/12"."""
    return "field " + "/".join(map(str, key))
