"""Speed and memory of training: ``python -m npecat.benchmarks.train``.

It streams a store without training, then trains on it while it streams, compiled as a long run is.
Then the default network and ``ancestor`` take turns on the same batch, so that other work of the
machine slows both alike. Both train compiled, some steps with moving batch norm and some with batch
norm held, as in a run, and both predict as ``npecat catalog`` does.

With ``--busy`` it measures instead the speed of training on a CPU, alone and beside a process that
keeps one core busy. Three ways to use the cores take turns: the default
(npecat_train/training/lanes.py), one thread, and PyTorch's OpenMP threads. This takes one to two
minutes, and as long again to compile with ``--compiled``.
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

import click
import numpy as np
import torch

from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import CPU, Images, Streamed
from npecat_train.data.loader import batches
from npecat_train.model import tile_posterior
from npecat_train.settings import RunSettings
from npecat_train.training.defaults import BATCH_SIZES, run_settings
from npecat_train.training.distributed import joined
from npecat_train.training.lanes import Lanes
from npecat_train.training.learner import MIN_COMPILED_STEPS, Learner
from npecat_train.training.schedule import HELD_SHARE

from ..commands.options import STORE_ARGUMENT
from .simulate import peak_memory

BATCH_IN_TURN = 64
"""Images of the batch that both networks take: enough to keep all cores busy."""

RATE = 1e-4
"""Learning rate, low enough that no network diverges."""

STEPS_IN_TURN = 8
"""Steps of each way to use the cores in a turn, which take one or two seconds."""


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time that some work takes until the device has finished it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def loader_rate(images: Images, batch_size: int) -> float:
    """Images per second in one epoch of streaming."""
    return len(images) / seconds(
        lambda: [None for _ in batches(images, batch_size, shuffle=(0, 0))], images.device
    )


def training_rate(learner: Learner, images: Images, *, n_steps: int) -> tuple[float, float]:
    """Measure training while streaming.

    Parameters
    ----------
    learner : Learner
        The network to train.
    images : Images
        Where the images are read from.
    n_steps : int
        Number of timed steps; the images must make at least three batches more than that.

    Returns
    -------
    rate : float
        Images per second.
    waiting : float
        Share of the time in which training waits for data.
    """
    stream = batches(images, learner.settings.batch_size, shuffle=(0, 0))
    for batch in islice(stream, 3):
        learner.step(batch, RATE)
    waited, n_images = 0.0, 0

    def steps() -> None:
        """Train, and count the time that reading takes."""
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
    learners: dict[str, Learner], batch: TrainingBatch, *, rounds: int
) -> dict[str, tuple[float, float]]:
    """Measure training and inference of networks that take turns.

    Parameters
    ----------
    learners : dict of str to Learner
        Networks by name.
    batch : TrainingBatch
        The images that all of them take.
    rounds : int
        Number of turns.

    Returns
    -------
    dict of str to tuple
        Name -> images per second in training and in inference, from the median times of the
        rounds. Training is that of a whole run, which holds batch norm in a share of its steps.
    """
    readers = {
        name: deepcopy(learner.network).for_inference() for name, learner in learners.items()
    }

    def infer(name: str) -> None:
        """Predict the posteriors of the batch."""
        with torch.inference_mode():
            tile_posterior(readers[name], batch, settings=learners[name].settings)

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
    """Keep one core busy with another process inside the context."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Trainer:
    """A learner that uses the cores in one way.

    Parameters
    ----------
    settings : RunSettings
        Of the training.
    n_threads : int
        Number of threads.
    in_lanes : bool
        Whether the threads are lanes, see npecat_train/training/lanes.py, or OpenMP threads.
    n_steps : int
        Length of the run, which decides whether it is compiled.
    """

    def __init__(
        self, settings: RunSettings, n_threads: int, *, in_lanes: bool, n_steps: int
    ) -> None:
        torch.set_num_threads(n_threads)
        self.n_threads = n_threads
        self.learner = Learner(settings, CPU, n_steps=n_steps)
        if not in_lanes:
            self.learner.lanes = Lanes(self.learner.network, 1, n_threads=n_threads)

    def rate(self, batch: TrainingBatch) -> float:
        """Images per second, with batch norm held in as many steps as in a run."""
        torch.set_num_threads(self.n_threads)

        def step(number: int) -> None:
            """Train one step of a turn."""
            self.learner.step(batch, RATE, hold_norm=number >= (1 - HELD_SHARE) * STEPS_IN_TURN)

        for number in (0, STEPS_IN_TURN):  # not timed; the very first ones compile
            step(number)
        return len(batch) * STEPS_IN_TURN / seconds(lambda: [*map(step, range(STEPS_IN_TURN))], CPU)


def bench_busy(settings: RunSettings, batch: TrainingBatch, *, rounds: int, n_steps: int) -> None:
    """Print the speed of the default and its alternatives, alone and beside a busy process.

    Parameters
    ----------
    settings : RunSettings
        Of the training.
    batch : TrainingBatch
        The images that all of them take.
    rounds : int
        Number of turns.
    n_steps : int
        Length of the run, which decides whether it is compiled.
    """
    threads = torch.get_num_threads()
    default = Trainer(settings, threads, in_lanes=True, n_steps=n_steps)
    trainers = {
        f"default, {len(default.learner.lanes.networks)} lanes": default,
        "one thread": Trainer(settings, 1, in_lanes=True, n_steps=n_steps),
        f"{threads} OpenMP threads": Trainer(settings, threads, in_lanes=False, n_steps=n_steps),
    }
    alone, busy = np.empty((2, rounds, len(trainers)))
    for trainer in trainers.values():
        trainer.rate(batch)
    for turn in range(rounds):
        alone[turn] = [trainer.rate(batch) for trainer in trainers.values()]
        with busy_process():
            busy[turn] = [trainer.rate(batch) for trainer in trainers.values()]
    torch.set_num_threads(threads)
    print(f"batches of {len(batch)}, images/s, median of {rounds} turns (minimum to maximum)")
    print(f"{'':<20}{'alone':<26}beside a busy process")
    for index, name in enumerate(trainers):
        of_alone, of_busy = [
            f"{np.median(rates):,.1f} ({rates.min():,.1f} to {rates.max():,.1f})"
            for rates in (alone[:, index], busy[:, index])
        ]
        print(f"{name:<20}{of_alone:<26}{of_busy}")
    ours, _, openmp = alone.T
    print(f"alone: default / {threads} OpenMP threads  {np.median(ours / openmp):.2f} times")
    ours, one, _ = busy.T
    print(f"busy: default / one thread  {np.median(ours / one):.2f} times")


@click.command(context_settings={"show_default": True})
@STORE_ARGUMENT
@click.option("--batch-size", type=click.IntRange(min=1), help="As npecat train.")
@click.option("--steps", default=100, help="Of training while streaming; one epoch at most.")
@click.option("--rounds", default=5, help="Of all that takes turns.")
@click.option("--busy", is_flag=True, help="Compare ways to use the cores beside a busy process.")
@click.option("--compiled", is_flag=True, help="With --busy: train compiled, as a long run does.")
def bench_train(
    path: Location, batch_size: int | None, steps: int, rounds: int, busy: bool, compiled: bool
) -> None:
    """Measure how fast networks train on STORE."""
    store = Store(path)
    if busy:
        size = batch_size or BATCH_SIZES["cpu"]
        one = run_settings("psf_aware", store, epochs=1, batch_size=size)
        batch = next(batches(Streamed(store, CPU), size))
        n_steps = MIN_COMPILED_STEPS if compiled else 0
        return bench_busy(one, batch, rounds=rounds, n_steps=n_steps)
    with joined() as (_, device):
        size = batch_size or BATCH_SIZES[device.type]
        images = Streamed(store, device)
        settings = {
            n: run_settings("psf_aware", store, epochs=1, batch_size=size, network=n)
            for n in ("default", "ancestor")
        }
        loader = loader_rate(images, size)
        learner = Learner(settings["default"], device, n_steps=MIN_COMPILED_STEPS)
        training, waiting = training_rate(
            learner, images, n_steps=min(steps, len(store) // size - 3)
        )
        on_gpu = device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(device) if on_gpu else peak_memory()
        print(f"on {device}, batches of {size}, {torch.get_num_threads()} threads")
        print(f"loader        {loader:,.0f} images/s, {loader / training:.1f} times training's")
        print(f"training      {training:,.0f} images/s, {waiting:.2%} of the time waits for data")
        print(f"peak memory   {memory / 1e9:.2f} GB")
        settings = {name: replace(one, batch_size=BATCH_IN_TURN) for name, one in settings.items()}
        learners = {
            n: Learner(one, device, n_steps=MIN_COMPILED_STEPS) for n, one in settings.items()
        }
        rates = rates_in_turn(learners, next(batches(images, BATCH_IN_TURN)), rounds=rounds)
        print(f"in turn, batches of {BATCH_IN_TURN}, images/s")
        by_work = zip(("training", "inference"), rates["default"], rates["ancestor"], strict=True)
        for what, fast, wide in by_work:
            print(f"{what:<14}{fast:,.1f}, ancestor {wide:,.2f}: {fast / wide:.1f} times")


if __name__ == "__main__":
    bench_train()
