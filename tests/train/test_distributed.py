"""Several processes train as one does, from equal global batches."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npecat_train.checkpoint import BEST, LAST, LOG, SETTINGS
from tests.helpers.stores import write_store

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train(data: Path, out: Path, *launcher: str, least_compiled_steps: int = 1000) -> str:
    """Train in processes of their own; returns what they said."""
    out.mkdir()
    arguments = str(data), str(out), str(least_compiled_steps)
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.helpers.team_training", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def alone_and_together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("team")
    # 49 images: three batches of 16 and one that leaves the second process without an image.
    for split, n_images in (("train", 49), ("validation", 10)):
        write_store(folder, split, n_images, images_per_chunk=7)
    train(folder, folder / "alone")
    said = train(folder, folder / "together", *TORCHRUN)
    return folder / "alone", folder / "together", said


def test_same_global_batches_and_losses(alone_and_together):
    alone, together, _ = alone_and_together
    single = json.loads((alone / "steps0.json").read_text())
    assert [len(step["images"]) for step in single] == [16, 16, 16, 1] * 2
    for rank in range(2):
        steps = json.loads((together / f"steps{rank}.json").read_text())
        assert [s["images"] for s in steps] == [s["images"] for s in single]
        losses = np.array([s["losses"] for s in steps])
        np.testing.assert_allclose(losses, [s["losses"] for s in single], rtol=1e-3)


@pytest.mark.slow
def test_steps_with_held_batch_norm_are_compiled(alone_and_together, tmp_path):
    alone = alone_and_together[0]
    train(alone.parent, tmp_path / "run", *TORCHRUN, least_compiled_steps=1)
    single = json.loads((alone / "steps0.json").read_text())
    for rank in range(2):
        steps = json.loads((tmp_path / "run" / f"steps{rank}.json").read_text())
        assert [step["compiled"] for step in steps] == [False] * 2 + [True] * 6
        losses = np.array([step["losses"] for step in steps])
        np.testing.assert_allclose(losses, [step["losses"] for step in single], rtol=1e-3)


def test_same_log(alone_and_together):
    one, other = [
        np.genfromtxt(folder / "run" / LOG, delimiter=",", skip_header=1)
        for folder in alone_and_together[:2]
    ]
    np.testing.assert_allclose(other, one, rtol=1e-3)


def test_the_first_process_alone_writes_and_speaks(alone_and_together):
    _, together, said = alone_and_together
    written = {path.name for path in (together / "run").iterdir()}
    assert written - {"tensorboard"} == {BEST, LAST, LOG, SETTINGS}
    assert said.count("train psf_aware: ") == 1
