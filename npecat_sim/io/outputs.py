"""Check, before any work, where a command will write."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from npecat_sim.errors import OutputError
from npecat_sim.io.storage import Location

Identity = tuple[int, int] | str
"""Device and number of a file; the real path of one that is not there."""


def check_outputs(
    writes: Mapping[str, Location | None], reads: Mapping[str, Location | str | None]
) -> None:
    """Refuse files that cannot be written, or that are read or written already.

    Files are compared by identity, also through symbolic and hard links. An object of an object
    store is not checked.

    Parameters
    ----------
    writes : mapping
        Name of a parameter -> the file to write, or None.
    reads : mapping
        Name of a parameter -> a file or folder to read, or None. Nothing may be written into such
        a folder. Text that names no file, such as the numbers of a PSF, is allowed.

    Raises
    ------
    OutputError
        For the first file that is refused.
    """
    written: dict[Identity, str] = {}
    for name, path in writes.items():
        if isinstance(path, Path):
            _refuse_read(name, path, reads)
            first = written.setdefault(_identity(path), name)
            if first != name:
                raise OutputError(
                    f"{path}: would be written twice; name two files", parameters=(first, name)
                )
            _refuse_unwritable(name, path)


def check_output_folder(
    name: str, folder: Location, reads: Mapping[str, Location | str | None]
) -> None:
    """Refuse a folder in which no file can be made; it need not exist yet.

    Parameters
    ----------
    name : str
        Name of the parameter.
    folder : Path or UPath
        The folder. One of an object store is not checked.
    reads : mapping
        As of check_outputs.

    Raises
    ------
    OutputError
        If the folder cannot be written or made, or is read or lies in a folder that is.
    """
    if isinstance(folder, Path):
        _refuse_read(name, folder, reads)
        real = Path(os.path.realpath(folder))
        existing = next(place for place in (real, *real.parents) if os.path.lexists(place))
        if not existing.is_dir():
            raise _unwritable(name, folder, f"{existing} is no folder")
        if not _may_write(existing):
            raise _unwritable(name, folder, f"{existing} is read-only")


def _refuse_read(name: str, path: Path, reads: Mapping[str, Location | str | None]) -> None:
    """Raise OutputError if a file or folder to write is read, or lies in a folder that is."""
    places = {_identity(place) for place in (path, *Path(os.path.realpath(path)).parents)}
    for source, read in reads.items():
        if isinstance(read, Path | str) and _identity(read) in places:
            other = "" if str(read) == str(path) else f" ({read})"
            raise OutputError(
                f"{path}: would change what is read as {source}{other}; name another place",
                parameters=(name,),
            )


def _refuse_unwritable(name: str, path: Path) -> None:
    """Raise OutputError if a file cannot be made or replaced."""
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise _unwritable(name, path, f"there is no folder {real.parent}")
    if not _may_write(real.parent):
        raise _unwritable(name, path, f"the folder {real.parent} is read-only")
    if real.exists() and not real.is_file():
        raise _unwritable(name, path, "it is no file")
    if real.exists() and not _may_write(real):
        raise _unwritable(name, path, "it is read-only")


def _may_write(path: Path) -> bool:
    """True if anybody may write to a file or folder, and this process may: root always could."""
    return bool(path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)) and os.access(
        path, os.W_OK
    )


def _unwritable(name: str, path: Path, why: str) -> OutputError:
    """The error for a place that cannot be written."""
    return OutputError(f"{path}: cannot be written ({why}); name another place", parameters=(name,))


def _identity(path: Path | str) -> Identity:
    """Equal for two names of one file, and for two names that one file would have."""
    try:
        about = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return about.st_dev, about.st_ino
