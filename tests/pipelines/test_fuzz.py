"""Damaged files of every kind that npecat reads: refused in one line, or read as they were."""

import os
import signal
import threading

import pytest

from npecat.experiments import fuzz
from npecat.experiments.fuzz_inputs import KINDS, Kind
from npecat.experiments.mutations import mutated
from npecat_sim.errors import NpecatError


def test_damage_is_damage_and_comes_again():
    content = bytes(range(256)) * 100
    made = [mutated(content, seed) for seed in range(50)]
    assert made == [mutated(content, seed) for seed in range(50)]
    assert sum(one != content for one in made) > 45


def test_no_damaged_file_does_harm():
    """Each kind of file with three kinds of damage."""
    counts, faults = fuzz.run(range(3 * len(KINDS)), jobs=2)
    assert faults == []
    assert counts.total() == 3 * len(KINDS)
    assert sum(counts[name, "refused"] for name in KINDS) > len(KINDS)


def raises(error: Exception):
    def read(folder):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (raises(KeyError("x")), "traceback"),
        (raises(NpecatError("two\nlines")), "traceback"),
        (raises(NpecatError("one line")), "refused"),
        (lambda folder: bytes(10**15), "memory"),
        (lambda folder: {"a": [1, 2.0]}, "read"),
    ],
)
def test_outcomes_are_told_apart(monkeypatch, tmp_path, read, outcome):
    monkeypatch.setitem(KINDS, "planted", Kind(str, read, "*"))
    assert fuzz._outcome("planted", tmp_path)[0] == outcome


def test_a_process_that_ends_or_hangs_is_noticed_and_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz, "PATIENCE", 2)
    KINDS["image"].write(tmp_path)
    reader = fuzz.Reader()
    whole = reader.read("image", tmp_path)
    os.kill(reader._process.pid, signal.SIGSTOP)
    assert reader.read("image", tmp_path)[0] == "hang"
    assert reader.read("image", tmp_path) == whole
    os.kill(reader._process.pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (reader._process.pid, signal.SIGKILL)).start()
    assert reader.read("image", tmp_path) == ("abort", "with status -9")
