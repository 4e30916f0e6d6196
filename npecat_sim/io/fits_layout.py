"""A check that the headers of a FITS file agree with its size, made before astropy reads it.

astropy loops over as many axes and columns as a header claims and allocates the memory that they
would need. Here the few cards that define the layout are read first (FITS standard 4.0, sections
4.4.1 and 7.3.1). Wrong headers are refused in milliseconds.
"""

import io
from math import prod
from typing import IO

from npecat_sim.errors import NpecatError

BLOCK = 2880
"""Bytes of a block; headers and data each fill whole blocks."""

CARD = 80
"""Bytes of a card, which is one line of a header."""

MAX_PIXELS = 50_000_000
"""Maximum pixels of an image: 7,000 x 7,000, or 16 SDSS frames."""

MAX_COUNT = 999
"""Maximum number of axes and columns in the standard; here also of HDUs and header blocks."""

COUNTS = ("NAXIS", "ZNAXIS", "TFIELDS")
"""Cards that count axes or columns."""

BITPIX = (8, 16, 32, 64, -32, -64)
"""Bits of a value, negative for floats: all that the standard allows."""

WHOLE_NUMBERS = ("BITPIX", *COUNTS, "PCOUNT", "GCOUNT")
"""Cards that define the layout, besides NAXISn and, for compressed images, ZNAXISn."""


def check_layout(file: IO[bytes]) -> None:
    """Check that a FITS file holds all its HDUs completely and that their sizes are plausible.

    Parameters
    ----------
    file : file object
        The FITS file, open for reading bytes and not compressed.

    Raises
    ------
    NpecatError
        If a header is wrong or the file is cut short; the message names the HDU.
    """
    n_bytes = file.seek(0, io.SEEK_END)
    start = index = 0
    while start < n_bytes or index == 0:
        where = f"HDU {index}"
        if index == MAX_COUNT:
            raise NpecatError(f"it has more than {MAX_COUNT} HDUs")
        cards, data_start = _ruling_cards(file, start, where)
        start = data_start + _data_size(cards, where)
        if start > n_bytes:
            raise NpecatError(
                f"{where} should end at byte {start:,} but the file has {n_bytes:,}; it was cut "
                "short or its header is wrong"
            )
        index += 1


def _ruling_cards(file: IO[bytes], start: int, where: str) -> tuple[dict[str, int], int]:
    """Name -> value of the cards that define the layout, and the byte where the header ends."""
    file.seek(start)
    values: dict[str, int] = {}
    for number in range(MAX_COUNT):
        block = file.read(BLOCK)
        first = block[:CARD].split(b"=")[0].strip()
        if len(block) < BLOCK or (number == 0 and first not in (b"SIMPLE", b"XTENSION")):
            raise NpecatError(f"{where}: its header is missing or cut short")
        for offset in range(0, BLOCK, CARD):
            card = block[offset : offset + CARD]
            if card.rstrip() == b"END":
                return values, file.tell()
            words, _, text = card.partition(b"=")
            name = words.decode("latin-1").upper().split()[-1:]  # last word: HIERARCH is left out
            if name and (name[0] in WHOLE_NUMBERS or name[0].lstrip("Z")[:5] == "NAXIS"):
                if name[0] in values:
                    raise NpecatError(f"{where}: {name[0]} comes twice")
                values[name[0]] = _whole_number(text, f"{where}: {name[0]}")
    raise NpecatError(f"{where}: its header does not end within {MAX_COUNT} blocks")


def _whole_number(text: bytes, what: str) -> int:
    """The value of a card, which may be negative only if it is one of BITPIX."""
    value = text.split(b"/")[0].strip()
    try:
        number = int(value[:20])
    except ValueError:
        number = -1
    if number < 0 and number not in (-32, -64):
        raise NpecatError(f"{what} is {value.decode('latin-1')!r}, not a size")
    return number


def _data_size(values: dict[str, int], where: str) -> int:
    """Bytes of the data, in whole blocks."""
    for name in COUNTS:
        if values.get(name, 0) > MAX_COUNT:
            raise NpecatError(f"{where}: {name} is {values[name]}, more than {MAX_COUNT}")
    if "NAXIS" not in values:
        raise NpecatError(f"{where}: NAXIS is missing")
    if values.get("BITPIX") not in BITPIX:
        raise NpecatError(f"{where}: BITPIX is {values.get('BITPIX')}, none of {BITPIX}")
    n_values = _product(values, "NAXIS", where)
    n_pixels = _product(values, "ZNAXIS", where) if "TFIELDS" in values else n_values
    if n_pixels > MAX_PIXELS:
        raise NpecatError(f"{where}: an image of {n_pixels:,} pixels, more than {MAX_PIXELS:,}")
    if values["NAXIS"] > 0:
        n_values = values.get("GCOUNT", 1) * (values.get("PCOUNT", 0) + n_values)
    return -(-n_values * abs(values["BITPIX"]) // (8 * BLOCK)) * BLOCK


def _product(values: dict[str, int], name: str, where: str) -> int:
    """Product of the lengths of all axes; 0 without axes."""
    names = [f"{name}{axis + 1}" for axis in range(values.get(name, 0))]
    missing = [needed for needed in names if needed not in values]
    if missing:
        raise NpecatError(f"{where}: {missing[0]} is missing")
    return prod(values[needed] for needed in names) if names else 0
