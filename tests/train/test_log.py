"""What a run tells of its epochs."""

import csv
import subprocess
import sys

import pytest

from npecat_train.checkpoint import LOG
from npecat_train.training import log


def row(epoch: int, loss: float) -> log.Row:
    return {**dict.fromkeys(log.COLUMNS, loss), "epoch": epoch}


def test_log_is_written_anew(tmp_path):
    for rows in ([row(1, 5.0)], [row(1, 5.0), row(2, 4.25)]):
        log.write_csv(tmp_path, rows)
        with (tmp_path / LOG).open() as file:
            read = list(csv.DictReader(file))
        assert [float(line["validation"]) for line in read] == [r["validation"] for r in rows]
        assert [line["epoch"] for line in read] == [str(n + 1) for n in range(len(rows))]
        assert tuple(read[0]) == log.COLUMNS


def test_without_tensorboard_there_is_no_more_than_the_csv(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log.TensorBoard(tmp_path, 1).write(row(1, 5.0))
    assert not list(tmp_path.iterdir())


READ_BACK = """
import sys
from pathlib import Path
from npecat_train.training import log
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = Path(sys.argv[1])
for first, losses in ((1, (5.0, 9.0)), (2, (4.25,))):  # killed after its second epoch's row
    board = log.TensorBoard(folder, first)
    for epoch, loss in enumerate(losses, first):
        board.write({**dict.fromkeys(log.COLUMNS, loss), "epoch": epoch})
read = EventAccumulator(str(folder / "tensorboard")).Reload()
print([(event.step, event.value) for event in read.Scalars("validation")])
"""


def test_tensorboard_shows_each_epoch_once(tmp_path):
    pytest.importorskip("tensorboard")
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[(1, 5.0), (2, 4.25)]"
