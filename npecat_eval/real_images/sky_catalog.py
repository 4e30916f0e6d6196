"""A catalog of a survey image, read back from its file, with positions on the sky."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from npecat_eval.catalog.flags import SourceFlag
from npecat_eval.catalog.formats import read_table
from npecat_eval.catalog.table import bands_of
from npecat_eval.metrics.matching import Positions
from npecat_sim.errors import NpecatError

COLUMNS = ("ra", "dec", "x", "y", "prob_galaxy", "flags")
"""Columns that are read from the table that ``npecat catalog`` writes, beside the magnitude."""

MAX_FLAGS = 2**31 - 1
"""Maximum value of a row's flags, which are bits of an int32."""


MAKE = "make it with npecat catalog"
"""What to do about a bad catalog, for error messages."""


@dataclass(frozen=True)
class SkyCatalog:
    """The n detections of a survey image.

    Parameters
    ----------
    ra, dec : ndarray
        float64 (n,), degrees.
    x, y : ndarray
        float64 (n,), 0-indexed pixels.
    prob_galaxy : ndarray
        float64 (n,), probability that the source is a galaxy.
    magnitude : ndarray
        float64 (n,), AB; NaN for a saturated star whose flux is not known.
    flags : ndarray
        int64 (n,), what is wrong with the pixels of the source, see catalog.flags; 0 if nothing is.
    band : str
        Name of the filter.
    """

    ra: np.ndarray
    dec: np.ndarray
    x: np.ndarray
    y: np.ndarray
    prob_galaxy: np.ndarray
    magnitude: np.ndarray
    flags: np.ndarray
    band: str

    def __len__(self) -> int:
        return len(self.ra)


def read_catalog(path: Path) -> SkyCatalog:
    """Read the catalog of a survey image.

    Parameters
    ----------
    path : Path
        A table of any format that astropy recognises by its suffix or its content.

    Returns
    -------
    SkyCatalog

    Raises
    ------
    NpecatError
        If the table cannot be read, a column is missing, or a value is not finite (positions on
        the sky are not if the image has no WCS); the error names file, column and row.
    """
    if path.exists() and not path.is_file():
        raise NpecatError(f"{path}: it is no plain file; {MAKE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units, which these columns need not state
            table = read_table(path)
    except FileNotFoundError:
        raise NpecatError(f"{path} does not exist; {MAKE}") from None
    except NpecatError:
        raise
    except Exception as error:  # astropy raises many kinds on a file that is no table
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NpecatError(f"{path}: cannot be read as a table ({reason[:200]}); {MAKE}") from error
    bands = bands_of(table)
    if len(bands) != 1:
        raise NpecatError(
            f"{path}: {len(bands)} columns hold magnitudes, such as mag_r, not one; {MAKE}"
        )
    columns = {name: _numbers(table, name, path) for name in COLUMNS}
    for name, values in columns.items():
        fix = "catalog an image that has a WCS" if name in ("ra", "dec") else MAKE
        _refuse_first(~np.isfinite(values), name, values, path=path, fix=fix)
    flags = columns["flags"]
    odd = (flags != np.rint(flags)) | (flags < 0) | (flags > MAX_FLAGS)
    _refuse_first(odd, "flags", flags, path=path)
    columns["flags"] = flags.astype(np.int64)
    name = f"mag_{bands[0]}"
    magnitude = _numbers(table, name, path)
    unknown = np.isnan(magnitude) & ((columns["flags"] & SourceFlag.SATURATED) != 0)
    _refuse_first(~(np.isfinite(magnitude) | unknown), name, magnitude, path=path)
    return SkyCatalog(**columns, magnitude=magnitude, band=bands[0])


def _numbers(table: Table, name: str, path: Path) -> np.ndarray:
    """A column as float64 (n,), NaN where it is masked; NpecatError if it is not one of numbers."""
    if name not in table.colnames:
        raise NpecatError(f"{path}: column {name} is missing; {MAKE}")
    try:
        values: np.ndarray = np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan)
    except (ValueError, TypeError, OverflowError):
        values = np.empty((0, 0))
    if values.ndim != 1:
        raise NpecatError(f"{path}: column {name} does not hold numbers; {MAKE}")
    return values


def _refuse_first(
    bad: np.ndarray, name: str, values: np.ndarray, *, path: Path, fix: str = MAKE
) -> None:
    """Raise NpecatError for the first bad value of a column, if there is any."""
    if bad.any():
        row = int(np.argmax(bad))
        raise NpecatError(f"{path}, row {row}: {name} is {values[row]:g}; {fix}")


def projected(ra: np.ndarray, dec: np.ndarray, *, centre: tuple[float, float]) -> Positions:
    """Positions in the plane that touches the sky at ``centre``.

    This is the gnomonic projection; one degree from the centre it stretches distances by 3e-4.

    Parameters
    ----------
    ra, dec : ndarray
        float64 (n,), degrees.
    centre : tuple of float
        Right ascension and declination, degrees.

    Returns
    -------
    Positions
        Of n points in arcsec, x towards the east, y towards the north, all of image 0.
    """
    ra0, dec0 = np.radians(centre)
    turn, dec = np.radians(ra) - ra0, np.radians(dec)
    depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(turn)
    depth = np.maximum(depth, 1e-6)  # the far side of the sky goes far away
    east = np.cos(dec) * np.sin(turn)
    north = np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(turn)
    arcsec = np.degrees(1) * 3600  # per radian
    return Positions(np.zeros(len(ra), np.int64), arcsec * east / depth, arcsec * north / depth)
