"""Progress as lines: how far, how fast, how long, which part."""

import pytest

from npecat_sim import progress as progress_module
from npecat_sim.progress import progress


@pytest.fixture(autouse=True)
def every_line(monkeypatch):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", -1.0)


def test_lines_name_the_part(capsys):
    with progress("train", 30, done=5, laps=("epoch", (10, 15, 5))) as advance:
        for images in (5, 15, 5):
            advance(images, "loss 1.5")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" images,")[0] for line in lines] == [
        "train: 10 of 30",
        "train: 25 of 30",
        "train: 30 of 30",
    ]
    assert [line.split(", ")[-2] for line in lines] == [
        "epoch 1 of 3",
        "epoch 2 of 3",
        "epoch 3 of 3",
    ]
    assert all("images/s" in line and "s left" in line for line in lines)
    assert lines[0].endswith("loss 1.5")


def test_slow_work_has_a_rate_too(monkeypatch, capsys):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: next(clock))
    with progress("sample", 30, unit="sources") as advance:
        advance(1, "")
    assert "0.05 sources/s, 580 s left" in capsys.readouterr().err


def test_nothing_done_yet_has_no_time_left(capsys):
    with progress("train", 30, done=30) as advance:
        advance(0, "validation")
    assert "left" not in capsys.readouterr().err


def test_bars_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes standard error for a terminal
    monkeypatch.setenv("COLUMNS", "150")
    with progress("train", 30, laps=("epoch", (10, 10, 10))) as advance:
        advance(14, "loss 1.5")
    shown = capsys.readouterr().err
    assert "train" in shown and "epoch 2 of 3" in shown and "loss 1.5" in shown
