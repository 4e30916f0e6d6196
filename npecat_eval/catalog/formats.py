"""Write tables of sources in the formats that astronomers' tools read.

FITS and VOTable have no nanomaggies: there every such column stands without a unit, which its
description tells, and once more in nJy. CSV holds neither units nor provenance.
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
    """Write a table of catalog_table in the format of the file's suffix, whole or not at all.

    Raises NpecatError where check_format does, and where it cannot be written.
    """
    check_format(path)
    with replacing(path) as partial:
        FORMATS[path.suffix](table, partial)


def check_format(path: Path) -> None:
    """Raise NpecatError unless the suffix is one of FORMATS that can be written here."""
    if path.suffix not in FORMATS:
        raise NpecatError(
            f"{path}: no format has the suffix {path.suffix!r}; choose one of {' '.join(FORMATS)}"
        )
    if path.suffix == ".parquet" and not importlib.util.find_spec("pyarrow"):
        raise NpecatError(f"{path}: needs pyarrow; install it with: pip install 'npecat[parquet]'")


def _write_fits(table: Table, path: Path) -> None:
    table = _with_nanojansky(table)
    hdu = fits.table_to_hdu(table)
    hdu.name = "CATALOG"
    for number, column in enumerate(table.itercols(), start=1):
        hdu.header[f"TCOMM{number}"] = column.description
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, output_verify="exception")


def _write_votable(table: Table, path: Path) -> None:
    file = from_table(_with_nanojansky(table))
    for name, value in table.meta.items():
        file.resources[0].infos.append(Info(name=name, value=str(value)))
    file.to_xml(str(path))


def _write_ecsv(table: Table, path: Path) -> None:
    table.write(path, format="ascii.ecsv")


def _write_csv(table: Table, path: Path) -> None:
    table.write(path, format="ascii.csv")


def _write_parquet(table: Table, path: Path) -> None:
    table.write(path, format="parquet")


def _write_regions(table: Table, path: Path) -> None:
    """A region file of DS9: stars as blue circles, galaxies as red boxes, as wide as the PSF."""
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
"""Suffix -> what writes a table of that format."""


def _with_nanojansky(table: Table) -> Table:
    """The table with every column in nanomaggies once more in nJy, and without their unit."""
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
