"""Where tasks run: processes of this machine, or a Dask cluster that is already there."""

import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
from distributed import CancelledError, Client, KilledWorker, LocalCluster, as_completed, get_worker

from npecat_sim.errors import NpecatError

SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.large-graph-warning-threshold": "4GB",  # sky maps of many real fields
}
"""The numeric libraries of a local worker are single-threaded by Dask's own default
(distributed.nanny.pre-spawn-environ), as are those of ``dask worker``."""

LOGGERS = ("distributed.client", "distributed.core", "tornado.application", "asyncio")
"""They print tracebacks when a scheduler is lost, some after the run has ended in its one line."""

PACKAGES_OF_BYTES = ("npecat", "numpy", "galsim", "numba", "zarr")
"""Packages that the bytes of a store depend on."""


@dataclass(frozen=True)
class Cluster:
    """Processes of this machine, unless the address or the file of a Dask scheduler is given."""

    workers: int = 1
    threads_per_worker: int = 1
    scheduler: str | None = None
    scheduler_file: str | None = None

    def run(
        self, function: Callable[[Any, Any], int], batches: Sequence[Any], shared: Any
    ) -> Iterator[int]:
        """Call ``function(batch, shared)`` for every batch; yields the results as they come.

        The work of a worker that dies is done again by another. Raises what ``function`` raises,
        at its first failure, and NpecatError where the cluster cannot be used or is lost, or a
        worker has other versions of PACKAGES_OF_BYTES.
        """
        with dask.config.set(SETTINGS), self._client(len(batches)) as client:
            # A task of its own, not scattered data: it comes back when a worker that held it dies.
            carried = client.submit(_carry, shared, pure=False)
            alike = partial(_run_alike, function, versions())
            finished = as_completed(
                client.map(alike, batches, [carried] * len(batches), pure=False),
                with_results=True,
            )
            try:
                for _, result in finished:
                    if isinstance(result, CancelledError):
                        raise NpecatError(
                            "the connection to the Dask scheduler is lost; run the same command "
                            "again"
                        )
                    yield result
            except KilledWorker as error:
                raise NpecatError(
                    f"{error.allowed_failures + 1} workers died on the same images, perhaps out of "
                    "memory; run the same command again with fewer workers or threads"
                ) from error

    @contextmanager
    def _client(self, n_batches: int) -> Iterator[Client]:
        if self.scheduler or self.scheduler_file:
            with self._connected() as client:
                if not client.scheduler_info()["workers"]:
                    print("npecat: waiting for the first Dask worker", file=sys.stderr, flush=True)
                client.wait_for_workers(1)
                yield client
            return
        with tempfile.TemporaryDirectory() as scratch:
            with _children_deaf_to_interrupts():
                cluster = LocalCluster(
                    n_workers=min(self.workers, n_batches),
                    threads_per_worker=self.threads_per_worker,
                    dashboard_address="127.0.0.1:0",
                    local_directory=scratch,
                    silence_logs="CRITICAL",
                )
            with cluster, Client(cluster) as client:
                yield client

    def _connected(self) -> Client:
        if self.scheduler_file and not Path(self.scheduler_file).exists():
            raise NpecatError(
                f"the scheduler file {self.scheduler_file} is not there; start one with: "
                f"dask scheduler --scheduler-file {self.scheduler_file}",
                parameters=("scheduler_file",),
            )
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            if self.scheduler_file:
                return Client(scheduler_file=self.scheduler_file)
            return Client(self.scheduler)
        except (OSError, ValueError) as error:
            raise NpecatError(
                f"no Dask scheduler answers at {self.scheduler or self.scheduler_file}; "
                "start one with: dask scheduler"
            ) from error


@cache
def versions() -> dict[str, str]:
    """Package -> its version in this process, of PACKAGES_OF_BYTES."""
    return {package: version(package) for package in PACKAGES_OF_BYTES}


def _run_alike(
    function: Callable[[Any, Any], int], wanted: dict[str, str], batch: Any, shared: Any
) -> int:
    """``function(batch, shared)``, or NpecatError where the worker is not like the client."""
    found = versions()
    other = [f"{p} {found[p]} instead of {wanted[p]}" for p in wanted if found[p] != wanted[p]]
    if other:
        raise NpecatError(
            f"worker {get_worker().address} has {', '.join(other)}, which may make other bytes; "
            "install the same versions there"
        )
    return function(batch, shared)


def _carry(shared: Any) -> Any:
    return shared


@contextmanager
def _children_deaf_to_interrupts() -> Iterator[None]:
    """Processes started within ignore Ctrl-C: only the one that started them has to end on it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
