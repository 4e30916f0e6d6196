"""Read tables of the formats that astropy knows besides FITS: VOTable, ECSV, CSV, Parquet.

They are read in a child: a VOTable may name a table elsewhere, nest without end or claim any number
of rows, text and Parquet may unpack to any size. Nothing that a file names is fetched.
"""

import json
import os
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Column, Table

from npecat_sim.errors import NpecatError
from npecat_sim.io.child import Arrays, in_child

ABOUT = "about"
"""Name of the array that holds the names of the columns and the header, as JSON."""


def read_plain_table(path: Path, fix: str) -> Table:
    """Read a table of any format that astropy recognises by the file's suffix or its content.

    Parameters
    ----------
    path : Path
        Path of the file.
    fix : str
        What the user can do about a bad file; the error message ends with it.

    Returns
    -------
    Table
        Its numbers, text and header, without units and descriptions. A column of numbers that are
        partly missing holds NaN there.

    Raises
    ------
    NpecatError
        If the file cannot be read, names data elsewhere, or takes more time or memory than a good
        file of its size; the message is "path: problem; fix".
    """
    try:
        columns = in_child(table_arrays, os.fsencode(path), work=path.stat().st_size)
    except OSError as error:
        raise NpecatError(f"{path}: cannot be read ({error.strerror}); {fix}") from error
    except NpecatError as error:
        raise NpecatError(f"{path}: cannot be read as a table ({error}); {fix}") from None
    about = json.loads(str(columns[ABOUT]))
    return Table([columns[f"{number}"] for number in range(len(about["names"]))], **about)


def table_arrays(path: bytes) -> Arrays:
    """The columns of a table by their number, and ABOUT them, in the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and of words that the formats do not define
        table = Table.read(Path(os.fsdecode(path)))
    about = json.dumps({"names": table.colnames, "meta": dict(table.meta)}, default=str)
    columns = {f"{number}": _plain(column) for number, column in enumerate(table.itercols())}
    return {ABOUT: np.array(about), **columns}


def _plain(column: Column) -> np.ndarray:
    """A column as numbers, NaN where one is missing, or as text."""
    values = np.ma.asarray(column)
    if values.dtype.kind not in "biuf":
        return np.asarray(np.ma.filled(values, "") if values.dtype.kind == "U" else values, str)
    if np.ma.is_masked(values):
        return np.ma.filled(values.astype(np.float64), np.nan)
    return np.ma.getdata(values)
