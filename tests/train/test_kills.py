"""SIGKILL at any moment of a run: the same command then ends where an undisturbed run does."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST, LOG, SETTINGS
from npecat_train.data import loader
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults
from npecat_train.training import loop as trainer
from npecat_train.training import run_folder as run
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store

SMALL = NetworkSize((4,), (), 8, 4, (1,), (1,))

MOMENTS = {
    "in an epoch": (Learner, "step", 4),
    "in validation": (Learner, "validate", 1),
    "in a later epoch": (Learner, "step", 8),
    "before the settings": (Path, "replace", 1),
    "before the first checkpoint": (Path, "replace", 2),
    "before the second checkpoint": (Path, "replace", 3),
    "before the best": (Path, "replace", 4),
    "between best and last": (Path, "replace", 5),
    "between last and log": (Path, "replace", 6),
    "after the log": (Path, "replace", 7),
}
"""What is killed: the call of that number of a function. Every file is written by Path.replace."""


def train(data: Path, folder: Path) -> None:
    run.CHECKPOINT_EVERY, loader.CHUNKS_PER_BUFFER = 2, 2  # of 4 steps and chunks an epoch
    defaults.NETWORKS["default"] = SMALL
    stores = [Store(data / "one" / f"{split}.zarr") for split in ("train", "validation")]
    settings = defaults.run_settings("psf_aware", stores[0], epochs=2, batch_size=16)
    train_store, validation = stores
    trainer.train(
        settings,
        train_store,
        validation_store=validation,
        folder=folder,
        device=torch.device("cpu"),
    )


def train_and_die(data: Path, folder: Path, moment: str) -> None:
    owner, name, number = MOMENTS[moment]
    whole, calls = getattr(owner, name), []

    def counted(*arguments, **options):
        calls.append(name)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **options)

    setattr(owner, name, counted)
    train(data, folder)


def save_forever(folder: Path, started) -> None:
    settings = checkpoint.load(folder / LAST)[1]
    number = 0
    while True:
        tensors = {str(i): torch.full((200, 200), float(number)) for i in range(8)}
        checkpoint.save(folder / LAST, tensors, settings=settings, state=number)
        if not number:
            started.set()
        number += 1


@pytest.fixture(scope="module")
def processes():
    """Processes forked from a small one that has loaded what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["npecat_train.training.loop", "torch._dynamo", __name__])
    return context


def run_in(processes, function, *arguments) -> int:
    process = processes.Process(target=function, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    for split, n_images in (("train", 64), ("validation", 16)):
        write_store(data, split, n_images, images_per_chunk=16)
    return data


@pytest.fixture(scope="module")
def undisturbed(processes, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "psf_aware"
    assert run_in(processes, train, data, folder) == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_ends_as_an_undisturbed_one(processes, data, undisturbed, tmp_path, moment):
    folder = tmp_path / "psf_aware"
    assert run_in(processes, train_and_die, data, folder, moment) == -signal.SIGKILL
    assert run_in(processes, train, data, folder) == 0
    assert contents(folder) == contents(undisturbed)
    assert contents(folder).keys() == {BEST, LAST, LOG, SETTINGS}


def test_a_hundred_kills_while_saving_leave_a_whole_checkpoint(processes, undisturbed, tmp_path):
    (tmp_path / LAST).write_bytes((undisturbed / LAST).read_bytes())
    moments = random.Random(0)
    n_interrupted = 0
    for _ in range(100):
        started = processes.Event()
        process = processes.Process(target=save_forever, args=(tmp_path, started))
        process.start()
        assert started.wait(60)
        time.sleep(moments.uniform(0, 0.04))
        process.kill()
        process.join()
        tensors, _, number = checkpoint.load(tmp_path / LAST)
        assert len(tensors) == 8
        assert all((tensor == number).all() for tensor in tensors.values())
        for unfinished in tmp_path.glob(".*.partial"):
            unfinished.unlink()
            n_interrupted += 1
    assert n_interrupted  # or no kill fell into a write
