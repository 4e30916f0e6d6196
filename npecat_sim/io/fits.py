"""Open FITS files that may be compressed, cut short, malformed or hostile, with clear errors."""

import bz2
import gzip
import io
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits_layout import check_layout

MAX_BYTES = 200_000_000
"""Maximum bytes of a decompressed file, 16 SDSS frames; a few compressed kB may expand to GB."""

UNPACK: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
"""First two bytes of a compressed file -> function that decompresses and verifies it."""

UNREADABLE = (
    OSError,  # not there, not FITS, a wrong checksum
    EOFError,  # compressed and cut short
    zlib.error,
    AstropyUserWarning,  # cut short, or a header that cannot be read
    fits.VerifyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
"""What decompression and astropy raise on a file that is malformed or cut short."""


@contextmanager
def open_fits(path: Path, fix: str) -> Iterator[fits.HDUList]:
    """Open a FITS file whose layout has been checked (see fits_layout).

    Parameters
    ----------
    path : Path
        Path of the file, which may be compressed with gzip or bzip2.
    fix : str
        What the user can do about a bad file; the error message ends with it.

    Yields
    ------
    HDUList
        The open file.

    Raises
    ------
    NpecatError
        If anything is wrong with the file, also where the code in the ``with`` block finds it;
        the message is "path: problem; fix".
    """
    try:
        with warnings.catch_warnings(), Path(path).open("rb") as file:
            warnings.simplefilter("ignore", AstropyUserWarning)
            for message in ("File may have been truncated", "Error validating header"):
                warnings.filterwarnings("error", message, AstropyUserWarning)
            content = _unpacked(file)
            check_layout(content)
            content.seek(0)
            with fits.open(content, memmap=False) as hdus:
                yield hdus
    except NpecatError as error:
        raise NpecatError(f"{path}: {error}; {fix}") from None
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise NpecatError(f"{path}: cannot be read as FITS ({reason}); {fix}") from error


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file, decompressed if need be; NpecatError if it holds more than MAX_BYTES."""
    start = file.read(2)
    file.seek(0)
    content = io.BytesIO(UNPACK[start](file).read(MAX_BYTES + 1)) if start in UNPACK else file
    if content.seek(0, io.SEEK_END) > MAX_BYTES:
        raise NpecatError(f"it holds more than {MAX_BYTES / 1e6:.0f} MB")
    return content


def data_at(hdus: fits.HDUList, index: int, *, kind: type) -> np.ndarray:
    """Data of an HDU of a given kind.

    Parameters
    ----------
    hdus : HDUList
        The open file.
    index : int
        Index of the HDU, from 0.
    kind : type
        Class of astropy.io.fits that the HDU must have, such as ``ImageHDU``.

    Returns
    -------
    ndarray
        Pixels (y, x) of an image, or a FITS_rec of a table.

    Raises
    ------
    NpecatError
        If the HDU is missing, empty or of another kind; the message names the HDU.
    """
    if index >= len(hdus):
        raise NpecatError(f"HDU {index} is missing, the file ends before it")
    if not isinstance(hdus[index], kind) or hdus[index].data is None:
        raise NpecatError(f"HDU {index} holds no {kind.__name__.removesuffix('HDU')}")
    data: np.ndarray = hdus[index].data
    return data


def column(
    table: fits.FITS_rec,
    name: str,
    *,
    shape: tuple[int | None, ...] = (),
    dtype: type = np.float64,
) -> np.ndarray:
    """Column of a table, with its shape and type checked.

    Parameters
    ----------
    table : FITS_rec
        The table.
    name : str
        Name of the column.
    shape : tuple of int or None, optional
        Shape of the entry of one row; None stands for any length.
    dtype : type, optional
        Type of the result, to which the column must be convertible without change of kind.

    Returns
    -------
    ndarray
        dtype (row, *shape).

    Raises
    ------
    NpecatError
        If the column is missing or of another shape or type; the message names the column.
    """
    if name not in table.names:
        raise NpecatError(f"column {name} is missing")
    values = np.asarray(table[name])
    cell = values.shape[1:]
    has_shape = len(cell) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, cell, strict=True)
    )
    if not (has_shape and np.can_cast(values.dtype, dtype, "same_kind")):
        raise NpecatError(
            f"column {name} holds {values.dtype.name} of shape {cell} a row, "
            f"not {np.dtype(dtype).name} of shape {shape}"
        )
    return values.astype(dtype)
