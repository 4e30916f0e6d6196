"""Write tables of sources in the formats that astronomers' tools read, and read them back whole.

FITS and VOTable do not define nanomaggies. There, a column in nanomaggies has no unit; its
description names the unit, and a second column holds the same values in nJy. CSV holds neither
units nor provenance.

A file that was cut short is refused on reading: FITS has checksums, ECSV the number of its rows,
VOTable and Parquet an end of their own. A CSV file that was cut between two rows is a shorter
catalog.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table

from npecat_eval.catalog.table import FLUX_UNIT, bands_of
from npecat_sim.errors import NpecatError
from npecat_sim.io.checksums import add_checksums, check_checksums
from npecat_sim.io.fits import open_fits
from npecat_sim.io.storage import replacing
from npecat_sim.io.tables import read_plain_table
from npecat_sim.units import NANOJANSKY_PER_NANOMAGGY

ROWS = "NROWS"
"""Item of the header of an ECSV file: the number of its rows."""

REMAKE = "make it again with npecat catalog"
"""What to do about a bad catalog, for error messages."""


def write_table(table: Table, path: Path) -> None:
    """Write a table of sources, completely or not at all.

    Parameters
    ----------
    table : Table
        From catalog_table or draws_table.
    path : Path
        File whose suffix chooses the format, one of FORMATS.

    Raises
    ------
    NpecatError
        If the format is not known or needs a package that is missing, or the file cannot be
        written.
    """
    check_format(path)
    plain = table.copy(copy_data=False)
    plain.meta = {name: _plain(value) for name, value in table.meta.items()}
    with replacing(path) as partial:
        FORMATS[path.suffix](plain, partial)


def read_table(path: Path) -> Table:
    """Read a table of any format that astropy recognises, and check that it is whole.

    Parameters
    ----------
    path : Path
        File of write_table or of another program. Checksums and the number of rows are checked
        where there are any.

    Returns
    -------
    Table

    Raises
    ------
    NpecatError
        If the file is not as it was written.
    OSError, ValueError and others
        What astropy raises on a file that it cannot read.
    """
    with path.open("rb") as file:
        is_fits = file.read(6) == b"SIMPLE"
    if is_fits:
        with open_fits(path, f"{REMAKE}, or drop CHECKSUM and DATASUM if you changed it") as hdus:
            check_checksums(hdus, required=False)
        table = Table.read(path)
    else:
        table = read_plain_table(path, REMAKE)
    n_rows = table.meta.get(ROWS, len(table))
    if n_rows != len(table):
        raise NpecatError(
            f"{path} has {len(table)} rows, and {ROWS} in its header is {n_rows!r}; {REMAKE}, or "
            f"drop {ROWS} if you chose rows"
        )
    return table


def check_format(path: Path) -> None:
    """Check that the format of a file is known and can be written here.

    Parameters
    ----------
    path : Path
        File whose suffix chooses the format.

    Raises
    ------
    NpecatError
        If the suffix is not one of FORMATS, or the format needs a package that is missing.
    """
    if path.suffix not in FORMATS:
        raise NpecatError(
            f"{path}: no format has the suffix {path.suffix!r}; choose one of {' '.join(FORMATS)}"
        )
    if path.suffix == ".parquet" and not importlib.util.find_spec("pyarrow"):
        raise NpecatError(f"{path}: needs pyarrow; install it with: pip install 'npecat[parquet]'")


def _write_fits(table: Table, path: Path) -> None:
    """Write a FITS file whose table HDU is named CATALOG."""
    table = _with_nanojansky(table)
    for name, value in table.meta.items():
        if isinstance(value, str):  # FITS headers hold ASCII alone
            table.meta[name] = value.encode("ascii", "backslashreplace").decode()
    hdu = fits.table_to_hdu(table)
    hdu.name = "CATALOG"
    for number, column in enumerate(table.itercols(), start=1):
        hdu.header[f"TCOMM{number}"] = column.description
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    add_checksums(hdus)
    hdus.writeto(path, output_verify="exception")


def _write_votable(table: Table, path: Path) -> None:
    """Write a VOTable with the provenance as INFO elements."""
    file = from_table(_with_nanojansky(table))
    for name, value in table.meta.items():
        file.resources[0].infos.append(Info(name=name, value=str(value)))
    file.to_xml(str(path))


def _write_ecsv(table: Table, path: Path) -> None:
    """Write an ECSV file with the number of its rows."""
    table.meta[ROWS] = len(table)
    with path.open("w", encoding="utf-8") as file:  # see _write_csv
        table.write(file, format="ascii.ecsv")


def _write_csv(table: Table, path: Path) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8") as file:  # astropy leaves it open where the disk is full
        table.write(file, format="ascii.csv")


def _write_parquet(table: Table, path: Path) -> None:
    """Write a Parquet file."""
    table.write(path, format="parquet")


def _write_regions(table: Table, path: Path) -> None:
    """Write a DS9 region file: stars as blue circles, galaxies as red boxes, sized by the PSF."""
    lines = ["# Region file format: DS9 version 4.1"]
    lines += [f"# {name}: {value}" for name, value in table.meta.items()]
    on_sky = np.isfinite(table["ra"]).all()
    lines.append("icrs" if on_sky else "image")
    [band] = bands_of(table)
    for row in table:
        # DS9 counts the pixels of an image from 1.
        place = (
            f"{row['ra']:.7f},{row['dec']:.7f}"
            if on_sky
            else f"{row['x'] + 1:.3f},{row['y'] + 1:.3f}"
        )
        size = f'{row["psf_fwhm"]:.3f}"'
        shape = (
            f"box({place},{size},{size},0) # color=red"
            if row["prob_galaxy"] > 0.5
            else f"circle({place},{size}) # color=blue"
        )
        lines.append(f"{shape} text={{{row[f'mag_{band}']:.2f}}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


FORMATS: dict[str, Callable[[Table, Path], None]] = {
    ".fits": _write_fits,
    ".ecsv": _write_ecsv,
    ".parquet": _write_parquet,
    ".vot": _write_votable,
    ".xml": _write_votable,
    ".csv": _write_csv,
    ".reg": _write_regions,
}
"""Suffix of a file -> function that writes a table in that format."""


def _plain(value: Any) -> Any:
    """A value of the header without what text files cannot hold: the bytes of odd file names."""
    if not isinstance(value, str):
        return value
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in value
    )


def _with_nanojansky(table: Table) -> Table:
    """Return the table with a twin in nJy of every column in nanomaggies, and without that unit."""
    out = table.copy()
    for column in table.itercols():
        if column.unit == FLUX_UNIT:
            out[column.name].unit = None
            out[column.name].description = f"{column.description}, nanomaggies"
            twin = f"{column.name}_njy"
            out[twin] = NANOJANSKY_PER_NANOMAGGY * column.data
            out[twin].unit = "nJy"
            out[twin].description = f"{column.description}, nanojansky"
    return out
