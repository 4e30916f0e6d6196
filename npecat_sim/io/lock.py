"""One writer a store: a lock file beside it, held by the process that writes.

On this machine the kernel holds the lock for the open file (flock, also over NFS) and lets go
when the process ends however it ends, so no lock is ever stale; the text in the file only says
who holds it. On an object store the lock is a Lease.
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


class Lock(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise NpecatError if it is no longer held."""


def locked(store: Location) -> AbstractContextManager[Lock]:
    """Hold the store as its only writer; the lock file is ``train.lock`` beside ``train.zarr``.

    Raises NpecatError, naming the holder, if another process holds it. The lock file stays behind
    empty: deleting it would let a waiting process lock a file that no longer has a name.
    """
    path = store.with_suffix(".lock")
    if isinstance(path, Path):
        return _flocked(path, store)
    return leased(path, store, _identity())


class _KernelLock:
    def check(self) -> None:
        """Held as long as the process lives."""


@contextmanager
def _flocked(path: Path, store: Location) -> Iterator[Lock]:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
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
    now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {now}"
