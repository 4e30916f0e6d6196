"""A library of one's own images, in one FITS file.

HDU 0: NPECAT = 'images', FORMAT. HDU 1: table IMAGES, one row per image. Then one image PSF for
each row, with axes (place, row, column), see images.ImageTable. Every HDU has CHECKSUM and DATASUM.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.images import POSITIVE, ImageTable
from npecat_sim.io.checksums import add_checksums, check_checksums
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.io.storage import replacing

KIND = "images"
"""Value of NPECAT."""

FORMAT = 1
"""Version of the layout."""

UNITS = dict(zip(POSITIVE, ("arcsec", "nmgy/arcsec2", "electron/nmgy", None, "pixel"), strict=True))
"""Column of an ImageTable -> its unit."""

REMAKE = "make it again with: npecat fields import FOLDER -o LIBRARY"
"""What to do about a bad library, for error messages."""


def is_image_library(path: Path) -> bool:
    """Whether a file says that it is a library of images.

    Raises
    ------
    NpecatError
        If it is no FITS file.
    """
    with open_fits(path, "give a library of npecat fields import") as hdus:
        return bool(hdus[0].header.get("NPECAT") == KIND)


def save_image_library(table: ImageTable, path: Path) -> None:
    """Write a library; the same images give the same bytes.

    Parameters
    ----------
    table : ImageTable
        What was measured in the images.
    path : Path
        The file to make or replace.

    Raises
    ------
    NpecatError
        If a value is unphysical or the file cannot be written.
    """
    table.check(str(path))
    primary = fits.PrimaryHDU()
    primary.header["NPECAT"] = (KIND, "library of images of npecat")
    primary.header["FORMAT"] = (FORMAT, "version of this layout")
    columns = [
        fits.Column(name, f"{max(1, *map(len, texts))}A", array=list(texts))
        for name, texts in (("NAME", table.name), ("BAND", table.band))
    ]
    columns += [
        fits.Column(name.upper(), "D", unit=unit, array=getattr(table, name))
        for name, unit in UNITS.items()
    ]
    hdus = [primary, fits.BinTableHDU.from_columns(columns, name="IMAGES")]
    hdus += [fits.ImageHDU(samples.astype(np.float32), name="PSF") for samples in table.psf]
    library = fits.HDUList(hdus)
    add_checksums(library)
    with replacing(path) as partial:
        library.writeto(partial, overwrite=True)


def load_image_library(path: Path) -> ImageTable:
    """Read a library of images.

    Parameters
    ----------
    path : Path
        A file of save_image_library.

    Returns
    -------
    ImageTable

    Raises
    ------
    NpecatError
        If the file is missing, incomplete, changed since it was written, of another kind or
        unphysical; the message names the file, the row, the column and the fix.
    """
    if not Path(path).is_file():
        raise NpecatError(f"{path}: there is no such library of images; {REMAKE}")
    with open_fits(path, REMAKE) as hdus:
        header = hdus[0].header
        if header.get("NPECAT") == "fields":
            raise NpecatError("it is a library of SDSS's fields, for priors many and held_out")
        if header.get("NPECAT") != KIND:
            raise NpecatError("this is no library of images")
        if header.get("FORMAT") != FORMAT:
            raise NpecatError(f"FORMAT is {header.get('FORMAT')}, this npecat reads {FORMAT}")
        check_checksums(hdus, required=True)
        images = data_at(hdus, 1, kind=fits.BinTableHDU)
        psf = [
            np.array(data_at(hdus, index, kind=fits.ImageHDU), dtype=np.float32)
            for index in range(2, 2 + len(images))
        ]
        table = ImageTable(
            name=tuple(map(str, images["NAME"])),
            band=tuple(map(str, images["BAND"])),
            **{name: column(images, name.upper()) for name in POSITIVE},
            psf=tuple(psf),
        )
        table.check("IMAGES")
    return table
