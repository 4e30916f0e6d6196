"""What is on the disk, and whether there is room on it."""

import errno
import os
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a full disk and of a quota."""

FULL_IN_WORDS = (*map(os.strerror, FULL), "Not enough space on disk", "requested and")
"""What libraries say of a full disk where they drop its number: astropy, and NumPy of a file of
which not all bytes were written."""


def is_full(error: BaseException | None) -> bool:
    """True if an error, or one that led to it, is that of a full disk or quota.

    Matplotlib hides it behind an error of zlib, astropy behind others of its own.
    """
    while error:
        number = getattr(error, "errno", None)
        if number in FULL or any(words in str(error) for words in FULL_IN_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def to_disk(path: Path) -> None:
    """Wait until the content of a file or folder is on the disk, safe from a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(handle)
