"""Read fpM files of SDSS: the defects that its pipeline found in the pixels of a frame.

HDU 0 names the field and gives the size of the mask. Each of the next ten HDUs is a table of the
regions of one kind. Column s of a region holds its spans as bytes, three big-endian 16-bit numbers
per span: row, first column and last column.
Format: https://classic.sdss.org/dr7/dm/flatFiles/fpM.php
"""

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


def read_mask(path: Path, identity: tuple[int, int, int], *, shape: tuple[int, int]) -> np.ndarray:
    """Read the mask of a frame.

    Parameters
    ----------
    path : Path
        Path of an fpM file of the r band.
    identity : tuple of int
        Run, camera column and field of the frame.
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
    with open_fits(path, "get the frame's fpM file of the r band from SDSS again") as hdus:
        header = hdus[0].header
        found = tuple(header.get(name) for name in ("RUN", "CAMCOL", "FIELD"))
        if found != identity:
            raise NpecatError(f"it is the mask of run, camcol, field {found}, not {identity}")
        size = (header.get("MASKROWS"), header.get("MASKCOLS"))
        if size != shape:
            raise NpecatError(f"the mask has {size} rows and columns, the frame {shape}")
        for index, flag in FLAG_OF_HDU.items():
            regions = data_at(hdus, index, kind=fits.BinTableHDU)
            for row, first, last in _spans(regions, shape, f"HDU {index}"):
                flags[row, first : last + 1] |= int(flag)
    return flags


def _spans(regions: fits.FITS_rec, shape: tuple[int, int], where: str) -> np.ndarray:
    """Row, first column and last column of the spans of all regions: int (span, 3)."""
    n_spans = column(regions, "nspan", dtype=np.int64)
    if "s" not in regions.names:
        raise NpecatError(f"{where}: column s is missing")
    parts = [np.asarray(part).astype(np.uint8).tobytes() for part in regions["s"]]
    short = [row for row, part in enumerate(parts) if len(part) != 6 * n_spans[row]]
    if short:
        raise NpecatError(
            f"{where}, row {short[0]}: {len(parts[short[0]])} bytes for {n_spans[short[0]]} spans"
        )
    spans = np.frombuffer(b"".join(parts), ">u2").astype(int).reshape(-1, 3)
    height, width = shape
    rows, firsts, lasts = spans.T
    good = (rows < height) & (firsts <= lasts) & (lasts < width)
    if not good.all():
        row, first, last = spans[np.argmin(good)]
        raise NpecatError(f"{where}: row {row}, columns {first} to {last} are no span of {shape}")
    return spans
