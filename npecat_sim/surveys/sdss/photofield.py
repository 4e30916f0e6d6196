"""Read SDSS's own files: photoField (PSF, sky and detector of fields) and frame (sky map).

Formats: the SDSS data model, https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/
"""

import logging
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import FIELD_SHAPE, FieldTable, SkyMap
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.model.psf import PARAMETERS

log = logging.getLogger(__name__)

BANDS = "ugriz"
"""Order of every 5-vector in a photoField file."""

IDENTITY = ("RUN", "CAMCOL", "FIELD")
"""Columns that tell one field from another."""

STRAIGHT = 1e-3
"""Grid cells that XINTERP may stray from a line: the sky then errs by 1e-3 of a cell's change."""


def identities(table: fits.FITS_rec) -> np.ndarray:
    """int32 (row, 3): run, camera column and field of every row."""
    return np.stack([column(table, name, dtype=np.int32) for name in IDENTITY], axis=1)


def read_photofield(path: Path) -> FieldTable:
    """The r band of all fields of a photoField file whose PHOTO_STATUS is 0 (good).

    Logs how many were left out. Raises NpecatError, naming file, row and column (rows counted
    from 0 as in the file), on a malformed file or an unphysical value.
    """
    with open_fits(path, "get the photoField file from SDSS again") as hdus:
        every, is_good = photofield_of(hdus)
        good = np.flatnonzero(is_good)
        if len(good) == 0:
            raise NpecatError("no field has PHOTO_STATUS 0")
        # A field that is left out may hold anything; a good one stands in its row for the check.
        every.take(np.where(is_good, np.arange(len(every)), good[0])).check("HDU 1")
    if len(good) < len(every):
        log.warning(
            "%s: left out %d of %d fields, their PHOTO_STATUS is not 0",
            path,
            len(every) - len(good),
            len(every),
        )
    return every.take(good)


def photofield_of(hdus: fits.HDUList) -> tuple[FieldTable, np.ndarray]:
    """The r band of all fields of a photoField file, unchecked, and whether they are good, (n,).

    Raises NpecatError, naming HDU and column, on a malformed file.
    """
    table = data_at(hdus, 1, fits.BinTableHDU)

    def band(name: str) -> np.ndarray:
        return column(table, name, (len(BANDS),))[:, BANDS.index("r")]

    every = FieldTable(
        identity=identities(table),
        psf=np.stack([band(f"PSF_{name.upper()}") for name in PARAMETERS], axis=1),
        fwhm=band("PSF_WIDTH"),
        sky=band("SKY"),
        gain=band("GAIN"),
        dark_variance=band("DARK_VARIANCE"),
        nmgy_per_count=band("NMGYPERCOUNT"),
        sky_maps={},
        source="library",
    )
    return every, column(table, "PHOTO_STATUS", dtype=np.int32) == 0


def read_frame_sky(path: Path) -> tuple[tuple[int, int, int], SkyMap]:
    """(run, camcol, field) and sky of an r-band frame file, plain or packed by gzip or bzip2.

    Raises NpecatError, naming file and HDU, on a malformed file or another band.
    """
    with open_fits(path, "get the r-band frame file from SDSS again") as hdus:
        return frame_sky_of(hdus, FIELD_SHAPE)


def frame_sky_of(hdus: fits.HDUList, shape: tuple[int, int]) -> tuple[tuple[int, int, int], SkyMap]:
    """(run, camcol, field) and sky of an r-band frame of the given shape (y, x).

    Raises NpecatError, naming the HDU, on a malformed file or another band.
    """
    calibration = data_at(hdus, 1, fits.ImageHDU)
    sky = data_at(hdus, 2, fits.BinTableHDU)
    astrometry = data_at(hdus, 3, fits.BinTableHDU)
    filter_name = str(astrometry["FILTER"][0]).strip()
    if filter_name != "r":
        raise NpecatError(f"HDU 3: FILTER is {filter_name!r}, not 'r'")
    run, camcol, field = identities(astrometry)[0].tolist()
    y0, y_step = _line(sky, "YINTERP", shape[0])
    x0, x_step = _line(sky, "XINTERP", shape[1])
    if abs(y_step - x_step) * shape[1] > STRAIGHT:
        raise NpecatError(f"HDU 2: XINTERP has step {x_step:g} and YINTERP {y_step:g}, not one")
    sky_map = SkyMap(
        grid=column(sky, "ALLSKY", (None, None), np.float32)[0],
        calibration=calibration.astype(np.float32),
        y0=y0,
        x0=x0,
        step=x_step,
    )
    sky_map.check("HDU 1 (calibration) and HDU 2 (grid)", shape)
    return (run, camcol, field), sky_map


def _line(sky: fits.FITS_rec, name: str, n_pixels: int) -> tuple[float, float]:
    """Start and step of grid positions that must lie on a line over the pixels."""
    position = column(sky, name, (n_pixels,))[0]
    start = position[0]
    step = (position[-1] - start) / (n_pixels - 1)
    if not np.abs(position - (start + step * np.arange(n_pixels))).max() < STRAIGHT:
        raise NpecatError(f"HDU 2: column {name} is not linear")
    return float(start), float(step)
