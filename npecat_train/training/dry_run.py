"""The cost of a run, estimated before it starts and without touching a file."""

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

WARM_UP_STEPS = 2
"""Steps that are not timed, since the first ones allocate memory."""

TRIAL_STEPS = 10
"""Steps that are timed."""


@dataclass(frozen=True)
class Plan:
    """The cost of a run.

    Parameters
    ----------
    n_parameters : int
        Of the network.
    gmac : float
        Multiply-adds of the forward pass of one image, 1e9.
    n_steps : int
        Of the optimiser.
    home : torch.device or None
        The device in whose memory the stores are kept; None if they are streamed.
    cache_bytes : int
        Memory that the stores take there.
    process_bytes : int
        Memory of this process, or on a GPU the largest that it had there, in the trial.
    images_per_second : float
        Speed of training in the trial, without compilation.
    seconds : float
        Of all epochs with their validations.
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
    *,
    validation_store: Store,
    device: torch.device,
    cache: str,
    first: Store | None = None,
) -> Plan:
    """Time some steps and validations on images of the store, and scale them up.

    Parameters
    ----------
    settings : RunSettings
        Of the run.
    train_store, validation_store : Store
        Its images.
    device : torch.device
        Where it trains.
    cache : str
        See cache.choose_home.
    first : Store, optional
        Crowded images, passed over first.

    Raises
    ------
    NpecatError
        If the stores do not fit where ``cache`` wants them.
    """
    stores = (train_store, validation_store)
    home = choose_home(stores, device, cache=cache, passes=settings.epochs)
    batch = next(batches(Streamed(train_store, device), settings.batch_size))
    learner = Learner(settings, device, n_steps=0)
    training = _seconds(lambda: float(learner.step(batch, 0.0).sum()))
    validating = _seconds(lambda: learner.validate([batch]))
    passes = ([first] if first else []) + [train_store] * settings.epochs
    n_trained, n_validated = sum(map(len, passes)), len(passes) * len(validation_store)
    if device.type == "cuda":
        process_bytes = torch.cuda.max_memory_allocated(device)
    else:
        process_bytes = psutil.Process().memory_info().rss
    return Plan(
        n_parameters=sum(weights.numel() for weights in learner.network.parameters()),
        gmac=gmac(learner.network, settings, image=batch.rows(0, 1)),
        n_steps=n_batches([len(store) for store in passes], settings.batch_size),
        home=home,
        cache_bytes=sum(map(bytes_of, stores)) if home else 0,
        process_bytes=process_bytes,
        images_per_second=len(batch) / training,
        seconds=(training * n_trained + validating * n_validated) / len(batch),
    )


def gmac(network: TileNetwork, settings: RunSettings, *, image: TrainingBatch) -> float:
    """Count the multiply-adds of a forward pass, 1e9.

    Parameters
    ----------
    network : TileNetwork
        On the image's device.
    settings : RunSettings
        Of the network.
    image : TrainingBatch
        A batch of one image.
    """
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        tile_posterior(network, image, settings=settings)
    n_flops: int = counter.get_total_flops()
    return n_flops / 2e9


def _seconds(work: Callable[[], object]) -> float:
    """Mean time of some work that waits for its result, seconds."""
    for _ in range(WARM_UP_STEPS):
        work()
    start = time.perf_counter()
    for _ in range(TRIAL_STEPS):
        work()
    return (time.perf_counter() - start) / TRIAL_STEPS
