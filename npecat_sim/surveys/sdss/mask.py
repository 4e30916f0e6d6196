"""Read SDSS's fpM files: what its pipeline found wrong with the pixels of a frame.

HDU 0 names the field and the size of the mask. Each of ten HDUs is a table of the regions of one
kind; column s of a region holds its spans as bytes, three big-endian 16-bit numbers a span: row,
first and last column. Format: https://classic.sdss.org/dr7/dm/flatFiles/fpM.php
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
"""The kinds that matter to photometry: S_MASK_INTERP, S_MASK_SATUR, S_MASK_SUBTRACTED and
S_MASK_CR. The third is where SDSS subtracted a bright star before it searched; frames still
hold its light. The others are objects, or pixels near the edge that SDSS did not search."""


def read_mask(path: Path, identity: tuple[int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """uint8 (y, x), bits of PixelFlag, for the frame of that run, camcol, field and shape.

    Raises NpecatError, naming file and HDU, on a malformed file or one of another frame.
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
            regions = data_at(hdus, index, fits.BinTableHDU)
            for row, first, last in _spans(regions, shape, f"HDU {index}"):
                flags[row, first : last + 1] |= int(flag)
    return flags


def _spans(regions: fits.FITS_rec, shape: tuple[int, int], where: str) -> np.ndarray:
    """int (span, 3): row, first and last column of the spans of all regions."""
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
    good = (spans[:, 0] < shape[0]) & (spans[:, 1] <= spans[:, 2]) & (spans[:, 2] < shape[1])
    if not good.all():
        row, first, last = spans[np.argmin(good)]
        raise NpecatError(f"{where}: row {row}, columns {first} to {last} are no span of {shape}")
    return spans
