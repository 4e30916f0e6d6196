"""Make a field table from photoField and frame files of SDSS."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import field_name, rows_of
from npecat_sim.fields.table import SCALARS, FieldTable, SkyMap
from npecat_sim.surveys.sdss.frame import read_frame_sky
from npecat_sim.surveys.sdss.photofield import read_photofield


def import_fields(paths: Iterable[Path]) -> FieldTable:
    """The fields of photoField files, each with the sky map of its frame file, if there is one.

    Parameters
    ----------
    paths : iterable of Path
        At least one photoField file, and frame files. The two kinds are distinguished by the names
        that SDSS gives them.

    Returns
    -------
    FieldTable
        The good fields of all photoField files, in the order of the files.

    Raises
    ------
    NpecatError
        If a file has another name or cannot be read, a field or sky map occurs twice, or no
        photoField file has the field of a frame.
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
    row_of = rows_of(identity, source_of)

    sky_maps: dict[int, SkyMap] = {}
    for path in [path for path in paths if path not in photofields]:
        owner, sky_map = read_frame_sky(path)
        if owner not in row_of:
            run, camcol, _ = owner
            runs, camcols, _ = identity.T
            if ((runs == run) & (camcols == camcol)).any():
                raise NpecatError(
                    f"{path}: its photoField file has no good {field_name(owner)}; "
                    "leave this frame out"
                )
            raise NpecatError(
                f"{path}: the photoField file of {field_name(owner)} is missing; "
                f"add photoField-{run:06d}-{camcol}.fits"
            )
        if row_of[owner] in sky_maps:
            name = field_name(owner)
            raise NpecatError(f"{path}: a second frame of {name}; leave one of them out")
        sky_maps[row_of[owner]] = sky_map
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("psf", *SCALARS)
    }
    return FieldTable(identity, **columns, sky_maps=sky_maps, source="library")  # type: ignore[arg-type]
