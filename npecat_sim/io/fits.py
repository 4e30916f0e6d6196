"""Open FITS files that may be packed, cut short, malformed or hostile, and say what is wrong."""

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
"""Most bytes of a file once unpacked, 16 SDSS frames; a few packed kB may unpack to as many GB."""

UNPACK: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
"""First two bytes of a packed file -> what unpacks it and verifies its checksum."""

UNREADABLE = (
    OSError,  # not there, not FITS, a wrong checksum
    EOFError,  # packed and cut short
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
"""What unpacking and astropy raise on a file that is malformed or cut short."""


@contextmanager
def open_fits(path: Path, fix: str) -> Iterator[fits.HDUList]:
    """The open file; all that is wrong with it becomes an NpecatError "path: problem; fix".

    Its layout has been checked before it is given (see fits_layout).
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
    """The file, or where it is packed what it holds; NpecatError where that is too much."""
    start = file.read(2)
    file.seek(0)
    content = io.BytesIO(UNPACK[start](file).read(MAX_BYTES + 1)) if start in UNPACK else file
    if content.seek(0, io.SEEK_END) > MAX_BYTES:
        raise NpecatError(f"it holds more than {MAX_BYTES / 1e6:.0f} MB")
    return content


def data_at(hdus: fits.HDUList, index: int, kind: type) -> np.ndarray:
    """Data of an HDU of the given kind; NpecatError, naming the HDU, where there is none."""
    if index >= len(hdus):
        raise NpecatError(f"HDU {index} is missing, the file ends before it")
    if not isinstance(hdus[index], kind) or hdus[index].data is None:
        raise NpecatError(f"HDU {index} holds no {kind.__name__.removesuffix('HDU')}")
    return hdus[index].data


def column(
    table: fits.FITS_rec,
    name: str,
    shape: tuple[int | None, ...] = (),
    dtype: type = np.float64,
) -> np.ndarray:
    """Column of a table, (row, *shape), None standing for any length.

    Raises NpecatError, naming the column, where it is missing or of another shape or type.
    """
    if name not in table.names:
        raise NpecatError(f"column {name} is missing")
    values = np.asarray(table[name])
    cell = values.shape[1:]
    fits_shape = len(cell) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, cell, strict=True)
    )
    if not (fits_shape and np.can_cast(values.dtype, dtype, "same_kind")):
        raise NpecatError(
            f"column {name} holds {values.dtype.name} of shape {cell} a row, "
            f"not {np.dtype(dtype).name} of shape {shape}"
        )
    return values.astype(dtype)
