"""Choose an image among those of a FITS file: the sky, or a plane that belongs to it."""

import re
from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import image_at, image_hdus, open_fits

SCIENCE = re.compile(r"SCI|IMAGE|PRIMARY", re.IGNORECASE)
"""Names (EXTNAME) of images of the sky."""

PLANES = {
    "mask": re.compile(r"MASK|DQ|FLAG|BPM", re.IGNORECASE),
    "weight": re.compile(r"WHT|WEIGHT|WGT|IVAR|INVVAR", re.IGNORECASE),
    "variance": re.compile(r"(?<!IN)VAR", re.IGNORECASE),
    "rms": re.compile(r"RMS|ERR|SIGMA|NOISE|STD", re.IGNORECASE),
}
"""Parameter -> names of planes of that kind."""

OTHER = re.compile(r"CTX|CON|EXP|BKG|SKY|COV", re.IGNORECASE)
"""Names of planes that are no image of the sky and are not read."""

Cut = tuple[slice, slice]
"""Rows and columns of a part of an image."""


def cut_of(text: str, path: Path) -> Cut:
    """The part of an image that a user names.

    Parameters
    ----------
    text : str
        ``x0:x1,y0:y1``: first column and row, and the first ones beyond the part, from 0.
    path : Path
        The file, for messages.

    Raises
    ------
    NpecatError
        If the text is something else.
    """
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    x0, x1, y0, y1 = [int(number) for number in match.groups()] if match else (0, 0, 0, 0)
    if not (x0 < x1 and y0 < y1):
        raise NpecatError(
            f"{path}: cut is {text!r}; give x0:x1,y0:y1, columns and rows from 0, such as "
            "0:2048,512:1024",
            parameters=("cut",),
        )
    return slice(y0, y1), slice(x0, x1)


def science_hdu(hdus: fits.HDUList, hdu: str | None) -> int | str:
    """The image of the sky in a file.

    Parameters
    ----------
    hdus : HDUList
        The open file.
    hdu : str or None
        Index or name that a user gave.

    Returns
    -------
    int or str
        Index of the HDU, or `hdu`.

    Raises
    ------
    NpecatError
        If there is none, or several.
    """
    if hdu is not None:
        return hdu
    no_sky = [*PLANES.values(), OTHER]
    images = image_hdus(hdus)
    of_sky = [image for image in images if not any(p.search(image[1]) for p in no_sky)]
    named = [image for image in of_sky if SCIENCE.fullmatch(image[1])]
    chosen = of_sky if len(of_sky) == 1 else named
    return _only(chosen, images, "give the one that shows the sky", "hdu")


def read_plane(
    path: Path, kind: str, *, beside: Path, shape: tuple[int, ...], cut: Cut | None
) -> np.ndarray:
    """A plane that belongs to an image, from a file of its own.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        A key of PLANES.
    beside : Path
        The image, for messages.
    shape : tuple of int
        Shape (y, x) of the image, after the cut.
    cut : tuple of slice or None
        Part of the image, and of the plane.

    Returns
    -------
    ndarray
        (y, x), of the type in the file.

    Raises
    ------
    NpecatError
        If the file cannot be read or has another shape.
    """
    with open_fits(path, f"give a whole FITS file with the {kind} of each pixel") as hdus:
        images = image_hdus(hdus)
        named = [image for image in images if PLANES[kind].search(image[1])]
        chosen = named if len(named) == 1 else images
        index = _only(chosen, images, f"name one {kind!r} by its EXTNAME", kind)
        plane, _ = image_at(hdus, index, cut=cut)
        if plane.shape != shape:
            raise NpecatError(
                f"the {kind} has shape {plane.shape}, {beside} {shape}", parameters=(kind,)
            )
        return np.array(plane)


def _only(
    chosen: list[tuple[int, str]], images: list[tuple[int, str]], fix: str, parameter: str
) -> int:
    """Index of the only image; NpecatError, with those that there are, if there is not just one."""
    if len(chosen) == 1:
        return chosen[0][0]
    if not images:
        raise NpecatError("it holds no image with two axes")
    told = ", ".join(f"{index} ({name})" if name else str(index) for index, name in images)
    raise NpecatError(f"it holds several images, HDU {told}; {fix}", parameters=(parameter,))
