"""The footprint of a catalog: which pixels of the image were not searched, and why."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.io.checksums import add_checksums
from npecat_sim.io.storage import replacing
from npecat_sim.surveys.image import PixelFlag

NOT_SEARCHED = PixelFlag.NO_DATA | PixelFlag.SATURATED | PixelFlag.CROWDED
"""Where a catalog is empty, holds saturated stars alone, or is not to be trusted."""


def write_mask(flags: np.ndarray, coordinates: fits.Header, path: Path) -> None:
    """Write a mask of the pixels that were not searched: 0 where the catalog is complete.

    Parameters
    ----------
    flags : ndarray
        uint8 (y, x), bits of PixelFlag, of the image that was cataloged.
    coordinates : Header
        Of the image.
    path : Path
        FITS file to write: uint8 (y, x), bits of NOT_SEARCHED, with the coordinates.

    Raises
    ------
    NpecatError
        If the file cannot be written.
    """
    header = coordinates.copy()
    for bit in NOT_SEARCHED:
        header[f"BIT{bit.value}"] = (bit.name, "meaning of this value")
    mask = (flags & np.uint8(NOT_SEARCHED)).astype(np.uint8)
    hdus = fits.HDUList([fits.PrimaryHDU(mask, header)])
    add_checksums(hdus)
    with replacing(path) as partial:
        hdus.writeto(partial)
