"""What methods predict for a test set, and the truth that it is held against."""

from dataclasses import dataclass

import numpy as np

from npecat_eval.catalog.decode import decode
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.store_catalog import images_for, store_posteriors
from npecat_eval.metrics.bins import Bins, magnitude_bins, selections, snr_bins
from npecat_eval.metrics.bound import Bound
from npecat_eval.metrics.tile_scores import TileScores
from npecat_sim.model.catalog import Catalog
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_sim.units import magnitude
from npecat_train.model import TileModel


@dataclass(frozen=True)
class Prediction:
    """What one method says of a test set: its detections and, of a network, its posteriors."""

    detections: Detections
    catalog: PredictedCatalog | None = None
    tiles: TileScores | None = None


class Truth:
    """The true catalog of a test set with its bins and selections.

    Raises NpecatError where no source is bright enough.
    """

    def __init__(self, catalog: Catalog):
        self.catalog = catalog
        self.n_images = len(catalog.count)
        table = catalog.flat()
        self.image, self.magnitude = table["image"], magnitude(table["flux"])
        self.snr = table["snr"].astype(np.float64)
        bins = magnitude_bins(self.magnitude)
        self.spans = selections(bins)
        self.axes: list[Bins] = [bins, snr_bins(self.snr, self.magnitude)]

    def bound(self, flux_sigma: np.ndarray) -> Bound:
        """The physical bound; flux_sigma: see Bound."""
        return Bound(self.image, self.magnitude, self.snr, flux_sigma)


def predict_store(model: TileModel, store: Store, truth: Truth, *, label: str) -> Prediction:
    """What a model predicts for every image of a store, in one pass.

    Parameters
    ----------
    model : TileModel
    store : Store
    truth : Truth
        Of the store.
    label : str
        Of the progress that is shown.

    Returns
    -------
    Prediction
        The catalog, and the scores of its tiles.

    Raises
    ------
    NpecatError
        If the store is not encoded as the model's training store was.
    """
    found, scores, done = [], [], 0
    with progress(label, len(store)) as advance:
        for batch, posterior in store_posteriors(model, images_for(model, store)):
            found.append(decode(posterior, first_image=done))
            scores.append(TileScores.of(posterior, batch, truth.spans, first_image=done))
            done += len(batch)
            advance(len(batch), "")
    catalog = PredictedCatalog.concatenate(found)
    return Prediction(catalog.detections, catalog, TileScores.concatenate(scores))
