"""A lock on an object store: an object that its holder renews, and that expires otherwise.

Every change of the object is a conditional PUT, which S3 carries out only if the object is still
what the writer saw (If-Match) or not there (If-None-Match), so of two processes that want the
lock only one gets it. A lease whose holder has died is taken over once it has expired.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from upath import UPath

from npecat_sim.errors import NpecatError
from npecat_sim.io import storage
from npecat_sim.io.json_files import parse_json
from npecat_sim.io.storage import Location, failures, writing

SECONDS_BETWEEN_RENEWALS = 5.0
"""Interval at which the holder renews its lease."""

LAPSES_AFTER = 30.0
"""Seconds without renewal after which a lease expires.

They are counted from the server's time of the last renewal by the clock of the process that asks.
So the clocks may differ by this time less one or two renewals; S3 itself allows 15 minutes.
"""


class Lease:
    """A lease that this process holds, renewed by a thread of its own.

    Parameters
    ----------
    path : UPath
        Path of the object that is the lock.
    store : Path or UPath
        The store that the lock protects.
    identity : str
        Who holds the lock, for the error message that other processes give.

    Raises
    ------
    NpecatError
        If another process holds the lease, or the object cannot be written.
    """

    def __init__(self, path: UPath, store: Location, *, identity: str) -> None:
        self._path, self._store, self._identity = path, store, identity
        self._token, self._renewals = uuid.uuid4().hex, 0
        self._etag = ""
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        with writing(path):
            self._acquire()
        self._renewed = time.monotonic()
        self._thread.start()

    def check(self) -> None:
        """Raise NpecatError if another process has taken the lease, or it has expired."""
        silent = time.monotonic() - self._renewed
        if not self._lost and silent > LAPSES_AFTER:
            self._lost = f"could not be renewed for {silent:.0f} s"
        if self._lost:
            raise NpecatError(f"{self._store}: the lock {self._lost}; run the command again")

    def release(self) -> None:
        """Release the lease; an empty object stays behind, which any process may take."""
        self._ended.set()
        self._thread.join()
        if not self._lost:
            with suppress(*failures()):  # it expires by itself
                self._put(b"", IfMatch=self._etag)

    def _acquire(self) -> None:
        """Create the object, or take it over where it is empty or its lease has expired."""
        try:
            self._put(self._content(), IfNoneMatch="*")
            return
        except OSError as error:
            refused = error
        try:
            about = self._path.fs.info(self._path.path)
            held = storage.read(self._path)
        except FileNotFoundError:
            raise refused from None  # not since there is one: the bucket is missing, for instance
        if held == self._content():  # the answer to our own request was lost
            self._etag = about["ETag"]
            return
        age = (datetime.now(UTC) - about["LastModified"]).total_seconds()
        if held and age < LAPSES_AFTER:
            raise self._is_held(held)
        try:
            self._put(self._content(), IfMatch=about["ETag"])
        except OSError:
            raise self._is_held(storage.read(self._path)) from None

    def _is_held(self, content: bytes) -> NpecatError:
        """The error that names the holder."""
        holder = _holder(content) or "another process"
        return NpecatError(
            f"{self._store} is being written by {holder}; wait or stop it "
            f"(if it has died, the lock lapses after {LAPSES_AFTER:.0f} s)"
        )

    def _keep(self) -> None:
        """Renew until released or lost; the loop of the thread."""
        while not self._ended.wait(SECONDS_BETWEEN_RENEWALS) and not self._lost:
            with suppress(*failures()):  # tried again; check() raises if it lasts
                self._renew()

    def _renew(self) -> None:
        """Write the object again if nobody else has."""
        self._renewals += 1
        try:
            self._put(self._content(), IfMatch=self._etag)
        except OSError:
            about = self._path.fs.info(self._path.path)
            held = storage.read(self._path)
            if self._token.encode() not in held:
                self._lost = f"was taken over by {_holder(held) or 'another process'}"
            self._etag = about["ETag"]  # the answer to an earlier renewal may have been lost
        else:
            self._renewed = time.monotonic()

    def _content(self) -> bytes:
        """The object's JSON: the holder, a random token and the number of renewals."""
        content = {"holder": self._identity, "token": self._token, "renewals": self._renewals}
        return json.dumps(content).encode()

    def _put(self, content: bytes, **condition: Any) -> None:
        """Write the object on a condition; OSError if it does not hold."""
        self._etag = self._path.fs.pipe_file(self._path.path, content, **condition)["ETag"]


@contextmanager
def leased(path: UPath, store: Location, *, identity: str) -> Iterator[Lease]:
    """Hold a lease for the time of a ``with`` block; see Lease.

    Parameters
    ----------
    path, store, identity
        As of Lease.

    Yields
    ------
    Lease
        The lease, to be checked from time to time.

    Raises
    ------
    NpecatError
        If another process holds the lease; the message names the holder.
    """
    lease = Lease(path, store, identity=identity)
    try:
        yield lease
    finally:
        lease.release()


def _holder(content: bytes) -> str:
    """Who holds the lease by the content of its object; "" where that is unreadable."""
    try:
        holder: str = parse_json(content)["holder"]
        return holder
    except (ValueError, LookupError, TypeError):
        return ""
