"""Run a model over the images of a store: their posteriors and their likelihoods."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.model import TileModel
from npecat_train.posterior.tile_posterior import TilePosterior

BATCH_SIZE = 256


def images_for(model: TileModel, store: Store) -> Iterator[TrainingBatch]:
    """All images of a store in its own order, on the model's device.

    Raises
    ------
    NpecatError
        If the store is not encoded as the model's training store was.
    """
    model.settings.encoding.refuse_other(store)
    return batches(Streamed(store, model.device), BATCH_SIZE)


def store_posteriors(
    model: TileModel, stream: Iterable[TrainingBatch]
) -> Iterator[tuple[TrainingBatch, TilePosterior]]:
    """Each batch and the posterior of its tiles."""
    for batch in stream:
        yield batch, model.posterior(batch)


def negative_log_likelihoods(
    model: TileModel, stream: Iterable[TrainingBatch]
) -> dict[str, np.ndarray]:
    """Of each image's true tile catalog by factor, nats: float32 (image,)."""
    losses: dict[str, list[Tensor]] = {}
    for batch in stream:
        for name, log_prob in model.log_prob(batch).items():
            losses.setdefault(name, []).append(-log_prob)
    return {name: torch.cat(parts).cpu().numpy() for name, parts in losses.items()}
