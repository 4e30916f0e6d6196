"""Apply a model to the images of a store: posteriors and likelihoods."""

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
"""Images that the network reads together."""


def images_for(model: TileModel, store: Store) -> Iterator[TrainingBatch]:
    """Read all images of a store in their order, on the model's device.

    Parameters
    ----------
    model : TileModel
        Model that will read the images.
    store : Store
        Images with their true catalogs.

    Returns
    -------
    Iterator of TrainingBatch
        Batches of up to BATCH_SIZE images.

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
    """Compute the posterior of the tiles of each batch.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    stream : iterable of TrainingBatch
        See images_for.

    Yields
    ------
    batch : TrainingBatch
        As it came.
    posterior : TilePosterior
        (batch, row, column).
    """
    for batch in stream:
        yield batch, model.posterior(batch)


def negative_log_likelihoods(
    model: TileModel, stream: Iterable[TrainingBatch]
) -> dict[str, np.ndarray]:
    """Compute the negative log-likelihood of the true tile catalog of each image.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    stream : iterable of TrainingBatch
        See images_for.

    Returns
    -------
    dict of str to ndarray
        Factor of the posterior -> float32 (image,), nats.
    """
    losses: dict[str, list[Tensor]] = {}
    for batch in stream:
        for name, log_prob in model.log_prob(batch).items():
            losses.setdefault(name, []).append(-log_prob)
    return {name: torch.cat(parts).cpu().numpy() for name, parts in losses.items()}
