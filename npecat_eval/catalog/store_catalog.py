"""Run a network over many images: their posteriors and their likelihoods."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from npecat_sim.store.reader import Store
from npecat_train.checkpoint import RunSettings
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.model import image_losses, tile_posterior
from npecat_train.network.tile_network import TileNetwork
from npecat_train.posterior.tile_posterior import TilePosterior

BATCH_SIZE = 256


def images_for(
    network: TileNetwork, settings: RunSettings, store: Store
) -> Iterator[TrainingBatch]:
    """All images of a store in its own order, on the network's device.

    Raises NpecatError where the store is not encoded as the network's training store was.
    """
    settings.encoding.refuse_other(store)
    return batches(Streamed(store, next(network.parameters()).device), BATCH_SIZE)


def posteriors(
    network: TileNetwork, settings: RunSettings, stream: Iterable[TrainingBatch]
) -> Iterator[tuple[TrainingBatch, TilePosterior]]:
    """Each batch and the posterior of its tiles."""
    for batch in stream:
        with torch.inference_mode():
            posterior = tile_posterior(network, settings, batch)
        yield batch, posterior


def negative_log_likelihoods(
    network: TileNetwork, settings: RunSettings, stream: Iterable[TrainingBatch]
) -> dict[str, np.ndarray]:
    """Of each image's true tile catalog by factor, nats: float32 (image,)."""
    losses: dict[str, list[Tensor]] = {}
    for batch, posterior in posteriors(network, settings, stream):
        for name, loss in image_losses(posterior, batch).items():
            losses.setdefault(name, []).append(loss)
    return {name: torch.cat(parts).cpu().numpy() for name, parts in losses.items()}
