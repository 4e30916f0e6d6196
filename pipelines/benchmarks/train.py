"""Speed and memory of training: ``python -m npecat.benchmarks.train``.

Streams a store without training, then trains on it while it streams, compiled as a long run is.
Then the default network and ``wide`` take turns on the same batch, so that whatever else the
machine does slows both alike: both train compiled, some steps with batch norm moving and some with
it held, as a run does, and both read as ``npecat catalog`` does.

With ``--busy`` it measures instead what a CPU trains alone and beside a process that keeps one core
busy: the default, one thread, and PyTorch's OpenMP threads, which the default is not
(npecat_train/training/lanes.py), take turns. That takes one to two minutes, and as many more to
compile if ``--compiled``.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import click
import numpy as np
import torch

from npecat.commands.options import STORE_ARGUMENT
from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import CPU, Images, Streamed
from npecat_train.data.loader import batches
from npecat_train.model import tile_posterior
from npecat_train.network.tile_network import NETWORKS
from npecat_train.settings import RunSettings
from npecat_train.training.distributed import joined
from npecat_train.training.lanes import Lanes
from npecat_train.training.learner import LEAST_COMPILED_STEPS, Learner
from npecat_train.training.loop import BATCH_SIZES, run_settings
from npecat_train.training.schedule import HELD_SHARE

from .simulate import peak_memory

BATCH_IN_TURN = 64
"""Images of the batch that both networks take: enough to keep either of them busy."""

RATE = 1e-4
"""Of learning, low enough that no network goes astray."""

STEPS_IN_TURN = 8
"""Of each way to use the cores, a second or two, before it is the turn of the next."""


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time of some work, until the device has done it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def loader_rate(images: Images, batch_size: int) -> float:
    """Images per second that one epoch of streaming gives."""
    return len(images) / seconds(
        lambda: [None for _ in batches(images, batch_size, shuffle=(0, 0))], images.device
    )


def training_rate(learner: Learner, images: Images, n_steps: int) -> tuple[float, float]:
    """Images per second trained while streaming, and the share of the time that waits for data."""
    stream = batches(images, learner.settings.batch_size, shuffle=(0, 0))
    for batch in islice(stream, 3):
        learner.step(batch, RATE)
    waited, n_images = 0.0, 0

    def steps() -> None:
        nonlocal waited, n_images
        for _ in range(n_steps):
            asked = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - asked
            learner.step(batch, RATE)
            n_images += len(batch)

    total = seconds(steps, images.device)
    return n_images / total, waited / total


def rates_in_turn(
    learners: dict[str, Learner], batch: TrainingBatch, rounds: int
) -> dict[str, tuple[float, float]]:
    """Images per second in training and in inference by name, medians over the rounds.

    Training's is that of a whole run, which holds batch norm in a share of its steps.
    """
    readers = {
        name: deepcopy(learner.network).for_inference() for name, learner in learners.items()
    }

    def infer(name: str) -> None:
        with torch.inference_mode():
            tile_posterior(readers[name], learners[name].settings, batch)

    times: dict[str, list[list[float]]] = {name: [] for name in learners}
    for _ in range(1 + rounds):  # the first one compiles
        for name, learner in learners.items():
            works: list[Callable[[], object]] = [
                partial(learner.step, batch, RATE, hold_norm=False),
                partial(learner.step, batch, RATE, hold_norm=True),
                partial(infer, name),
            ]
            times[name].append([seconds(work, learner.device) for work in works])
    rates = {}
    for name, taken in times.items():
        moving, held, inference = np.median(taken[1:], axis=0)
        training = (1 - HELD_SHARE) * moving + HELD_SHARE * held
        rates[name] = (len(batch) / training, len(batch) / inference)
    return rates


@contextmanager
def busy_process() -> Iterator[None]:
    """Another process that always has something to do, as long as this lasts."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Trainer:
    """A way to use the cores: a learner of a batch with so many threads, in lanes or in none."""

    def __init__(self, settings: RunSettings, n_threads: int, in_lanes: bool, n_steps: int) -> None:
        torch.set_num_threads(n_threads)
        self.n_threads, self.learner = n_threads, Learner(settings, CPU, n_steps)
        if not in_lanes:
            self.learner.lanes = Lanes(self.learner.network, 1, n_threads)

    def rate(self, batch: TrainingBatch) -> float:
        """Images per second, with batch norm held in as many steps as in a run."""
        torch.set_num_threads(self.n_threads)

        def step(number: int) -> None:
            self.learner.step(batch, RATE, hold_norm=number >= (1 - HELD_SHARE) * STEPS_IN_TURN)

        for number in (0, STEPS_IN_TURN):  # not timed; the very first ones compile
            step(number)
        return len(batch) * STEPS_IN_TURN / seconds(lambda: [*map(step, range(STEPS_IN_TURN))], CPU)


def bench_busy(settings: RunSettings, batch: TrainingBatch, rounds: int, n_steps: int) -> None:
    """Print what the default and its alternatives train, alone and beside a busy process."""
    threads = torch.get_num_threads()
    default = Trainer(settings, threads, True, n_steps)
    trainers = {
        f"default, {len(default.learner.lanes.networks)} lanes": default,
        "one thread": Trainer(settings, 1, True, n_steps),
        f"{threads} OpenMP threads": Trainer(settings, threads, False, n_steps),
    }
    rates = np.empty((2, rounds, len(trainers)))
    for trainer in trainers.values():
        trainer.rate(batch)
    for turn in range(rounds):
        rates[0, turn] = [trainer.rate(batch) for trainer in trainers.values()]
        with busy_process():
            rates[1, turn] = [trainer.rate(batch) for trainer in trainers.values()]
    torch.set_num_threads(threads)
    print(f"batches of {len(batch)}, images/s, median of {rounds} turns (least to most)")
    print(f"{'':<20}{'alone':<26}beside a busy process")
    for index, name in enumerate(trainers):
        told = [
            f"{np.median(some):,.1f} ({some.min():,.1f} to {some.max():,.1f})"
            for some in rates[:, :, index]
        ]
        print(f"{name:<20}{told[0]:<26}{told[1]}")
    ours, _, openmp = rates[0].T
    print(f"alone: default / {threads} OpenMP threads  {np.median(ours / openmp):.2f} times")
    ours, one, _ = rates[1].T
    print(f"busy: default / one thread  {np.median(ours / one):.2f} times")


@click.command(context_settings={"show_default": True})
@STORE_ARGUMENT
@click.option("--batch-size", type=click.IntRange(min=1), help="As npecat train.")
@click.option("--steps", default=100, help="Of training while streaming; one epoch at most.")
@click.option("--rounds", default=5, help="Of all that takes turns.")
@click.option("--busy", is_flag=True, help="Compare ways to use the cores beside a busy process.")
@click.option("--compiled", is_flag=True, help="With --busy: train compiled, as a long run does.")
def bench_train(
    path: Path, batch_size: int | None, steps: int, rounds: int, busy: bool, compiled: bool
) -> None:
    """Measure how fast networks train on STORE."""
    store = Store(path)
    if busy:
        size = batch_size or BATCH_SIZES["cpu"]
        one = run_settings("psf_aware", store, epochs=1, batch_size=size)
        batch = next(batches(Streamed(store, CPU), size))
        return bench_busy(one, batch, rounds, LEAST_COMPILED_STEPS if compiled else 0)
    with joined() as (_, device):
        size = batch_size or BATCH_SIZES[device.type]
        images = Streamed(store, device)
        settings = {
            n: run_settings("psf_aware", store, epochs=1, batch_size=size, network=n)
            for n in NETWORKS
        }
        loader = loader_rate(images, size)
        learner = Learner(settings["default"], device, LEAST_COMPILED_STEPS)
        training, waiting = training_rate(learner, images, min(steps, len(store) // size - 3))
        on_gpu = device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(device) if on_gpu else peak_memory()
        print(f"on {device}, batches of {size}, {torch.get_num_threads()} threads")
        print(f"loader        {loader:,.0f} images/s, {loader / training:.1f} times training's")
        print(f"training      {training:,.0f} images/s, {waiting:.2%} of the time waits for data")
        print(f"peak memory   {memory / 1e9:.2f} GB")
        settings = {name: replace(one, batch_size=BATCH_IN_TURN) for name, one in settings.items()}
        learners = {n: Learner(one, device, LEAST_COMPILED_STEPS) for n, one in settings.items()}
        rates = rates_in_turn(learners, next(batches(images, BATCH_IN_TURN)), rounds)
        print(f"in turn, batches of {BATCH_IN_TURN}, images/s")
        for index, what in enumerate(("training", "inference")):
            fast, wide = rates["default"][index], rates["wide"][index]
            print(f"{what:<14}{fast:,.1f}, wide {wide:,.2f}: {fast / wide:.1f} times")


if __name__ == "__main__":
    bench_train()
