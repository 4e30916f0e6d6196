"""Small photoObj files in SDSS's layout, and catalogs of the same field, for tests."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from npecat_eval.real_images.photoobj import GALAXY, STAR
from npecat_sim.surveys.sdss.photofield import BANDS
from npecat_sim.units import PIXEL_SCALE, flux_of_magnitude

CENTRE = 0.0, 30.0
"""Degrees: right ascension jumps from 360 to 0 inside the field."""

BINNED1 = 1 << 28


def sky_of(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ra, dec in degrees of pixels; distances are right to 1e-3, east is to the right."""
    degree = PIXEL_SCALE / 3600
    dec = CENTRE[1] + degree * (y - 744)
    return (CENTRE[0] + degree * (x - 1024) / np.cos(np.radians(dec))) % 360, dec


def scattered(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n positions on a jittered grid over a field, more than 20 pixels from each other."""
    generator = np.random.default_rng(seed)
    cells = generator.permutation(40 * 30)[:n]
    jitter = generator.uniform(-12, 12, (2, n))
    return 50.0 * (cells % 40) + 30 + jitter[0], 49.0 * (cells // 40) + 30 + jitter[1]


def photoobj_data(n: int = 300, band: str = "r") -> dict[str, np.ndarray]:
    """Columns of n good rows, a star and a galaxy in turn, 15 to 22 mag in a band alone."""
    x, y = scattered(n)
    ra, dec = sky_of(x, y)
    flux = flux_of_magnitude(np.linspace(15, 22, n, endpoint=False))
    galaxy = np.arange(n) % 2 == 1

    def bands(values: np.ndarray, others: float) -> np.ndarray:
        columns = np.full((n, 5), others, np.float32)
        columns[:, BANDS.index(band)] = values
        return columns

    return {
        "RA": ra,
        "DEC": dec,
        "COLC": bands(x + 0.5, -1),
        "ROWC": bands(y + 0.5, -1),
        "OBJC_TYPE": np.where(galaxy, GALAXY, STAR).astype(np.int32),
        "OBJC_FLAGS": np.zeros(n, np.int32),
        "NCHILD": np.zeros(n, np.int16),
        "THING_ID": np.arange(n, dtype=np.int32),
        "FLAGS": bands(np.full(n, BINNED1), 0).astype(np.int32),
        "PSFFLUX": bands(np.where(galaxy, 0.5, 1) * flux, 1e4),
        "CMODELFLUX": bands(np.where(galaxy, 1, 0.9) * flux, 1e4),
    }


def write_photoobj(path: Path, data: dict[str, np.ndarray]) -> Path:
    """A photoObj file of these columns."""
    Table(data).write(path, format="fits", overwrite=True)
    return path


def catalog_data(photoobj: dict[str, np.ndarray], band: str = "r") -> Table:
    """What a perfect catalog of the sources of photoobj_data would hold."""
    galaxy, at = photoobj["OBJC_TYPE"] == GALAXY, BANDS.index(band)
    flux = np.where(galaxy, photoobj["CMODELFLUX"][:, at], photoobj["PSFFLUX"][:, at])
    return Table(
        {
            "ra": photoobj["RA"],
            "dec": photoobj["DEC"],
            "x": photoobj["COLC"][:, at] - 0.5,
            "y": photoobj["ROWC"][:, at] - 0.5,
            "prob_galaxy": np.where(galaxy, 0.9, 0.1),
            f"mag_{band}": 22.5 - 2.5 * np.log10(flux.astype(float)),
            "flags": np.zeros(len(flux), np.int32),
        }
    )
