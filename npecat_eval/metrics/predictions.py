"""One pass of a network over a test store: its catalog and the scores of its tiles."""

from npecat_eval.catalog.decode import decode
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.store_catalog import images_for, posteriors
from npecat_eval.metrics.table import Prediction, Truth
from npecat_eval.metrics.tile_scores import TileScores
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_train.checkpoint import RunSettings
from npecat_train.network.tile_network import TileNetwork


def judge(
    network: TileNetwork, settings: RunSettings, store: Store, truth: Truth, label: str
) -> Prediction:
    """What a network says of every image of a store; ``truth`` is the store's."""
    found, scores, done = [], [], 0
    with progress(label, len(store)) as advance:
        for batch, posterior in posteriors(network, settings, images_for(network, settings, store)):
            found.append(decode(posterior, first_image=done))
            scores.append(TileScores.of(posterior, batch, truth.spans, first_image=done))
            done += len(batch)
            advance(len(batch), "")
    catalog = PredictedCatalog.concatenate(found)
    return Prediction(catalog.detections, catalog, TileScores.concatenate(scores))
