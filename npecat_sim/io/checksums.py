"""Checksums of FITS files (FITS standard 4.0, section 4.4.2.7): written, and checked on reading."""

from astropy.io import fits

from npecat_sim.errors import NpecatError

COMMENT = "of the whole HDU and of its data"
"""Comment of both cards, in place of astropy's, which is the date: equal content, equal bytes."""


def add_checksums(hdus: fits.HDUList) -> None:
    """Add CHECKSUM and DATASUM to every HDU of a file that is complete but for these cards."""
    hdus.update_extend()
    for hdu in hdus:
        hdu.add_checksum(when=COMMENT)


def check_checksums(hdus: fits.HDUList, *, required: bool) -> None:
    """Raise NpecatError if an HDU is not as it was written.

    Parameters
    ----------
    hdus : HDUList
        A file that was just opened, before any of its data is read.
    required : bool
        Refuse an HDU without both cards. A catalog may have passed through a program that drops
        them; a flipped bit in the name of one card leaves the other to find a change of the data.

    Raises
    ------
    NpecatError
        The message names the HDU.
    """
    for index, hdu in enumerate(hdus):
        for name, verify in (("CHECKSUM", hdu.verify_checksum), ("DATASUM", hdu.verify_datasum)):
            if required and name not in hdu.header:
                raise NpecatError(f"HDU {index}: {name} is missing, the file was changed")
            if name in hdu.header and verify() != 1:
                raise NpecatError(
                    f"HDU {index}: its {name} does not agree with its content, the file is "
                    "damaged or was changed"
                )
