"""Read fpM files of SDSS: the defects that its pipeline found in the pixels of a frame.

HDU 0 names the field and gives the size of the mask. Each of the next ten HDUs is a table of the
regions of one kind. Column s of a region holds its spans as bytes, three big-endian 16-bit numbers
per span: row, first column and last column.
Format: https://classic.sdss.org/dr7/dm/flatFiles/fpM.php
"""

import re
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.surveys.image import PixelFlag

FLAG_OF_HDU = {
    1: PixelFlag.INTERPOLATED,
    2: PixelFlag.SATURATED,
    8: PixelFlag.HALO,
    10: PixelFlag.COSMIC_RAY,
}
"""Number of the HDU -> flag, for the kinds that affect photometry: S_MASK_INTERP, S_MASK_SATUR,
S_MASK_SUBTRACTED and S_MASK_CR. The third marks where SDSS subtracted a bright star before its
search for objects; frames still hold the light of that star. The kinds left out are objects, and
pixels near the edge that SDSS did not search."""


MAX_SPANS_PER_PIXEL = 1 / 8
"""Maximum number of spans of one kind, per pixel of the frame. A field's interpolated pixels, the
most frequent kind, are some 17,000 spans in 3 million pixels; 256 bad columns would be this many.
The rows of a small file may share one long array of spans, which would fill any memory."""

MAX_REGIONS = 20_000
"""Maximum number of regions of one kind; a field has some hundreds. Each takes 15 microseconds."""

BAND_IN_NAME = re.compile(r"fpM-\d+-([a-z])\d-\d+\.fit")
"""SDSS's name of a mask. Nothing inside the file tells its band."""


def read_mask(
    path: Path, identity: tuple[int, int, int], *, band: str, shape: tuple[int, int]
) -> np.ndarray:
    """Read the mask of a frame.

    Parameters
    ----------
    path : Path
        Path of an fpM file.
    identity : tuple of int
        Run, camera column and field of the frame.
    band : str
        Band of the frame.
    shape : tuple of int
        Shape (y, x) of the frame.

    Returns
    -------
    ndarray
        uint8 (y, x), bits of PixelFlag.

    Raises
    ------
    NpecatError
        If the file is malformed or of another frame; the message names file and HDU.
    """
    flags = np.zeros(shape, np.uint8)
    named = BAND_IN_NAME.match(Path(path).name)
    with open_fits(path, f"get the frame's fpM file of the {band} band from SDSS again") as hdus:
        if named and named[1] != band:
            raise NpecatError(f"it is the mask of the {named[1]} band, the frame is of {band}")
        header = hdus[0].header
        found = tuple(header.get(name) for name in ("RUN", "CAMCOL", "FIELD"))
        if found != identity:
            raise NpecatError(f"it is the mask of run, camcol, field {found}, not {identity}")
        size = (header.get("MASKROWS"), header.get("MASKCOLS"))
        if size != shape:
            raise NpecatError(f"the mask has {size} rows and columns, the frame {shape}")
        for index, flag in FLAG_OF_HDU.items():
            regions = data_at(hdus, index, kind=fits.BinTableHDU)
            flags |= _covered(_spans(regions, shape, f"HDU {index}"), shape) * np.uint8(flag)
    return flags


def _covered(spans: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels in any of the spans: bool (y, x)."""
    rows, firsts, lasts = spans.T
    height, width = shape
    steps = np.zeros((height, width + 1), np.int32)  # of the number of spans, along a row
    np.add.at(steps, (rows, firsts), 1)
    np.add.at(steps, (rows, lasts + 1), -1)
    covered: np.ndarray = steps[:, :-1].cumsum(axis=1) > 0
    return covered


def _spans(regions: fits.FITS_rec, shape: tuple[int, int], where: str) -> np.ndarray:
    """Row, first column and last column of the spans of all regions: int (span, 3)."""
    n_spans = column(regions, "nspan", dtype=np.int64)
    if "s" not in regions.names:
        raise NpecatError(f"{where}: column s is missing")
    height, width = shape
    for what, number, most in (
        ("regions", len(n_spans), MAX_REGIONS),
        ("spans", n_spans.sum(), int(MAX_SPANS_PER_PIXEL * height * width)),
    ):
        if number > most:
            raise NpecatError(f"{where} tells of {number} {what}, a mask has at most {most}")
    parts = [np.asarray(part) for part in regions["s"]]
    for row, (part, n) in enumerate(zip(parts, n_spans, strict=True)):
        if part.dtype != np.uint8 or part.size != 6 * n:
            raise NpecatError(f"{where}, row {row}: {part.nbytes} bytes for {n} spans")
    spans = np.concatenate([np.empty(0, np.uint8), *parts]).view(">u2").astype(int).reshape(-1, 3)
    rows, firsts, lasts = spans.T
    good = (rows < height) & (firsts <= lasts) & (lasts < width)
    if not good.all():
        row, first, last = spans[np.argmin(good)]
        raise NpecatError(f"{where}: row {row}, columns {first} to {last} are no span of {shape}")
    return spans
