"""Speed and memory of training: ``python -m npecat.benchmarks.train``.

Streams a store without training, then trains on it while it streams, compiled as a long run is.
Then the default network and ``wide`` take turns on the same batch, so that whatever else the
machine does slows both alike: both train compiled, some steps with batch norm moving and some with
it held, as a run does, and both read as ``npecat catalog`` does.
"""

import time
from collections.abc import Callable
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
from npecat_train.data.cache import Images, Streamed
from npecat_train.data.loader import batches
from npecat_train.model import tile_posterior
from npecat_train.network.tile_network import NETWORKS
from npecat_train.training.distributed import joined
from npecat_train.training.learner import LEAST_COMPILED_STEPS, Learner
from npecat_train.training.loop import BATCH_SIZES, run_settings
from npecat_train.training.schedule import HELD_SHARE

from .simulate import peak_memory

BATCH_IN_TURN = 64
"""Images of the batch that both networks take: enough to keep either of them busy."""

RATE = 1e-4
"""Of learning, low enough that no network goes astray."""


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
        lambda: [None for _ in batches(images, batch_size, (0, 0))], images.device
    )


def training_rate(learner: Learner, images: Images, n_steps: int) -> tuple[float, float]:
    """Images per second trained while streaming, and the share of the time that waits for data."""
    stream = batches(images, learner.settings.batch_size, (0, 0))
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


@click.command(context_settings={"show_default": True})
@STORE_ARGUMENT
@click.option("--batch-size", type=click.IntRange(min=1), help="As npecat train.")
@click.option("--steps", default=100, help="Of training while streaming; one epoch at most.")
@click.option("--rounds", default=5, help="Of the comparison with wide.")
def bench_train(path: Path, batch_size: int | None, steps: int, rounds: int) -> None:
    """Measure how fast networks train on STORE."""
    store = Store(path, "npecat simulate --prior many --n 20000")
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
