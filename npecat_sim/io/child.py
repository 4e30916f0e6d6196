"""Run a reader in a process of its own, which may take, crash and fetch only so much.

Files of foreign origin pass through code in C that aborts on damage, and through readers that
allocate, loop and fetch as a file tells them. What happens in the child stays there: the parent
gets a result or one line.
"""

import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from npecat_sim.errors import NpecatError

Result = TypeVar("Result")

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

START = "import sys; sys.path[:] = {path!r}; from npecat_sim.io.child import main; main()"
"""What the child runs. It finds modules where its parent does; by -P not in its working folder."""

FETCHING = ("urllib.Request", "socket.connect", "socket.getaddrinfo")
"""Audit events of Python with which data from elsewhere begins; the first is also raised for
``file:``."""


def in_child(function: Callable[..., Result], *arguments: Any, work: int) -> Result:
    """Call a function in a child process with limits.

    Parameters
    ----------
    function : callable
        A function of a module, which must not import much: the child imports it.
    *arguments : object
        Its arguments, which pickle can hold, like its result.
    work : int
        What the call is worth: bytes or pixels of the file that is read.

    Returns
    -------
    object
        What the function returns.

    Raises
    ------
    NpecatError
        If it raises anything, takes more time or memory than a good file needs, fetches data or
        crashes. The message is the bare reason.
    """
    seconds = int(SECONDS + SECONDS_PER_BYTE * work)
    limits = {"cpu_seconds": seconds, "memory": MEMORY + MEMORY_FACTOR * work}
    done = subprocess.run(
        [sys.executable, "-P", "-c", START.format(path=sys.path)],
        input=pickle.dumps((limits, function, arguments)),
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
    is_good, result = pickle.loads(done.stdout)
    if not is_good:
        raise NpecatError(result)
    value: Result = result
    return value


def main() -> None:
    """Serve one call: read it from standard input, and write its result to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the answer
    question = sys.stdin.buffer.read()
    sys.addaudithook(_refuse_fetching)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits, function, arguments = pickle.loads(question)
    # RLIMIT_DATA, not RLIMIT_AS: pyarrow reserves addresses by the TB.
    for kind, limit in (
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_DATA, limits["memory"]),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))
    try:
        answer: tuple[bool, Any] = (True, function(*arguments))
    except MemoryError:
        answer = (False, "reading takes more memory than a good file of its size does")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        answer = (False, reason[:200])
    with answers:
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
    os._exit(0)  # without the end of Arrow's threads, which now and then abort the process


def _refuse_fetching(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook that lets nothing be fetched because a file says so."""
    if event in FETCHING:
        raise OSError(f"it names data that are not in it ({arguments[0]}), and nothing is fetched")
