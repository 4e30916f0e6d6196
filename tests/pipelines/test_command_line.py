"""How the command line ends: interrupted, without its workers, or with nobody who reads it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from npecat_sim.io.leftovers import mark

NPECAT = [sys.executable, "-m", "npecat"]
SIMULATE = "simulate --prior one --n 0 --n-test 40 --workers 1"


@contextmanager
def simulating(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in a folder, which leads a process group and has the folder for its scratch files."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        [*NPECAT, *SIMULATE.split()],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),  # ignored in the background
    ) as process:
        yield process


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Dask's processes, as soon as there are any."""
    while process.poll() is None:
        children = psutil.Process(process.pid).children()
        found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def when_numpy_is_there(process: subprocess.Popen[str]) -> None:
    """The program is importing: it has begun, and GalSim and Dask are yet to come."""
    while not any("numpy" in file.path for file in psutil.Process(process.pid).memory_maps()):
        time.sleep(0.01)


@pytest.mark.parametrize("wait", [when_numpy_is_there, workers])
def test_ctrl_c_ends_with_130_and_one_line(tmp_path, wait):
    """While the program is imported, and while the cluster starts."""
    with simulating(tmp_path) as process:
        wait(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.strip() == "npecat: interrupted"
    assert not list(tmp_path.glob("npecat.*"))


def test_a_worker_killed_while_the_cluster_starts_is_told_in_one_line(tmp_path):
    """The folder of scratch files that another killed run left is removed, too."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f"npecat.{mark().split('.')[0]}.{gone.pid}.left"
    left.mkdir()
    with simulating(tmp_path) as process:
        workers(process)[0].kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.count("\n") == 1, errors
    assert "the worker processes do not start" in errors and "--workers" in errors
    assert not list(tmp_path.glob("npecat.*"))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_told_in_one_line(unbuffered):
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*NPECAT, "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1 and done.stderr == (
        "npecat: No space left on device; free space or send the output elsewhere\n"
    )


def test_a_reader_that_leaves_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*NPECAT, "--version"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""
