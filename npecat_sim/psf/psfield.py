"""Read the varying PSF of an SDSS field, from the eigenimages in its psField file.

Format: https://www.sdss.org/dr16/algorithms/read_psf. Eigenimage k has the weight
sum_ij c_k[i, j] (row / 1000)^i (column / 1000)^j.
"""

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at
from npecat_sim.psf.varying import PolynomialMap

BANDS = "ugriz"
"""Bands of HDU 1 to 5."""

TABLE = 6
"""HDU with the six-number PSF of each band; HDUs before it hold eigenimages."""

MAX_POWER = 5
"""Rows and columns of the table of coefficients."""

PIXELS = 1000.0
"""Pixels in units of which places are raised to powers."""


def is_psfield(hdus: fits.HDUList) -> bool:
    """Whether an open file is a psField file."""
    table = hdus[TABLE] if len(hdus) > TABLE else None
    return isinstance(table, fits.BinTableHDU) and "psf_sigma1" in table.columns.names


def read_psfield(hdus: fits.HDUList, band: str) -> PolynomialMap:
    """The varying PSF of a band.

    Parameters
    ----------
    hdus : HDUList
        The open psField file.
    band : str
        One of BANDS.

    Returns
    -------
    PolynomialMap
        Samples at whole pixels.

    Raises
    ------
    NpecatError
        If the eigenimages are damaged; the message names the HDU and the column.
    """
    if len(band) != 1 or band not in BANDS:
        raise NpecatError(f"it holds PSFs of the bands {', '.join(BANDS)}, not of {band}")
    index = 1 + BANDS.index(band)
    table = data_at(hdus, index, kind=fits.BinTableHDU)
    try:
        return _of_table(table)
    except NpecatError as error:
        raise NpecatError(f"HDU {index}, {error}") from None


def _of_table(table: fits.FITS_rec) -> PolynomialMap:
    """The varying PSF of a table of eigenimages."""
    names = ("nrow_b", "ncol_b", "RNROW", "RNCOL")
    sizes = [column(table, name, dtype=np.int64) for name in names]
    for name, size in zip(names, sizes, strict=True):
        most = MAX_POWER if name.endswith("_b") else np.inf
        if not (len(size) and (size == size[0]).all() and 0 < size[0] <= most):
            raise NpecatError(f"column {name} holds {size.tolist()}")
    n_i, n_j, height, width = [int(size[0]) for size in sizes]
    rows = table["RROWS"] if "RROWS" in table.names else []
    if len(rows) != len(table) or any(np.size(row) != height * width for row in rows):
        raise NpecatError(f"column RROWS holds no images of {height} x {width} pixels")
    images = np.array([np.asarray(row, np.float64).reshape(height, width) for row in rows])
    weights = column(table, "c", shape=(MAX_POWER, MAX_POWER))[:, :n_i, :n_j]
    if not (np.isfinite(images).all() and np.isfinite(weights).all()):
        raise NpecatError("column RROWS or c holds a value that is not finite")
    of_power = np.einsum("kij,kyx->ijyx", weights, images).reshape(-1, height, width)
    powers = [(j, i) for i in range(n_i) for j in range(n_j)]
    return PolynomialMap(of_power, np.array(powers), scale=(PIXELS, PIXELS), interpolant="lanczos3")
