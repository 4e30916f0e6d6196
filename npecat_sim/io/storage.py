"""Files, on this machine or on an object store, that exist complete or not at all."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from upath import UPath

from npecat_sim.errors import NpecatError
from npecat_sim.io.disk import is_full, to_disk
from npecat_sim.io.leftovers import DAY, abandoned, mark

Location = Path | UPath
"""A file or folder: a Path on this machine, a UPath at s3://bucket/key."""

PARTIAL = ".partial"
"""Ending of a local file that is not complete; a killed process leaves one behind."""

REQUESTS_AT_ONCE = 32
"""Requests to an object store at the same time; each takes 10-50 ms, however small it is."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def location(text: str) -> Location:
    """The place that a user named: a local path or s3://bucket/key.

    Parameters
    ----------
    text : str
        A local path, or a URL.

    Returns
    -------
    Path or UPath
        The place; nothing is opened.

    Raises
    ------
    NpecatError
        For another protocol than s3, or if s3fs is not installed.
    """
    protocol, separator, _ = text.partition("://")
    if not separator:
        return Path(text)
    if protocol != "s3":
        raise NpecatError(f"{text}: {protocol}:// is not supported; name a folder or s3://...")
    try:
        path = UPath(text.rstrip("/"), use_listings_cache=False)
        path.fs  # noqa: B018, loads the library
    except ImportError as error:
        raise NpecatError(
            f"{text}: needs s3fs; install it with: pip install 'npecat[s3]'"
        ) from error
    return path


def failures() -> tuple[type[Exception], ...]:
    """The exceptions of reading and writing: OSError and the base class of S3's library."""
    library = sys.modules.get("botocore.exceptions")
    return (OSError, library.BotoCoreError) if library else (OSError,)


def reason(error: Exception) -> str:
    """Why reading or writing failed, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


@contextmanager
def reading(path: Location) -> Iterator[None]:
    """Turn a failure to read ``path`` into an NpecatError, but not the absence of a file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise
    except failures() as error:
        raise NpecatError(
            f"{path}: cannot be read ({reason(error)}); see that it can be reached"
        ) from error


@contextmanager
def writing(path: Location) -> Iterator[None]:
    """Turn a failure to write to ``path`` into an NpecatError that names it and the fix.

    On a full disk a library may raise anything, such as an error of zlib; what it hides tells.
    """
    try:
        yield
    except NpecatError:
        raise
    except Exception as error:
        full = is_full(error)
        if not full and not isinstance(error, failures()):
            raise
        fix = "free space and run the same command again" if full else "name another path"
        why = os.strerror(errno.ENOSPC) if full else reason(error)
        raise NpecatError(f"{path}: cannot be written ({why}); {fix}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which is renamed to ``path`` at the end of the block.

    The new file is on the disk before the old one goes, also if the power fails. A symbolic link
    stays, and the file that it leads to is replaced. What a killed process left of the same file
    is removed.

    Parameters
    ----------
    path : Path
        The file to make or replace in one step.

    Yields
    ------
    Path
        The temporary path to write to.

    Raises
    ------
    NpecatError
        If the file cannot be written.
    """
    real = Path(os.path.realpath(path))
    for old in abandoned(real.parent, f".{real.name}.", seconds=DAY):
        with suppress(OSError):
            old.unlink()
    with _renaming(path) as partial:
        yield partial


@contextmanager
def _renaming(path: Path) -> Iterator[Path]:
    """As replacing, but leave what killed processes left: looking for it takes a listing."""
    real = Path(os.path.realpath(path))
    partial = real.with_name(f".{real.name}.{mark()}{PARTIAL}")
    try:
        with writing(path):
            partial.unlink(missing_ok=True)  # left by a process that had the same number
            yield partial
            to_disk(partial)
            partial.replace(real)
            to_disk(real.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


def write(path: Location, content: bytes) -> None:
    """Write a file in one step, and make the folders above it.

    Parameters
    ----------
    path : Path or UPath
        The file to make or replace.
    content : bytes
        The whole content.

    Raises
    ------
    NpecatError
        If the file cannot be written.
    """
    if isinstance(path, Path):
        with _renaming(path) as partial:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
    else:
        with writing(path):
            path.fs.pipe_file(path.path, content)


def read(path: Location, *, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes of a file from ``start`` to ``stop``.

    Parameters
    ----------
    path : Path or UPath
        The file.
    start : int, optional
        First byte, from 0.
    stop : int, optional
        One past the last byte; the whole rest by default.

    Returns
    -------
    bytes
        Fewer bytes if the file ends before ``stop``.

    Raises
    ------
    FileNotFoundError
        If there is no such file. For other errors see failures.
    """
    if isinstance(path, Path):
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)
    part = {"start": start, "end": stop} if start or stop else {}
    content: bytes = path.fs.cat_file(path.path, **part)
    return content


def sizes(folder: Location) -> dict[str, int]:
    """Sizes of all files below a folder, from one listing.

    Parameters
    ----------
    folder : Path or UPath
        The folder, which need not exist.

    Returns
    -------
    dict of str to int
        Path relative to the folder -> bytes. If ``folder`` is a file, its key is "".
    """
    place = UPath(folder)
    try:
        found = place.fs.find(place.path, detail=True)
    except FileNotFoundError:  # no such bucket
        return {}
    start = len(place.fs._strip_protocol(place.path)) + 1
    return {name[start:]: about["size"] for name, about in found.items()}


def remove(folder: Location, names: Iterable[str]) -> None:
    """Delete files below a folder.

    Parameters
    ----------
    folder : Path or UPath
        The folder.
    names : iterable of str
        Paths relative to the folder.
    """
    place = UPath(folder)
    paths = [(place / name).path for name in names]
    if paths:
        place.fs.rm(paths)


def at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to every item in REQUESTS_AT_ONCE threads.

    Parameters
    ----------
    function : callable
        Called with one item, from several threads.
    items : iterable
        The items.

    Yields
    ------
    object
        The results in the order of the items.
    """
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)
