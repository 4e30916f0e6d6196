"""Open FITS files that may be compressed, cut short, malformed or hostile, with clear errors."""

import bz2
import gzip
import logging
import mmap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits_layout import MAX_BYTES, MAX_PIXELS, check_layout
from npecat_sim.io.fits_tiles import unpacked

log = logging.getLogger(__name__)

UNPACK: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
"""First two bytes of a compressed file -> function that decompresses and verifies it."""

BYTES_PER_PIXEL = 8
"""Memory that reading an image takes: a pixel as stored or scaled, and in single precision."""

MAX_SHOWN = 10
"""Maximum number of images that a message lists."""


@contextmanager
def open_fits(path: Path, fix: str) -> Iterator[fits.HDUList]:
    """Open a FITS file whose layout has been checked (see fits_layout).

    A file that is not compressed is mapped to memory, so that what is not used is not read. Bytes
    after the last HDU, which the standard allows, are logged as a warning and left out.

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
        if Path(path).exists() and not Path(path).is_file():
            raise NpecatError("it is no plain file")
        with warnings.catch_warnings(), Path(path).open("rb") as file:
            content = _content(file)
            n_hdus, end = check_layout(content)
            if end < len(content):
                log.warning(
                    "%s: the file goes on after HDU %d, which is left out", path, n_hdus - 1
                )
            warnings.simplefilter("ignore", AstropyUserWarning)
            for message in ("File may have been truncated", "Error validating header"):
                warnings.filterwarnings("error", message, AstropyUserWarning)
            is_packed = isinstance(content.obj, bytes)
            source = BytesIO(content.obj) if is_packed else file
            with fits.open(source, memmap=False if is_packed else None) as hdus:
                known = hdus[:n_hdus]
                if len(known) < n_hdus:
                    raise NpecatError(f"HDU {len(known)} cannot be read")
                yield known
    except NpecatError as error:
        raise NpecatError(f"{path}: {error}; {fix}", parameters=error.parameters) from None
    except Exception as error:  # decompression and astropy raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NpecatError(f"{path}: cannot be read as FITS ({reason}); {fix}") from error


def _content(file: IO[bytes]) -> memoryview:
    """The bytes of a file, unpacked if need be, else mapped to memory."""
    start = file.read(2)
    file.seek(0)
    if start not in UNPACK:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if start else b"")
    content = UNPACK[start](file).read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NpecatError(
            f"it unpacks to more than {MAX_BYTES / 1e6:.0f} MB; if that is right, unpack it first"
        )
    return memoryview(content)


def data_at(hdus: fits.HDUList, index: int, *, kind: type[Any]) -> np.ndarray:
    """Data of an HDU of a given kind, in a file of known layout.

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
        If the HDU is missing, empty, of another kind, or an image of more than MAX_PIXELS; the
        message names the HDU.
    """
    if index >= len(hdus):
        raise NpecatError(f"HDU {index} is missing, the file ends before it")
    hdu = hdus[index]
    if not isinstance(hdu, kind):
        raise NpecatError(f"HDU {index} holds no {kind.__name__.removesuffix('HDU')}")
    if hdu.is_image and hdu.size == 0:
        raise NpecatError(f"HDU {index} holds no pixels; {_images_told(hdus)}")
    if hdu.is_image and prod(hdu.shape) > MAX_PIXELS:
        raise NpecatError(f"HDU {index} has {prod(hdu.shape):,} pixels, more than {MAX_PIXELS:,}")
    data: np.ndarray = unpacked(hdu) if isinstance(hdu, fits.CompImageHDU) else hdu.data
    return data


def image_hdus(hdus: fits.HDUList) -> list[tuple[int, str]]:
    """The images of an open file; no pixels are read.

    Parameters
    ----------
    hdus : HDUList
        The open file.

    Returns
    -------
    list of tuple
        Index and name (EXTNAME, which may be empty) of every HDU that holds an image with two
        axes, or with further axes of length 1.
    """
    return [
        (index, hdu.name)
        for index, hdu in enumerate(hdus)
        if hdu.is_image and len(hdu.shape) >= 2 and prod(hdu.shape) == prod(hdu.shape[-2:]) > 0
    ]


def image_at(
    hdus: fits.HDUList, which: int | str, *, cut: tuple[slice, slice] | None = None
) -> tuple[np.ndarray, fits.Header]:
    """One image of an open file.

    Parameters
    ----------
    hdus : HDUList
        The open file.
    which : int or str
        Index of the HDU, from 0, as a number or a text; or its name (EXTNAME) in any case.
    cut : tuple of slice, optional
        Rows and columns to read; all by default.

    Returns
    -------
    pixels : ndarray
        (y, x), as scaled by BSCALE and BZERO; axes of length 1 beyond these two are dropped. Pixels
        of a plain image may still be in the file.
    header : Header
        Header of the whole image.

    Raises
    ------
    NpecatError
        If there is no such image, more than one has that name, or memory does not suffice; the
        message lists the images.
    """
    images, wanted = image_hdus(hdus), str(which).strip().upper()
    found = [index for index, name in images if name and name.upper() == wanted]
    found = found or [index for index, _ in images if str(index) == wanted]
    if len(found) != 1:
        many = "more than one image is" if found else "no image with two axes is"
        raise NpecatError(f"{many} HDU {which}; {_images_told(hdus)}")
    hdu = hdus[found[0]]
    height, width = hdu.shape[-2:]
    rows, columns = cut or (slice(None), slice(None))
    if not (isinstance(hdu, fits.CompImageHDU) or cut is None):
        lead = (0,) * (len(hdu.shape) - 2)
        return hdu.section[(*lead, rows, columns)], hdu.header
    needed, free = height * width * BYTES_PER_PIXEL, psutil.virtual_memory().available
    if needed > free:
        raise NpecatError(
            f"HDU {found[0]} has {width:,} x {height:,} pixels, which need {needed / 1e9:.1f} GB "
            f"of memory; {free / 1e9:.1f} GB are free; cut the image"
        )
    pixels = unpacked(hdu) if isinstance(hdu, fits.CompImageHDU) else hdu.data
    return pixels.reshape(height, width)[rows, columns], hdu.header


def _images_told(hdus: fits.HDUList) -> str:
    """The images of a file in words, for messages."""
    images = [f"{index} ({name})" if name else str(index) for index, name in image_hdus(hdus)]
    shown = images[:MAX_SHOWN] + ["..."] * (len(images) > MAX_SHOWN)
    return f"its images are HDU {', '.join(shown)}" if images else "it has no image with two axes"


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
        Type of the result. Integers must be integers in the column, and fit; floats may be either.
        Logical values are neither.

    Returns
    -------
    ndarray
        dtype (row, *shape).

    Raises
    ------
    NpecatError
        If the column is missing, of another shape or type, or holds an integer that does not fit;
        the message names the column.
    """
    if name not in table.names:
        raise NpecatError(f"column {name} is missing")
    values = np.asarray(table[name])
    cell = values.shape[1:]
    has_shape = len(cell) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, cell, strict=True)
    )
    is_integer = np.issubdtype(dtype, np.integer)
    if not (has_shape and values.dtype.kind in ("iu" if is_integer else "iuf")):
        raise NpecatError(
            f"column {name} holds {values.dtype.name} of shape {cell} a row, "
            f"not {np.dtype(dtype).name} of shape {shape}"
        )
    if is_integer:
        limits = np.iinfo(dtype)
        outside = values[(values < limits.min) | (values > limits.max)]
        if len(outside):
            raise NpecatError(
                f"column {name} holds {outside[0]}, which does not fit in {np.dtype(dtype).name}"
            )
    return values.astype(dtype)
