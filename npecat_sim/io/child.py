"""Run a reader in a process of its own, which may take, crash and fetch only so much.

Files of foreign origin pass through code in C that aborts on damage, and through readers that
allocate, loop and fetch as a file tells them. What happens in the child stays there: the parent
gets arrays or one line: what comes back is no pickle, which could run code.
"""

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from npecat_sim.errors import NpecatError

MEMORY = 600_000_000
"""Bytes of data that a child may hold, besides what its work is worth: three times what astropy
and pyarrow take to read a small table."""

MEMORY_FACTOR = 10
"""Further bytes for each byte of work: astropy holds the text of a table some five times."""

SECONDS = 4
"""Seconds of computing that a child may take, besides what its work is worth; it needs about one
to start."""

SECONDS_PER_BYTE = 1e-6
"""Further seconds for each byte of work, ten times what the slowest tile code takes for a pixel
and the slowest table format for a character."""

FAILURE = "failure"
"""Name of the array that holds why a child gives no result."""

START = "import sys; sys.path[:] = {path!r}; from npecat_sim.io.child import main; main()"
"""What the child runs. It finds modules where its parent does; by -P not in its working folder."""

FETCHING = ("urllib.Request", "socket.connect", "socket.getaddrinfo")
"""Audit events of Python with which data from elsewhere begins; the first is also raised for
``file:``."""


Arrays = dict[str, np.ndarray]
"""What a child may answer: arrays of numbers, truth values or text, by name."""


def in_child(function: Callable[[bytes], Arrays], content: bytes, *, work: int) -> Arrays:
    """Call a function in a child process with limits.

    Parameters
    ----------
    function : callable
        A function of a module, which must not import much: the child imports it.
    content : bytes
        Its argument.
    work : int
        What the call is worth: bytes or pixels of the file that is read.

    Returns
    -------
    dict of str to ndarray
        What the function returns.

    Raises
    ------
    NpecatError
        If it raises anything, takes more time or memory than a good file needs, fetches data or
        crashes. The message is the bare reason.
    """
    seconds = int(SECONDS + SECONDS_PER_BYTE * work)
    task = {
        "module": function.__module__,
        "function": function.__qualname__,
        "cpu_seconds": seconds,
        "memory": MEMORY + MEMORY_FACTOR * work,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", START.format(path=sys.path), json.dumps(task)],
        input=content,
        capture_output=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode == -signal.SIGXCPU:
        raise NpecatError(f"reading takes more than {seconds} s, no good file of its size does")
    if done.returncode:
        status = done.returncode
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        raise NpecatError(f"the library that reads it crashed ({how}), it is damaged")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
        result = dict(answer)
    if FAILURE in result:
        raise NpecatError(str(result[FAILURE]))
    return result


def main() -> None:
    """Serve one call: read it from standard input, and write its result to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the answer
    content, task = sys.stdin.buffer.read(), json.loads(sys.argv[1])
    sys.addaudithook(_refuse_fetching)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    function = getattr(import_module(task["module"]), task["function"])
    # RLIMIT_DATA, not RLIMIT_AS: pyarrow reserves addresses by the TB.
    for kind, limit in (
        (resource.RLIMIT_CPU, task["cpu_seconds"]),
        (resource.RLIMIT_DATA, task["memory"]),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))
    try:
        answer: Arrays = function(content)
        if any(array.dtype.hasobject for array in answer.values()):
            raise TypeError("it holds objects, not numbers or text")
    except MemoryError:
        answer = _failure("reading takes more memory than a good file of its size does")
    except Exception as error:
        answer = _failure(" ".join(str(error).split()) or type(error).__name__)
    with answers:
        np.savez(answers, **answer)  # type: ignore[arg-type]  # its stub knows one keyword more
    os._exit(0)  # without the end of Arrow's threads, which now and then abort the process


def _failure(reason: str) -> Arrays:
    """The answer that tells why there is none."""
    return {FAILURE: np.array(reason[:200])}


def _refuse_fetching(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that lets nothing be fetched because a file says so."""
    if event in FETCHING:
        raise OSError(f"it names data that are not in it ({arguments[0]}), and nothing is fetched")
