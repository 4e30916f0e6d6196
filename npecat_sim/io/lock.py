"""One writer per store: a lock file beside it, held by the process that writes.

On this machine the kernel holds the lock for the open file (flock, also over NFS) and releases it
when the process ends for any reason, so no lock is ever stale; the text in the file only names
the holder. On an object store the lock is a Lease.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from npecat_sim.errors import NpecatError
from npecat_sim.io.lease import leased
from npecat_sim.io.storage import Location, writing

MAX_HOLDER = 200
"""Characters of a lock file that are shown; a host's name has at most 64."""


class Lock(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise NpecatError if the lock is no longer held."""


def locked(store: Location) -> AbstractContextManager[Lock]:
    """Hold a store as its only writer for the time of a ``with`` block.

    The lock file is ``train.lock`` beside ``train.zarr``, or beside what a symbolic link of that
    name leads to. It stays behind empty: if it were deleted, a waiting process could lock a file
    that no longer has a name.

    Parameters
    ----------
    store : Path or UPath
        Path of the store.

    Returns
    -------
    context manager
        Its ``with`` statement gives the Lock.

    Raises
    ------
    NpecatError
        On entry, if another process holds the lock; the message names the holder.
    """
    if isinstance(store, Path):
        return _flocked(Path(os.path.realpath(store)).with_suffix(".lock"), store)
    return leased(store.with_suffix(".lock"), store, identity=_identity())


class _KernelLock:
    """A lock that the kernel holds as long as the process lives."""

    def check(self) -> None:
        """Do nothing: the lock cannot be lost."""


@contextmanager
def _flocked(path: Path, store: Location) -> Iterator[Lock]:
    """Hold a local lock file; NpecatError, naming the holder, if another process holds it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8", errors="replace")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = " ".join(file.read(MAX_HOLDER).split()) or "another process"
            raise NpecatError(f"{store} is being written by {holder}; wait or stop it") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            raise NpecatError(
                f"{path}: this file system has no locks ({error.strerror}); name another folder",
                parameters=("out",),
            ) from error
        with writing(path):
            file.truncate(0)
            file.write(f"{_identity()}\n")
            file.flush()
        yield _KernelLock()
        file.truncate(0)


def _identity() -> str:
    """Process, machine and present time, for the message that other processes show."""
    now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {now}"
