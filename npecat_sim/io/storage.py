"""Files, on this machine or on an object store, that are there whole or not at all."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from upath import UPath

from npecat_sim.errors import NpecatError

Location = Path | UPath
"""A file or folder: a Path on this machine, a UPath at s3://bucket/key."""

PARTIAL = ".partial"
"""Ending of a local file that is not whole; a killed process leaves one behind."""

REQUESTS_AT_ONCE = 32
"""An object store takes 10-50 ms to answer, however little is asked."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def location(text: str) -> Location:
    """The place that a user named: a local path or s3://bucket/key.

    Raises NpecatError for another protocol, and where the library that speaks to S3 is missing.
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
    """What reading and writing may raise: OSError, and what S3's library adds to it."""
    library = sys.modules.get("botocore.exceptions")
    return (OSError, library.BotoCoreError) if library else (OSError,)


def reason(error: Exception) -> str:
    """Why reading or writing failed, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


@contextmanager
def reading(path: Location) -> Iterator[None]:
    """Turn a failure to reach ``path``, but not that no file is there, into an NpecatError."""
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
    """Turn a failure to write to ``path`` into an NpecatError that names it and the fix."""
    try:
        yield
    except failures() as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        fix = "free space and run the same command again" if full else "name another path"
        raise NpecatError(f"{path}: cannot be written ({reason(error)}); {fix}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; what was written takes its place in one step.

    Raises NpecatError where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with writing(path):
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def write(path: Location, content: bytes) -> None:
    """Write a file in one step, and the folders that it lies in.

    Raises NpecatError where it cannot be written.
    """
    if isinstance(path, Path):
        with replacing(path) as partial:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
    else:
        with writing(path):
            path.fs.pipe_file(path.path, content)


def write_json(path: Location, content: Any) -> None:
    """Write JSON in one step."""
    write(path, (json.dumps(content, indent=1) + "\n").encode())


def read(path: Location, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes of a file from ``start`` to ``stop``, fewer where it ends before.

    Raises FileNotFoundError, and see failures.
    """
    if isinstance(path, Path):
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)
    part = {"start": start, "end": stop} if start or stop else {}
    return path.fs.cat_file(path.path, **part)


def sizes(folder: Location) -> dict[str, int]:
    """Path relative to the folder -> bytes, of every file below it; asks in one listing.

    A file in the folder's place is listed as "".
    """
    place = UPath(folder)
    try:
        found = place.fs.find(place.path, detail=True)
    except FileNotFoundError:  # no such bucket
        return {}
    start = len(place.fs._strip_protocol(place.path)) + 1
    return {name[start:]: about["size"] for name, about in found.items()}


def remove(folder: Location, names: Iterable[str]) -> None:
    """Delete files below a folder."""
    place = UPath(folder)
    paths = [(place / name).path for name in names]
    if paths:
        place.fs.rm(paths)


def at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The function of every item, in order, many of them computed at the same time."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)
