"""Run tasks in processes of this machine or on an existing Dask cluster."""

import logging
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import CancelledError, Client, KilledWorker, LocalCluster, as_completed, get_worker

from npecat_sim.errors import NpecatError
from npecat_sim.io.leftovers import abandoned, mark

SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.limit": "1h",
    "distributed.admin.large-graph-warning-threshold": "4GB",  # sky maps of many real fields
}
"""Dask's configuration during a run. It need not limit the threads of numeric libraries: Dask's
default, distributed.nanny.pre-spawn-environ, does so in local workers and in ``dask worker``."""

LOGGERS = ("distributed.client", "distributed.core", "tornado.application", "asyncio")
"""Loggers that print tracebacks when a scheduler is lost, some after the run's own message."""

PACKAGES_OF_BYTES = ("npecat", "numpy", "galsim", "numba", "zarr")
"""Packages whose versions affect the bytes of a store."""

SCRATCH = "npecat."
"""Start of the name of a folder for Dask's scratch files; a killed process leaves one behind."""


@dataclass(frozen=True)
class Cluster:
    """Processes of this machine or, if its address or file is given, a Dask scheduler's workers.

    Parameters
    ----------
    workers : int, optional
        Number of processes of this machine.
    threads_per_worker : int, optional
        Number of threads of each of these processes.
    scheduler : str, optional
        Address of a Dask scheduler.
    scheduler_file : str, optional
        Path of the file in which a Dask scheduler has written its address.
    """

    workers: int = 1
    threads_per_worker: int = 1
    scheduler: str | None = None
    scheduler_file: str | None = None

    def run(
        self, function: Callable[[Any, Any], int], batches: Sequence[Any], *, shared: Any
    ) -> Iterator[int]:
        """Call ``function(batch, shared)`` on the workers for every batch.

        The work of a worker that dies is done again by another. The first failure of ``function``
        ends the run with the exception that it raised.

        Parameters
        ----------
        function : callable
            Work on one batch.
        batches : sequence
            First arguments of the calls.
        shared : object
            Second argument of every call.

        Yields
        ------
        int
            The result of each call, in the order in which calls finish.

        Raises
        ------
        NpecatError
            If the cluster cannot be used or is lost, or a worker has other versions of
            PACKAGES_OF_BYTES.
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

    def check(self) -> None:
        """Raise NpecatError if a given scheduler does not answer."""
        if self.scheduler or self.scheduler_file:
            self._connected().close()

    @contextmanager
    def _client(self, n_batches: int) -> Iterator[Client]:
        """A client of the cluster; local workers are at most as many as there are batches."""
        if self.scheduler or self.scheduler_file:
            with self._connected() as client:
                if not client.scheduler_info()["workers"]:
                    print("npecat: waiting for the first Dask worker", file=sys.stderr, flush=True)
                client.wait_for_workers(1)
                yield client
            return
        with ExitStack() as started:
            with _interrupts_held_back():
                cluster = started.enter_context(self._local(n_batches, started))
            yield started.enter_context(Client(cluster))

    def _local(self, n_batches: int, started: ExitStack) -> LocalCluster:
        """Processes of this machine; NpecatError if they do not start."""
        try:
            for old in abandoned(Path(tempfile.gettempdir()), SCRATCH):
                shutil.rmtree(old, ignore_errors=True)  # it may be another user's
            folder = tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{mark()}.")
            return LocalCluster(
                n_workers=min(self.workers, n_batches),
                threads_per_worker=self.threads_per_worker,
                dashboard_address="127.0.0.1:0",
                local_directory=started.enter_context(folder),
                silence_logs="CRITICAL",
            )
        except (OSError, RuntimeError) as error:
            raise NpecatError(
                f"the worker processes do not start ({' '.join(str(error).split())}); run the "
                "same command again, perhaps with fewer workers",
                parameters=("workers",),
            ) from error

    def _connected(self) -> Client:
        """A client of the given scheduler; NpecatError if it does not answer."""
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
    """Version in this process of each of PACKAGES_OF_BYTES."""
    return {package: version(package) for package in PACKAGES_OF_BYTES}


def _run_alike(
    function: Callable[[Any, Any], int], wanted: dict[str, str], batch: Any, shared: Any
) -> int:
    """``function(batch, shared)``; NpecatError if the worker's versions are not the client's."""
    found = versions()
    other = [f"{p} {found[p]} instead of {wanted[p]}" for p in wanted if found[p] != wanted[p]]
    if other:
        raise NpecatError(
            f"worker {get_worker().address} has {', '.join(other)}, which may make other bytes; "
            "install the same versions there"
        )
    return function(batch, shared)


def _carry(shared: Any) -> Any:
    """The argument, as the result of a task that Dask can repeat."""
    return shared


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Put off Ctrl-C until the end of the block.

    Processes that are started within inherit that and never notice it; the process that started
    them ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    resource_tracker.ensure_running()  # its start would let the signal through
    arrived: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if arrived:
            signal.raise_signal(signal.SIGINT)
