"""A catalog of a survey image, read back from its file, with positions on the sky."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table

from npecat_eval.metrics.matching import Positions
from npecat_sim.errors import NpecatError

COLUMNS = ("ra", "dec", "x", "y", "prob_galaxy", "mag_r", "flags")
"""Columns that are read from the table that ``npecat catalog`` writes."""


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
    mag_r : ndarray
        float64 (n,), AB.
    flags : ndarray
        int64 (n,), what is wrong with the pixels of the source, see catalog.flags; 0 if nothing is.
    """

    ra: np.ndarray
    dec: np.ndarray
    x: np.ndarray
    y: np.ndarray
    prob_galaxy: np.ndarray
    mag_r: np.ndarray
    flags: np.ndarray

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
    make = "make it with npecat catalog"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units, which these columns need not state
            table = Table.read(path)
    except FileNotFoundError:
        raise NpecatError(f"{path} does not exist; {make}") from None
    except (OSError, ValueError, TypeError, KeyError, IndexError, IORegistryError) as error:
        reason = " ".join(str(error).split())
        raise NpecatError(f"{path}: cannot be read as a table ({reason[:200]}); {make}") from error
    columns = {}
    for name in COLUMNS:
        if name not in table.colnames:
            raise NpecatError(f"{path}: column {name} is missing; {make}")
        try:
            values = np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan)
        except ValueError as error:
            raise NpecatError(f"{path}: column {name} does not hold numbers; {make}") from error
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            fix = "catalog an image that has a WCS" if name in ("ra", "dec") else make
            raise NpecatError(f"{path}, row {bad[0]}: {name} is {values[bad[0]]:g}; {fix}")
        columns[name] = values
    return SkyCatalog(**{**columns, "flags": columns["flags"].astype(np.int64)})


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
