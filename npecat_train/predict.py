"""Run a trained network over the images of a store and read a catalog off its posterior."""

import numpy as np
import torch

from npecat_sim.progress import progress
from npecat_sim.store import Store
from npecat_train.checkpoint import RunSettings
from npecat_train.detections import Detections
from npecat_train.forward import tile_posterior
from npecat_train.loader import batches
from npecat_train.network import TILE_SIZE, TileNetwork
from npecat_train.posterior import TilePosterior

BATCH_SIZE = 256
DETECTION_THRESHOLD = 0.5
"""A tile whose P(source) exceeds this gives a source (section 7 of the paper)."""


def predict(network: TileNetwork, settings: RunSettings, store: Store, label: str) -> Detections:
    """The point-estimate catalog of every image of a store."""
    device = next(network.parameters()).device
    found, done = [], 0
    with progress(label, len(store)) as advance, torch.inference_mode():
        for batch in batches(store, BATCH_SIZE):
            posterior = tile_posterior(
                network, settings.standardisation, settings.use_psf, batch.to(device)
            )
            found.append(decode(posterior, first_image=done))
            done += len(batch.images)
            advance(len(batch.images))
    names = Detections.__dataclass_fields__
    return Detections(**{n: np.concatenate([getattr(d, n) for d in found]) for n in names})


def decode(posterior: TilePosterior, first_image: int = 0) -> Detections:
    """One source from each tile whose P(source) exceeds one half.

    Position and flux are the posterior's mean and median; ``first_image`` is the index that the
    first image of the batch gets.
    """
    prob_source = torch.sigmoid(posterior.source_logit)
    image, row, column = torch.nonzero(prob_source > DETECTION_THRESHOLD, as_tuple=True)

    def at(values: torch.Tensor) -> np.ndarray:
        return values[image, row, column].double().cpu().numpy()

    return Detections(
        image=image.cpu().numpy() + first_image,
        x=at(posterior.x.mean()) + TILE_SIZE * column.cpu().numpy() - 0.5,
        y=at(posterior.y.mean()) + TILE_SIZE * row.cpu().numpy() - 0.5,
        flux=at(posterior.flux.median()),
        prob_source=at(prob_source),
        prob_galaxy=at(torch.sigmoid(posterior.galaxy_logit)),
    )
