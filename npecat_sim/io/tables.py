"""Read tables of the formats that astropy knows besides FITS: VOTable, ECSV, CSV, Parquet.

They are read in a child: a VOTable may name a table elsewhere, nest without end or claim any number
of rows, text and Parquet may unpack to any size. Nothing that a file names is fetched.
"""

import warnings
from pathlib import Path

from astropy.table import Table

from npecat_sim.errors import NpecatError
from npecat_sim.io.child import in_child


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

    Raises
    ------
    NpecatError
        If the file cannot be read, names data elsewhere, or takes more time or memory than a good
        file of its size; the message is "path: problem; fix".
    """
    try:
        return in_child(_table, path, work=path.stat().st_size)
    except OSError as error:
        raise NpecatError(f"{path}: cannot be read ({error.strerror}); {fix}") from error
    except NpecatError as error:
        raise NpecatError(f"{path}: cannot be read as a table ({error}); {fix}") from None


def _table(path: Path) -> Table:
    """Read the table, in the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and of words that the formats do not define
        return Table.read(path)
