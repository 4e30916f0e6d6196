"""SDSS's own catalog of a field: the photoObj file, and which of its rows serve as a reference.

Columns and flags: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/RERUN/RUN/CAMCOL/photoObj.html
and the flag tables of https://www.sdss4.org/dr17/algorithms/bitmasks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.surveys.sdss.photofield import BANDS
from npecat_sim.units import magnitude

GALAXY, STAR, SKY = 3, 6, 8
"""Values of OBJC_TYPE. SKY marks a place where SDSS measured empty sky; 0 is a source of unknown
type."""

BRIGHT = 1 << 1
"""A bit of OBJC_FLAGS: the row is from the first pass, over bright sources only; the second pass
lists the source again."""

DETECTED = 1 << 28 | 1 << 29 | 1 << 30
"""Bits of a band's FLAGS: BINNED1, BINNED2 or BINNED4. The source is found at 5 sigma in the image
of that band, unbinned or binned. A source that is found in other bands alone has a row too, but its
flux in this band is noise."""


@dataclass(frozen=True)
class SdssCatalog:
    """One band of the n rows of a photoObj file that are sources, not empty sky.

    Parameters
    ----------
    ra, dec : ndarray
        float64 (n,), degrees.
    x, y : ndarray
        float64 (n,), 0-indexed pixels of the frame of that band.
    magnitude : ndarray
        float64 (n,), AB, of the PSF flux of a star and the cmodel flux of others; NaN
        where the flux is not positive.
    is_galaxy : ndarray
        bool (n,), SDSS's type.
    is_reference : ndarray
        bool (n,), whether the row is certainly a source and the only row of it, see
        read_photoobj.
    """

    ra: np.ndarray
    dec: np.ndarray
    x: np.ndarray
    y: np.ndarray
    magnitude: np.ndarray
    is_galaxy: np.ndarray
    is_reference: np.ndarray

    def __len__(self) -> int:
        return len(self.ra)


def read_photoobj(path: Path, band: str = "r") -> SdssCatalog:
    """Read one band of a photoObj file.

    Parameters
    ----------
    path : Path
        A FITS file, compressed or not.
    band : str, optional
        Name of the filter, u, g, r, i or z.

    Returns
    -------
    SdssCatalog

    Raises
    ------
    NpecatError
        If it does not hold that band, is malformed, or a position is not finite; the error names
        file, column and row.

    Notes
    -----
    A row is a reference if it is

    - not blended: NCHILD is 0. The flux of a parent is that of all its children, which have rows
      of their own.
    - not BRIGHT, because the same source has another row.
    - resolved: THING_ID is not -1. The other rows lie where fields overlap and belong to the
      neighbouring field, or at the edges, where part of a source is missing.
    - a star or a galaxy by OBJC_TYPE.
    - DETECTED in the band. In field 94/1/12 a source that is seen in i and z alone has r = 19.5.
    """
    if band not in BANDS:
        raise NpecatError(
            f"{path}: SDSS has the bands {' '.join(BANDS)}, the catalog is of band {band}"
        )
    with open_fits(path, "get the photoObj file from SDSS again") as hdus:
        table = data_at(hdus, 1, kind=fits.BinTableHDU)

        def of_band(name: str, dtype: type = np.float64) -> np.ndarray:
            """The band's values of a column that has a value for each band."""
            return column(table, name, shape=(len(BANDS),), dtype=dtype)[:, BANDS.index(band)]

        def plain(name: str) -> np.ndarray:
            """An integer column that has one value for each row."""
            return column(table, name, dtype=np.int32)

        kind = plain("OBJC_TYPE")
        is_galaxy = kind == GALAXY
        flux = np.where(kind == STAR, of_band("PSFFLUX"), of_band("CMODELFLUX"))
        positions = {
            "ra": column(table, "RA"),
            "dec": column(table, "DEC"),
            "x": of_band("COLC") - 0.5,  # SDSS has the centre of the first pixel at 0.5
            "y": of_band("ROWC") - 0.5,
        }
        is_reference = (
            (plain("NCHILD") == 0)
            & (plain("OBJC_FLAGS") & BRIGHT == 0)
            & (plain("THING_ID") != -1)
            & np.isin(kind, (STAR, GALAXY))
            & (of_band("FLAGS", np.int32) & DETECTED != 0)
        )
        listed = kind != SKY
        for name, values in positions.items():
            bad = np.flatnonzero(listed & ~np.isfinite(values))
            if len(bad):
                raise NpecatError(f"HDU 1, row {bad[0]}: {name} is {values[bad[0]]:g}")
        if not is_reference.any():
            raise NpecatError("HDU 1 has no row of a star or galaxy that is detected and resolved")
    return SdssCatalog(
        **{name: values[listed] for name, values in positions.items()},
        magnitude=magnitude(flux[listed]),
        is_galaxy=is_galaxy[listed],
        is_reference=is_reference[listed],
    )
