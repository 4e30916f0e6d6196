"""Write tables of sources in the formats that astronomers' tools read.

FITS and VOTable do not define nanomaggies. There, a column in nanomaggies has no unit; its
description names the unit, and a second column holds the same values in nJy. CSV holds neither
units nor provenance.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table

from npecat_eval.catalog.table import FLUX_UNIT
from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import replacing
from npecat_sim.units import NANOJANSKY_PER_NANOMAGGY


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
    with replacing(path) as partial:
        FORMATS[path.suffix](table, partial)


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
    hdu = fits.table_to_hdu(table)
    hdu.name = "CATALOG"
    for number, column in enumerate(table.itercols(), start=1):
        hdu.header[f"TCOMM{number}"] = column.description
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, output_verify="exception")


def _write_votable(table: Table, path: Path) -> None:
    """Write a VOTable with the provenance as INFO elements."""
    file = from_table(_with_nanojansky(table))
    for name, value in table.meta.items():
        file.resources[0].infos.append(Info(name=name, value=str(value)))
    file.to_xml(str(path))


def _write_ecsv(table: Table, path: Path) -> None:
    """Write an ECSV file."""
    table.write(path, format="ascii.ecsv")


def _write_csv(table: Table, path: Path) -> None:
    """Write a CSV file."""
    table.write(path, format="ascii.csv")


def _write_parquet(table: Table, path: Path) -> None:
    """Write a Parquet file."""
    table.write(path, format="parquet")


def _write_regions(table: Table, path: Path) -> None:
    """Write a DS9 region file: stars as blue circles, galaxies as red boxes, sized by the PSF."""
    lines = ["# Region file format: DS9 version 4.1"]
    lines += [f"# {name}: {value}" for name, value in table.meta.items()]
    on_sky = np.isfinite(table["ra"]).all()
    lines.append("icrs" if on_sky else "image")
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
        lines.append(f"{shape} text={{{row['mag_r']:.2f}}}")
    path.write_text("\n".join(lines) + "\n")


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
