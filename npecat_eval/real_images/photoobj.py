"""SDSS's own catalog of a field: the photoObj file, and which of its rows can serve as truth.

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
"""OBJC_TYPE. SKY marks a place where SDSS measured empty sky; 0 is a source of unknown type."""

BRIGHT = 1 << 1
"""OBJC_FLAGS: from the pass that looks for bright sources only; the next pass has it again."""

DETECTED = 1 << 28 | 1 << 29 | 1 << 30
"""FLAGS of a band: BINNED1, BINNED2 or BINNED4, found at 5 sigma in the image of that band, as it
is or binned. A source of other bands has a row too, whose flux here is what noise makes of it."""


@dataclass(frozen=True)
class SdssCatalog:
    """n rows of a photoObj file, all that are not mere sky; every array is (n,).

    ra, dec: float64, degrees. x, y: float64, 0-indexed pixels of the r-band frame. magnitude:
    float64, r band, of the PSF flux of a star and the cmodel flux of others; NaN where that is
    not positive. is_galaxy: bool. is_reference: bool, the row is a source once and for certain.
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


def read_photoobj(path: Path) -> SdssCatalog:
    """The r band of a photoObj file.

    A row is a reference where it is

    - not blended: NCHILD is 0. A parent's flux is that of all its children, which have rows.
    - not BRIGHT, for the same source has another row.
    - resolved: THING_ID is not -1. The others lie where fields overlap and were given to the
      neighbouring field, or at the edges, where part of a source is missing.
    - a star or a galaxy by OBJC_TYPE.
    - DETECTED in r. In field 94/1/12 a source that is seen in i and z alone has r = 19.5.

    Raises NpecatError, naming file, column and row, on a malformed file or impossible position.
    """
    with open_fits(path, "get the photoObj file from SDSS again") as hdus:
        table = data_at(hdus, 1, fits.BinTableHDU)

        def band(name: str, dtype: type = np.float64) -> np.ndarray:
            return column(table, name, (len(BANDS),), dtype)[:, BANDS.index("r")]

        def plain(name: str) -> np.ndarray:
            return column(table, name, dtype=np.int32)

        kind = plain("OBJC_TYPE")
        is_galaxy = kind == GALAXY
        flux = np.where(kind == STAR, band("PSFFLUX"), band("CMODELFLUX"))
        positions = {
            "ra": column(table, "RA"),
            "dec": column(table, "DEC"),
            "x": band("COLC") - 0.5,  # SDSS has the centre of the first pixel at 0.5
            "y": band("ROWC") - 0.5,
        }
        is_reference = (
            (plain("NCHILD") == 0)
            & (plain("OBJC_FLAGS") & BRIGHT == 0)
            & (plain("THING_ID") != -1)
            & np.isin(kind, (STAR, GALAXY))
            & (band("FLAGS", np.int32) & DETECTED != 0)
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
