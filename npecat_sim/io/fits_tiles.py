"""Unpack images that are stored as compressed tiles in a table (FITS standard 4.0, section 10).

The codes are C libraries that may abort the process on a damaged file, so they run in a child.
"""

import io

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.child import Arrays, in_child


def unpacked(hdu: fits.CompImageHDU) -> np.ndarray:
    """Pixels (y, x) of a compressed image of an open file.

    Raises
    ------
    NpecatError
        If a tile is damaged.
    """
    place = hdu.fileinfo()
    place["file"].seek(place["hdrLoc"])
    content = place["file"].read(place["datLoc"] + place["datSpan"] - place["hdrLoc"])
    try:
        return in_child(unpack, content, work=max(hdu.size, len(content)))["pixels"]
    except NpecatError as error:
        raise NpecatError(f"the compressed image cannot be unpacked ({error})") from None


def unpack(content: bytes) -> Arrays:
    """The pixels of the compressed image whose header and data these are, in the child."""
    with fits.open(io.BytesIO(fits.PrimaryHDU().header.tostring().encode() + content)) as hdus:
        return {"pixels": np.asarray(hdus[1].data)}
