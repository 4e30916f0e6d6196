"""A field library: the fields a user imported from SDSS, in one FITS file.

HDU 0: NPECAT = 'fields', FORMAT, SKYMAPS (the number of maps). HDU 1: table FIELDS, a row a
field. Then two images a sky map: its grid, with RUN, CAMCOL, FIELD, Y0, X0 and STEP, and its
calibration vector (see field.SkyMap).
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SCALARS, FieldTable, SkyMap
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.io.storage import replacing
from npecat_sim.model.psf import PARAMETERS
from npecat_sim.surveys.sdss.photofield import IDENTITY, identities, read_frame_sky, read_photofield

FORMAT = 1

PSF_UNITS = dict(zip(PARAMETERS, ("pixel", "pixel", "pixel", None, None, None), strict=True))
SCALAR_UNITS = dict(
    zip(
        SCALARS,
        ("arcsec", "nmgy/arcsec2", "electron/count", "count2", "nmgy/count"),
        strict=True,
    )
)

REMAKE = "make it anew with: npecat fields import photoField-*.fits -o LIBRARY"


def save_library(table: FieldTable, path: Path) -> None:
    """Write a library; the same fields give the same bytes. Refuses unphysical fields."""
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
    with replacing(path) as partial:
        fits.HDUList(hdus).writeto(partial, overwrite=True)


def load_library(path: Path) -> FieldTable:
    """The fields of a library.

    Raises NpecatError, naming file, row, column and fix, unless it is a whole, physical library.
    """
    if not Path(path).is_file():
        raise NpecatError(f"{path}: there is no such field library; {REMAKE}")
    with open_fits(path, REMAKE) as hdus:
        header = hdus[0].header
        if header.get("NPECAT") != "fields":
            raise NpecatError("this is no field library")
        if header.get("FORMAT") != FORMAT:
            raise NpecatError(f"FORMAT is {header.get('FORMAT')}, this npecat reads {FORMAT}")
        fields = data_at(hdus, 1, fits.BinTableHDU)
        identity = identities(fields)
        row_of = _rows(identity, [f"row {row}" for row in range(len(identity))])
        sky_maps = {}
        for index in range(2, 2 + 2 * header["SKYMAPS"], 2):
            grid = data_at(hdus, index, fits.ImageHDU)
            calibration = data_at(hdus, index + 1, fits.ImageHDU)
            about = hdus[index].header
            owner = tuple(about[name] for name in IDENTITY)
            if owner not in row_of:
                raise NpecatError(f"HDU {index}: sky map of {_name(owner)}, which is not in FIELDS")
            if row_of[owner] in sky_maps:
                raise NpecatError(f"HDU {index}: a second sky map of {_name(owner)}")
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


def import_fields(paths: Iterable[Path]) -> FieldTable:
    """The fields of photoField files, with the sky maps of frame files attached to theirs.

    paths: at least one photoField file; SDSS's names tell the two kinds apart. Raises
    NpecatError on another name, a field or sky map that comes twice and a frame whose field no
    photoField file gives.
    """
    paths = [Path(path) for path in paths]
    unknown = [path for path in paths if not path.name.startswith(("photoField-", "frame-"))]
    if unknown:
        raise NpecatError(
            f"{unknown[0]}: neither a photoField nor a frame file; keep the names that SDSS gives, "
            "photoField-RRRRRR-C.fits and frame-r-RRRRRR-C-FFFF.fits.bz2"
        )
    photofields = [path for path in paths if path.name.startswith("photoField-")]
    tables = [read_photofield(path) for path in photofields]
    source_of = [
        str(path)
        for path, table in zip(photofields, tables, strict=True)
        for _ in range(len(table))
    ]
    identity = np.concatenate([np.empty((0, 3), np.int32), *(table.identity for table in tables)])
    row_of = _rows(identity, source_of)

    sky_maps: dict[int, SkyMap] = {}
    for path in [path for path in paths if path not in photofields]:
        owner, sky_map = read_frame_sky(path)
        if owner not in row_of:
            run, camcol, _ = owner
            if (identity[:, :2] == (run, camcol)).all(axis=1).any():
                raise NpecatError(
                    f"{path}: its photoField file has no good {_name(owner)}; leave this frame out"
                )
            raise NpecatError(
                f"{path}: the photoField file of {_name(owner)} is missing; "
                f"add photoField-{run:06d}-{camcol}.fits"
            )
        if row_of[owner] in sky_maps:
            raise NpecatError(f"{path}: a second frame of {_name(owner)}; leave one of them out")
        sky_maps[row_of[owner]] = sky_map
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("psf", *SCALARS)
    }
    return FieldTable(identity, **columns, sky_maps=sky_maps, source="library")  # type: ignore[arg-type]


def _rows(identity: np.ndarray, source_of: list[str]) -> dict[tuple[int, ...], int]:
    """(run, camcol, field) -> row; NpecatError, naming both sources, where a field comes twice."""
    row_of: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(map(tuple, identity.tolist())):
        if key in row_of:
            raise NpecatError(
                f"{_name(key)} comes twice, from {source_of[row_of[key]]} and {source_of[row]}; "
                "leave one of them out"
            )
        row_of[key] = row
    return row_of


def _name(key: tuple[int, ...]) -> str:
    return "field " + "/".join(map(str, key))
