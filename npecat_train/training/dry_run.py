"""What a run will cost, found out before it starts and without touching a file."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import Streamed, bytes_of, choose_home
from npecat_train.data.loader import batches, n_batches
from npecat_train.model import tile_posterior
from npecat_train.network.tile_network import TileNetwork
from npecat_train.settings import RunSettings
from npecat_train.training.learner import Learner

WARM_UP_STEPS, TRIAL_STEPS = 2, 10
"""Steps that are not timed, since the first ones allocate memory, and steps that are."""


@dataclass(frozen=True)
class Plan:
    """The cost of a run.

    n_parameters: of the network. gmac: 1e9 multiply-adds of one image's forward pass. n_steps: of
    the optimiser. home: where the stores are kept, None if they are streamed. cache_bytes: what
    they take there. process_bytes: of this process, or of the GPU, in the trial. images_per_second:
    trained in the trial, without compilation. seconds: of all epochs with their validations.
    """

    n_parameters: int
    gmac: float
    n_steps: int
    home: torch.device | None
    cache_bytes: int
    process_bytes: int
    images_per_second: float
    seconds: float


def plan(
    settings: RunSettings,
    train_store: Store,
    validation_store: Store,
    device: torch.device,
    cache: str,
    first: Store | None = None,
) -> Plan:
    """Time some steps and a validation on real images, and scale them up.

    first: see trainer.train.

    Raises NpecatError as choose_home does.
    """
    stores = (train_store, validation_store)
    home = choose_home(stores, device, cache, settings.epochs)
    batch = next(batches(Streamed(train_store, device), settings.batch_size))
    learner = Learner(settings, device, n_steps=0)
    training = _seconds(lambda: float(learner.step(batch, 0.0).sum()))
    validating = _seconds(lambda: learner.validate([batch]))
    passes = ([first] if first else []) + [train_store] * settings.epochs
    n_images = sum(map(len, passes)), len(passes) * len(validation_store)
    if device.type == "cuda":
        process_bytes = torch.cuda.max_memory_allocated(device)
    else:
        process_bytes = psutil.Process().memory_info().rss
    return Plan(
        n_parameters=sum(weights.numel() for weights in learner.network.parameters()),
        gmac=gmac(learner.network, settings, batch.rows(0, 1)),
        n_steps=n_batches([len(store) for store in passes], settings.batch_size),
        home=home,
        cache_bytes=sum(map(bytes_of, stores)) if home else 0,
        process_bytes=process_bytes,
        images_per_second=len(batch) / training,
        seconds=(training * n_images[0] + validating * n_images[1]) / len(batch),
    )


def gmac(network: TileNetwork, settings: RunSettings, image: TrainingBatch) -> float:
    """1e9 multiply-adds of the forward pass of a batch of one image."""
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        tile_posterior(network, settings, image)
    return counter.get_total_flops() / 2e9


def _seconds(work: Callable[[], object]) -> float:
    """Mean time of some work that waits for its result."""
    for _ in range(WARM_UP_STEPS):
        work()
    start = time.perf_counter()
    for _ in range(TRIAL_STEPS):
        work()
    return (time.perf_counter() - start) / TRIAL_STEPS
