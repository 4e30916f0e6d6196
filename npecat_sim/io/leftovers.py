"""Find what killed processes left behind.

The name of anything temporary holds a mark of the process that made it.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

MARK = r"[0-9a-f]{8}\.[0-9]+"
"""Regular expression of a mark."""

DAY = 86_400.0
"""Seconds: a file that is still being written was changed more recently, whoever writes it."""


def mark() -> str:
    """The machine and number of this process, such as ``3f2a90c1.4711``."""
    return f"{_machine()}.{os.getpid()}"


def abandoned(folder: Path, prefix: str, *, seconds: float | None = None) -> Iterator[Path]:
    """Files and folders whose process has ended.

    Those of a process on another machine, which may still run, are found by their age alone.

    Parameters
    ----------
    folder : Path
        Folder to look in, which need not exist.
    prefix : str
        What stands before the mark in a name. A dot and more must follow the mark.
    seconds : float, optional
        Age since the last change from which a file of another machine is found, too.

    Yields
    ------
    Path
        One after the other, so that each may be deleted.
    """
    pattern = re.compile(rf"{re.escape(prefix)}({MARK})\..*", re.DOTALL)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        match = pattern.fullmatch(name)
        if match:
            machine, process = match[1].split(".")
            if machine == _machine():
                ended = not _lives(int(process))
            else:
                ended = seconds is not None and _age(folder / name) > seconds
            if ended:
                yield folder / name


@cache
def _machine() -> str:
    """Eight hex digits for this machine and, in a container, its own numbers of processes."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        numbers = ""
    return blake2b(f"{socket.gethostname()} {numbers}".encode(), digest_size=4).hexdigest()


def _lives(process: int) -> bool:
    """True if there is a process of that number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _age(path: Path) -> float:
    """Seconds since the last change, 0 for what is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
