"""A check that the headers of a FITS file agree with its size, made before astropy reads it.

astropy loops over as many axes and columns as a header claims and allocates the memory that they
would need. Here the few cards that define the layout are read first (FITS standard 4.0, sections
4.4.1, 7.3.1 and 7.3.5). Wrong headers are refused in milliseconds. An image or a table that is
not compressed takes the room in the file that its header claims, so its size needs no limit but
the file's; tiles and arrays of variable length may claim more than is there.
"""

import re
from math import prod
from typing import NamedTuple

import numpy as np

from npecat_sim.errors import NpecatError

BLOCK = 2880
"""Bytes of a block; headers and data each fill whole blocks."""

CARD = 80
"""Bytes of a card, which is one line of a header."""

MAX_BYTES = 200_000_000
"""Maximum bytes that a compressed file, or the arrays of a table that share bytes, may unpack to:
16 SDSS frames; a few compressed kB may expand to GB."""

MAX_PIXELS = 50_000_000
"""Maximum pixels of an image that is compressed or read as part of a known layout: 7,000 x 7,000,
which are MAX_BYTES in single precision."""

MAX_TABLE_BYTES = 1_000_000_000
"""Maximum bytes of a table: a catalog of three million sources. Zeros in a sparse file cost its
maker nothing."""

MAX_COUNT = 999
"""Maximum number of axes and columns in the standard; here also of HDUs and header blocks."""

MAX_BLOCKS = 5_000
"""Maximum number of blocks of all headers: 180,000 cards, which astropy reads in some 2 s."""

MAX_CONTINUED = 2_000
"""Maximum number of cards in a header that continue a text; astropy takes 0.3 s for these, and
for 32,000 of them 8 s."""

COUNTS = ("NAXIS", "ZNAXIS", "TFIELDS")
"""Cards that count axes or columns."""

BITPIX = (8, 16, 32, 64, -32, -64)
"""Bits of a value, negative for floats: all that the standard allows."""

WHOLE_NUMBERS = ("BITPIX", *COUNTS, "PCOUNT", "GCOUNT", "THEAP")
"""Cards that define the layout, besides TFORMn, NAXISn and, for compressed images, ZNAXISn."""

BITS = dict(zip("LXBIJKAEDCMPQ", (8, 1, 8, 16, 32, 64, 8, 32, 64, 64, 128, 64, 128), strict=True))
"""Letter of a column's format -> bits of one value; P and Q are a length and a place."""

FORMAT = re.compile(rf"\s*(\d*)([{''.join(BITS)}])([{''.join(BITS)}]?)")
"""Format of a column of a binary table: repeat count, letter and, after P or Q, letter of the
arrays' values."""

BINARY_TABLES = (b"'BINTABLE", b"'A3DTABLE")
"""Values of XTENSION, the second of old files, whose columns have formats as above."""

ROWS = 1_000_000
"""Rows of a table whose descriptors are looked at together."""


class Header(NamedTuple):
    """The cards of a header that define the layout.

    Parameters
    ----------
    numbers : dict of str to int
        Values of the cards that hold whole numbers.
    formats : dict of str to str
        Values of TFORMn, of a binary table alone.
    end : int
        The byte where the header ends.
    """

    numbers: dict[str, int]
    formats: dict[str, str]
    end: int


def check_layout(content: memoryview) -> tuple[int, int]:
    """Check that a FITS file holds all its HDUs completely and that their sizes are plausible.

    Parameters
    ----------
    content : memoryview
        The bytes of the FITS file, not compressed.

    Returns
    -------
    n_hdus : int
        Number of HDUs.
    end : int
        The byte where the last one ends. Bytes after it, which the standard allows, are not looked
        at.

    Raises
    ------
    NpecatError
        If a header is wrong or the file is cut short; the message names the HDU.
    """
    start = index = n_blocks = 0
    while index == 0 or bytes(content[start : start + 8]) == b"XTENSION":
        where = f"HDU {index}"
        if index == MAX_COUNT:
            raise NpecatError(f"it has more than {MAX_COUNT} HDUs")
        header = _read_header(content, start, where)
        n_blocks += (header.end - start) // BLOCK
        if n_blocks > MAX_BLOCKS:
            raise NpecatError(f"{where}: the headers take more than {MAX_BLOCKS:,} blocks")
        start = header.end + _data_size(header.numbers, where)
        if start > len(content):
            raise NpecatError(
                f"{where} should end at byte {start:,} but the file has {len(content):,}; it was "
                "cut short or its header is wrong"
            )
        if header.formats:
            _check_columns(content, header, where)
        index += 1
    return index, start


def _read_header(content: memoryview, start: int, where: str) -> Header:
    """The cards that define the layout, of the header that begins at a byte."""
    numbers: dict[str, int] = {}
    formats: dict[str, str] = {}
    is_table = bytes(content[start + 9 : start + CARD]).strip().startswith(BINARY_TABLES)
    n_continued = 0
    for end in range(start + BLOCK, start + (MAX_COUNT + 1) * BLOCK, BLOCK):
        block = bytes(content[end - BLOCK : end])
        is_first = end == start + BLOCK
        if len(block) < BLOCK or (is_first and not block.startswith((b"SIMPLE", b"XTENSION"))):
            raise NpecatError(f"{where}: its header is missing or cut short")
        for card in (block[offset : offset + CARD] for offset in range(0, BLOCK, CARD)):
            if card.rstrip() == b"END":
                return Header(numbers, formats, end)
            n_continued += card.startswith(b"CONTINUE")
            if n_continued > MAX_CONTINUED:
                raise NpecatError(f"{where}: more than {MAX_CONTINUED:,} cards are CONTINUE")
            name, text = _name_and_value(card)
            if name in WHOLE_NUMBERS or name.lstrip("Z")[:5] == "NAXIS":
                if name in numbers:
                    raise NpecatError(f"{where}: {name} comes twice")
                numbers[name] = _whole_number(text, f"{where}: {name}")
            elif is_table and name.startswith("TFORM"):
                if name in formats:
                    raise NpecatError(f"{where}: {name} comes twice")
                formats[name] = text.strip().lstrip("'")
    raise NpecatError(f"{where}: its header does not end within {MAX_COUNT} blocks")


def _name_and_value(card: bytes) -> tuple[str, str]:
    """Name and value of a card as astropy takes them: HIERARCH is no part of a name."""
    name, _, value = card.decode("latin-1").partition("=")
    if name.upper().startswith("HIERARCH "):
        name = name[9:]
    return name.strip().upper(), value


def _whole_number(text: str, what: str) -> int:
    """The value of a card, which may be negative only if it is one of BITPIX."""
    value = text.split("/")[0].strip()
    try:
        number = int(value[:20])
    except ValueError:
        number = -1
    if number < 0 and number not in (-32, -64):
        raise NpecatError(f"{what} is {value!r}, not a size")
    return number


def _data_size(numbers: dict[str, int], where: str) -> int:
    """Bytes of the data, in whole blocks."""
    for name in COUNTS:
        if numbers.get(name, 0) > MAX_COUNT:
            raise NpecatError(f"{where}: {name} is {numbers[name]}, more than {MAX_COUNT}")
    if "NAXIS" not in numbers:
        raise NpecatError(f"{where}: NAXIS is missing")
    if numbers.get("BITPIX") not in BITPIX:
        raise NpecatError(f"{where}: BITPIX is {numbers.get('BITPIX')}, none of {BITPIX}")
    axes, tiled_axes = (_lengths(numbers, name, where) for name in ("NAXIS", "ZNAXIS"))
    is_table = "TFIELDS" in numbers
    if 0 in axes and max(axes) > MAX_PIXELS:
        raise NpecatError(f"{where}: one axis has length 0, another {max(axes):,}")
    n_pixels = prod(max(length, 1) for length in tiled_axes)
    if is_table and n_pixels > MAX_PIXELS:
        raise NpecatError(
            f"{where}: a compressed image of {n_pixels:,} pixels, more than {MAX_PIXELS:,}; unpack "
            "it first"
        )
    n_values = prod(axes) if axes else 0
    if axes:
        n_values = numbers.get("GCOUNT", 1) * (numbers.get("PCOUNT", 0) + n_values)
    n_bytes = n_values * abs(numbers["BITPIX"]) // 8
    if is_table and n_bytes > MAX_TABLE_BYTES:
        raise NpecatError(f"{where}: a table of more than {MAX_TABLE_BYTES / 1e6:,.0f} MB")
    return -(-n_bytes // BLOCK) * BLOCK


def _lengths(numbers: dict[str, int], name: str, where: str) -> tuple[int, ...]:
    """Lengths of all axes."""
    names = [f"{name}{axis + 1}" for axis in range(numbers.get(name, 0))]
    missing = [needed for needed in names if needed not in numbers]
    if missing:
        raise NpecatError(f"{where}: {missing[0]} is missing")
    return tuple(numbers[needed] for needed in names)


def _check_columns(content: memoryview, header: Header, where: str) -> None:
    """Refuse columns that a row has no room for, and arrays that the heap does not hold.

    Rows may share an array of the heap, as the standard allows; a small file could then unpack to
    any size.
    """
    if (header.numbers["NAXIS"], header.numbers["BITPIX"]) != (2, 8):
        raise NpecatError(f"{where}: a table that is not of two axes and bytes")
    row, n_rows = header.numbers["NAXIS1"], header.numbers["NAXIS2"]
    heap = header.numbers.get("PCOUNT", 0)
    heap -= max(header.numbers.get("THEAP", 0) - row * n_rows, 0)
    bits = n_bytes = 0
    for number in range(1, header.numbers.get("TFIELDS", 0) + 1):
        found = FORMAT.match(header.formats.get(f"TFORM{number}", ""))
        if found is None:
            raise NpecatError(f"{where}: TFORM{number} is no format of a column")
        repeat, letter, inner = int(found[1] or 1), found[2], found[3]
        first = bits // 8
        bits += -(-repeat * BITS[letter] // 8) * 8
        if bits > 8 * row:
            raise NpecatError(f"{where}: column {number} ends beyond its row of {row} bytes")
        if letter in "PQ" and repeat and n_rows:
            kind = ">i4" if letter == "P" else ">i8"
            at = header.end + first
            n_bytes += _array_bytes(
                np.ndarray((n_rows, 2), kind, content, at, (row, np.dtype(kind).itemsize)),
                BITS.get(inner, 8),
                heap=heap,
                where=f"{where}, column {number}",
            )
    if n_bytes > max(heap, MAX_BYTES):
        raise NpecatError(
            f"{where}: its arrays take {n_bytes / 1e6:,.0f} MB, though the file has "
            f"{heap / 1e6:.3g} MB of them"
        )


def _array_bytes(pairs: np.ndarray, bits: int, *, heap: int, where: str) -> int:
    """Bytes of the arrays of one column, given by length and place; none may leave the heap."""
    n_bytes = 0
    for start in range(0, len(pairs), ROWS):
        lengths, places = pairs[start : start + ROWS].T.astype(np.int64)
        good = (lengths >= 0) & (lengths <= 8 * heap // bits)
        sizes = -(-lengths * bits // 8)
        good &= (lengths == 0) | ((places >= 0) & (places <= heap - sizes))
        if not good.all():
            raise NpecatError(f"{where}, row {start + np.argmin(good)}: an array beyond the heap")
        n_bytes += int(sizes.sum())
    return n_bytes
