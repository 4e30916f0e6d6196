"""Small photoField and frame files in SDSS's layout, written by astropy for tests."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.field import FIELD_SHAPE

PHOTOFIELD_COLUMNS = {
    "PSF_SIGMA1": 1.4,
    "PSF_SIGMA2": 3.0,
    "PSF_SIGMAP": 2.6,
    "PSF_BETA": 3.2,
    "PSF_B": 0.04,
    "PSF_P0": 0.01,
    "PSF_WIDTH": 1.5,
    "SKY": 5.2,
    "GAIN": 4.71,
    "DARK_VARIANCE": 1.8,
    "NMGYPERCOUNT": 0.00475,
}
"""Column -> r-band value of row 0; row k has the value times 1 + k / 100."""

N_FIELDS = 6


def photofield_data(run: int = 94, camcol: int = 1) -> dict[str, np.ndarray]:
    """Columns of N_FIELDS good fields, numbered from 11; the other bands hold 100 times more."""
    columns = {
        "RUN": np.full(N_FIELDS, run, np.int32),
        "CAMCOL": np.full(N_FIELDS, camcol, np.int32),
        "FIELD": np.arange(11, 11 + N_FIELDS, dtype=np.int32),
        "PHOTO_STATUS": np.zeros(N_FIELDS, np.int32),
    }
    growth = 1 + np.arange(N_FIELDS) / 100
    bands = np.array([100, 100, 1, 100, 100])
    for name, value in PHOTOFIELD_COLUMNS.items():
        columns[name] = (value * np.outer(growth, bands)).astype(np.float32)
    return columns


def write_photofield(
    folder: Path,
    columns: dict[str, np.ndarray] | None = None,
    name: str = "photoField-000094-1.fits",
) -> Path:
    """A photoField file of these columns, by default photofield_data()."""
    columns = photofield_data() if columns is None else columns
    table = fits.BinTableHDU.from_columns(
        [fits.Column(column, _format(values), array=values) for column, values in columns.items()]
    )
    path = folder / name
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def frame_data() -> dict[str, np.ndarray]:
    """What a frame file holds of the sky: a grid of 8-pixel cells and a jumping calibration."""
    n_rows, n_columns = (length // 8 + 6 for length in FIELD_SHAPE)
    rows, columns = np.mgrid[:n_rows, :n_columns]
    calibration = 0.00475 * (1 + 0.0005 * (np.arange(FIELD_SHAPE[1]) // 30 % 2))
    return {
        "calibration": calibration.astype(np.float32),
        "ALLSKY": (180 + 0.01 * rows - 0.02 * columns).astype(np.float32),
        "XINTERP": (-0.4375 + 0.125 * np.arange(FIELD_SHAPE[1])).astype(np.float32),
        "YINTERP": (0.5625 + 0.125 * np.arange(FIELD_SHAPE[0])).astype(np.float32),
    }


def write_frame(
    folder: Path,
    data: dict[str, np.ndarray] | None = None,
    identity: tuple[int, int, int] = (94, 1, 12),
    band: str = "r",
    suffix: str = "",
) -> Path:
    """A frame file of this sky, by default frame_data(); its image is one pixel."""
    data = frame_data() if data is None else data
    sky = [
        fits.Column(name, _format(values[None]), dim=_dim(values), array=values[None])
        for name, values in data.items()
        if name != "calibration"
    ]
    astrometry = [
        fits.Column(name, "J", array=[number])
        for name, number in zip(("RUN", "CAMCOL", "FIELD"), identity, strict=True)
    ]
    astrometry.append(fits.Column("FILTER", "A", array=[band]))
    run, camcol, field = identity
    path = folder / f"frame-{band}-{run:06d}-{camcol}-{field:04d}.fits{suffix}"
    fits.HDUList(
        [
            fits.PrimaryHDU(np.zeros((1, 1), np.float32)),
            fits.ImageHDU(data["calibration"]),
            fits.BinTableHDU.from_columns(sky),
            fits.BinTableHDU.from_columns(astrometry),
        ]
    ).writeto(path, overwrite=True)
    return path


def _format(values: np.ndarray) -> str:
    letter = "J" if values.dtype == np.int32 else "E"
    return f"{values[0].size}{letter}"


def _dim(values: np.ndarray) -> str | None:
    return str(values.shape[::-1]) if values.ndim > 1 else None
