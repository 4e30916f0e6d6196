"""Small files in the layouts of SDSS, written by astropy for tests."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.fields.table import FIELD_SHAPE

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

OF_BANDS = np.array([1.2, 1.1, 1, 0.95, 0.9])
"""Values of u, g, r, i and z over that of r, in photoField and psField files."""


def photofield_data(run: int = 94, camcol: int = 1) -> dict[str, np.ndarray]:
    """Columns of N_FIELDS good fields, numbered from 11; bands differ by OF_BANDS."""
    columns = {
        "RUN": np.full(N_FIELDS, run, np.int32),
        "CAMCOL": np.full(N_FIELDS, camcol, np.int32),
        "FIELD": np.arange(11, 11 + N_FIELDS, dtype=np.int32),
        "PHOTO_STATUS": np.zeros(N_FIELDS, np.int32),
    }
    growth = 1 + np.arange(N_FIELDS) / 100
    for name, value in PHOTOFIELD_COLUMNS.items():
        columns[name] = (value * np.outer(growth, OF_BANDS)).astype(np.float32)
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


SMALL = (40, 48)
"""Pixels (y, x) of a frame that is quick to write and read."""

PIXEL = 0.396 / 3600
"""Degrees."""

COORDINATES = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CRPIX1": 11.0,
    "CRPIX2": 21.0,
    "CRVAL1": 336.6,
    "CRVAL2": -0.93,
    "CD1_1": 0.0,
    "CD1_2": PIXEL,
    "CD2_1": PIXEL,
    "CD2_2": 0.0,
}
"""Cards that put pixel (10, 20) at CRVAL; as in SDSS's frames columns run along declination."""


def frame_data(shape: tuple[int, int] = FIELD_SHAPE) -> dict[str, np.ndarray]:
    """What a frame file holds of the sky: a grid of 8-pixel cells and a jumping calibration."""
    n_rows, n_columns = [length // 8 + 6 for length in shape]
    rows, columns = np.mgrid[:n_rows, :n_columns]
    calibration = 0.00475 * (1 + 0.0005 * (np.arange(shape[1]) // 30 % 2))
    return {
        "calibration": calibration.astype(np.float32),
        "ALLSKY": (180 + 0.01 * rows - 0.02 * columns).astype(np.float32),
        "XINTERP": (-0.4375 + 0.125 * np.arange(shape[1])).astype(np.float32),
        "YINTERP": (0.5625 + 0.125 * np.arange(shape[0])).astype(np.float32),
    }


def small_frame_data() -> dict[str, np.ndarray]:
    """frame_data of a small frame with its image, which is noise."""
    noise = np.random.default_rng(0).normal(0, 0.03, SMALL)
    return {**frame_data(SMALL), "image": noise.astype(np.float32)}


def write_frame(
    folder: Path,
    data: dict[str, np.ndarray] | None = None,
    identity: tuple[int, int, int] = (94, 1, 12),
    band: str = "r",
    suffix: str = "",
) -> Path:
    """A frame file of this sky, by default frame_data(); without an image it has one pixel."""
    data = frame_data() if data is None else data
    sky = [
        fits.Column(name, _format(values[None]), dim=_dim(values), array=values[None])
        for name, values in data.items()
        if name not in ("calibration", "image")
    ]
    astrometry = [
        fits.Column(name, "J", array=[number])
        for name, number in zip(("RUN", "CAMCOL", "FIELD"), identity, strict=True)
    ]
    astrometry.append(fits.Column("FILTER", "A", array=[band]))
    run, camcol, field = identity
    path = folder / f"frame-{band}-{run:06d}-{camcol}-{field:04d}.fits{suffix}"
    image = fits.PrimaryHDU(data.get("image", np.zeros((1, 1), np.float32)))
    image.header.update({"BUNIT": "nanomaggy", **COORDINATES})
    fits.HDUList(
        [
            image,
            fits.ImageHDU(data["calibration"]),
            fits.BinTableHDU.from_columns(sky),
            fits.BinTableHDU.from_columns(astrometry),
        ]
    ).writeto(path, overwrite=True)
    return path


def bilinear(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear interpolation, constant beyond the ends, written out node by node."""
    rows = np.clip(rows.astype(np.float64), 0, grid.shape[0] - 1)[:, None]
    columns = np.clip(columns.astype(np.float64), 0, grid.shape[1] - 1)[None]
    row = np.minimum(rows.astype(int), grid.shape[0] - 2)
    column = np.minimum(columns.astype(int), grid.shape[1] - 2)
    down, right = rows - row, columns - column
    grid = grid.astype(np.float64)
    above = grid[row, column] * (1 - right) + grid[row, column + 1] * right
    below = grid[row + 1, column] * (1 - right) + grid[row + 1, column + 1] * right
    return above * (1 - down) + below * down


PSFIELD = {
    "psf_sigma1": 1.5,
    "psf_sigma2": 3.1,
    "psf_sigmap": 2.7,
    "psf_beta": 3.3,
    "psf_b": 0.05,
    "psf_p0": 0.02,
    "gain": 4.6,
    "dark_variance": 1.0,
}
"""Column of HDU 6 -> its r-band value; bands differ by OF_BANDS."""


def write_psfield(
    folder: Path, field: int = 12, status: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
) -> Path:
    """A psField file of field 94/1/12 or another, with six HDUs before its table as SDSS's."""
    header = fits.Header({"RUN": 94, "CAMCOL": 1, "FIELD": field})
    eigenimages = [_eigenimages(1.5 * factor) for factor in OF_BANDS]
    columns = [
        fits.Column("field", "J", array=[field]),
        fits.Column("status", "5J", array=np.array([status])),
    ]
    for name, value in PSFIELD.items():
        columns.append(fits.Column(name, "5E", array=[OF_BANDS * value]))
    path = folder / f"psField-000094-1-{field:04d}.fit"
    table = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(header=header), *eigenimages, table]).writeto(
        path, overwrite=True
    )
    return path


def _eigenimages(sigma: float) -> fits.BinTableHDU:
    """A Gaussian of this sigma in row 0, of which a tenth is twice as wide in row 1000."""
    y, x = np.mgrid[-15:16, -15:16]
    images = [np.exp(-(x**2 + y**2) / 2 / s**2) / (2 * np.pi * s**2) for s in (sigma, 2 * sigma)]
    weights = np.zeros((2, 5, 5), np.float32)
    weights[0, 0, 0], weights[0, 1, 0], weights[1, 1, 0] = 1, -0.1, 0.1
    rows = np.empty(2, object)
    rows[:] = [image.ravel().astype(np.float32) for image in images]
    sizes = {"nrow_b": 3, "ncol_b": 3, "RNROW": 31, "RNCOL": 31}
    columns = [fits.Column(name, "J", array=[size, size]) for name, size in sizes.items()]
    columns += [
        fits.Column("c", "25E", dim="(5,5)", array=weights),
        fits.Column("RROWS", "PE()", array=rows),
    ]
    return fits.BinTableHDU.from_columns(columns)


def write_mask(
    folder: Path,
    spans: dict[int, list[list[tuple[int, int, int]]]],
    shape: tuple[int, int] = SMALL,
    field: int = 12,
    band: str = "r",
) -> Path:
    """An fpM file; spans: HDU -> regions of (row, first column, last column)."""
    header = fits.Header({"RUN": 94, "CAMCOL": 1, "FIELD": field})
    header.update({"MASKROWS": shape[0], "MASKCOLS": shape[1], "NPLANE": 10})
    hdus = [fits.PrimaryHDU(header=header)]
    for index in range(1, 11):
        regions = [np.array(region, ">u2").tobytes() for region in spans.get(index, [])]
        cells = np.empty(len(regions), object)
        cells[:] = [np.frombuffer(region, np.uint8) for region in regions]
        counts = [len(region) // 6 for region in regions]
        columns = [
            fits.Column("nspan", "J", array=np.array(counts, np.int32)),
            fits.Column("s", "PB()", array=cells),
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns))
    path = folder / f"fpM-000094-{band}1-{field:04d}.fit"
    fits.HDUList(hdus).writeto(path)
    return path


def _format(values: np.ndarray) -> str:
    letters = {"int32": "J", "int64": "K", "bool": "L", "float32": "E", "float64": "D"}
    return f"{values[0].size}{letters[values.dtype.name]}"


def _dim(values: np.ndarray) -> str | None:
    return str(values.shape[::-1]) if values.ndim > 1 else None
