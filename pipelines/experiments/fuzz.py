"""Damage files of every kind in every way, and see that each reader refuses them in one line.

``python -m npecat.experiments.fuzz --n 1000`` reads a thousand damaged files, in child processes.
A file may be refused, or read as if nothing had happened. Where the format has no checksums, damage
to a value may change what is read; these are counted apart. Anything else is a fault, and the
seed with which it comes again is printed: a change unnoticed where there are checksums, a
traceback, more memory or time than a small file may take, and the end of the process. The exit
status is 1 if there is one.
"""

import logging
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue

import click
import psutil

from npecat_sim.errors import NpecatError
from npecat_sim.progress import progress

from ..cli import main
from .fuzz_inputs import KINDS, digest
from .mutations import mutated

SECONDS = 5
"""Seconds of computing that reading may take."""

PATIENCE = 120
"""Seconds that reading may take on a busy machine before it counts as hanging."""

BYTES = 1_000_000_000
"""Bytes that reading may take besides what the loaded packages do."""

PERMITTED = ("refused", "same", "changed")
"""Outcomes that are none of a fault; "changed" is permitted without checksums only."""

FAULTS = ("unnoticed", "traceback", "memory", "hang", "abort")
"""Outcomes that are faults."""


@click.command(context_settings={"show_default": True})
@click.option("--n", "n_cases", type=click.IntRange(min=1), default=1000, help="Damaged files.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Number of the first of them.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, help="Processes at once.")
def fuzz(n_cases: int, seed: int, jobs: int) -> None:
    """Read damaged files of every kind and count what becomes of them."""
    counts, faults = run(range(seed, seed + n_cases), jobs=jobs)
    click.echo(f"{'':<20}" + "".join(f"{name:>11}" for name in (*PERMITTED, *FAULTS)))
    for kind in KINDS:
        row = [counts[kind, outcome] for outcome in (*PERMITTED, *FAULTS)]
        click.echo(f"{kind:<20}" + "".join(f"{number or '.':>11}" for number in row))
    for line in faults:
        click.echo(line)
    sys.exit(1 if faults else 0)


def run(seeds: range, *, jobs: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Read the damaged files of some seeds.

    Parameters
    ----------
    seeds : range
        Each gives one damaged file; kinds take turns.
    jobs : int
        Processes at once.

    Returns
    -------
    counts : Counter
        (Kind, outcome) -> number of files.
    faults : list of str
        One line for each fault, with seed, kind and what happened.

    Raises
    ------
    NpecatError
        If a good file is not read.
    """
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    idle: SimpleQueue[Reader] = SimpleQueue()
    readers = [Reader() for _ in range(jobs)]
    for reader in readers:
        idle.put(reader)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        good = Path(folder, "good")
        digests = {}
        for name, kind in KINDS.items():
            (good / name).mkdir(parents=True)
            kind.write(good / name)
            outcome, digests[name] = readers[0].read(name, good / name)
            if outcome != "read":
                raise NpecatError(f"the good file of kind {name!r} is not read: {digests[name]}")

        def case(seed: int) -> tuple[str, str, str]:
            """Kind, outcome and what was said of the damaged file of a seed."""
            turn, number = divmod(seed, len(KINDS))
            name = list(KINDS)[number]
            place = Path(folder, str(seed))
            shutil.copytree(good / name, place)
            damage(place, KINDS[name].damaged, seed=turn)
            reader = idle.get()
            outcome, said = reader.read(name, place)
            idle.put(reader)
            shutil.rmtree(place)
            if outcome == "read" and said == digests[name]:
                outcome = "same"
            elif outcome == "read":
                outcome = "unnoticed" if KINDS[name].has_digest else "changed"
            return name, outcome, said

        with progress("fuzz", len(seeds), unit="files") as advance:
            for seed, (name, outcome, said) in zip(seeds, pool.map(case, seeds), strict=True):
                counts[name, outcome] += 1
                if outcome in FAULTS:
                    faults.append(f"seed {seed}, {name}: {outcome} {said}")
                advance(1, "")
    for reader in readers:
        reader.end()
    return counts, faults


def damage(folder: Path, pattern: str, *, seed: int) -> None:
    """Damage one of the files of a folder whose names suit a pattern."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and path.stat().st_size)
    path = files[seed // 5 % len(files)]
    path.write_bytes(mutated(path.read_bytes(), seed))


class Reader:
    """A process that reads files, and is replaced when it ends or has to be ended."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None

    def _running(self) -> BaseProcess:
        """The process, started if there is none, with everything loaded."""
        if self._process is None:
            spawn = multiprocessing.get_context("spawn")
            self._pipe, theirs = spawn.Pipe()
            self._process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()
        return self._process

    def read(self, name: str, folder: Path) -> tuple[str, str]:
        """Read what is in a folder.

        Parameters
        ----------
        name : str
            Kind of file.
        folder : Path
            Where it is.

        Returns
        -------
        outcome : str
            "read", "refused" or one of FAULTS.
        said : str
            Digest of what was read, or the message.
        """
        process = self._running()
        self._pipe.send((name, folder))
        watched = psutil.Process(process.pid)
        begin, used = time.monotonic(), sum(watched.cpu_times()[:2])
        while not self._pipe.poll(0.2):
            computing = sum(watched.cpu_times()[:2]) - used
            if computing > SECONDS or time.monotonic() - begin > PATIENCE:
                self.end()
                return "hang", f"after {computing:.1f} s of computing"
        try:
            outcome: tuple[str, str] = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self.end()
            return "abort", f"with status {process.exitcode}"
        return outcome

    def end(self) -> None:
        """End the process, which ends by itself unless it is busy."""
        process, self._process = self._process, None
        if process is not None:
            self._pipe.close()
            process.join(1)
            process.kill()
            process.join()


def _serve(pipe: Connection) -> None:
    """Read what the other end names, in the child, until it is ended."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    logging.disable()
    taken = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (taken + BYTES, resource.RLIM_INFINITY))
    pipe.send("ready")
    with suppress(EOFError):
        while True:
            name, folder = pipe.recv()
            pipe.send(_outcome(name, folder))


def _outcome(name: str, folder: Path) -> tuple[str, str]:
    """What becomes of a file, in words; see Reader.read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "read", digest(KINDS[name].read(folder))
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if any(isinstance(one, MemoryError) for one in _chain(error)):
            return "memory", said
        if not isinstance(error, NpecatError):
            place = traceback.extract_tb(error.__traceback__)[-1]
            return "traceback", f"{said} ({place.filename} line {place.lineno})"
        return ("traceback" if "\n" in said else "refused"), said


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main(fuzz)
