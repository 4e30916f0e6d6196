"""Run a trained network over the images of a store and decode its posterior."""

import torch

from npecat_sim.progress import progress
from npecat_sim.store import Store
from npecat_train.cache import Streamed
from npecat_train.checkpoint import RunSettings
from npecat_train.decode import decode
from npecat_train.detections import Detections
from npecat_train.forward import tile_posterior
from npecat_train.loader import batches
from npecat_train.network import TileNetwork

BATCH_SIZE = 256


def predict(network: TileNetwork, settings: RunSettings, store: Store, label: str) -> Detections:
    """The point-estimate catalog of every image of a store."""
    images = Streamed(store, next(network.parameters()).device)
    found, done = [], 0
    with progress(label, len(store)) as advance, torch.inference_mode():
        for batch in batches(images, BATCH_SIZE):
            posterior = tile_posterior(network, settings.standardisation, settings.use_psf, batch)
            found.append(decode(posterior, first_image=done))
            done += len(batch)
            advance(len(batch), "")
    return Detections.concatenate(found)
