"""Predictions of methods for a test set, and the truth that they are compared with."""

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
    """The prediction of one method for a test set.

    Parameters
    ----------
    detections : Detections
        Predicted sources.
    catalog : PredictedCatalog, optional
        The same sources with their posteriors; only for a network.
    tiles : TileScores, optional
        Scores of the posterior of all tiles; only for a network.
    """

    detections: Detections
    catalog: PredictedCatalog | None = None
    tiles: TileScores | None = None


class Truth:
    """The true catalog of a test set with its bins and selections.

    Parameters
    ----------
    catalog : Catalog
        True sources of all images.
    hidden : ndarray, optional
        bool (source,), in the order of Catalog.flat: sources on masked pixels, which no method has
        to find; none by default.

    Attributes
    ----------
    n_images : int
        Number of images.
    image : ndarray
        int (source,), in the order of Catalog.flat: index of the image of each source.
    magnitude, snr : ndarray
        float64 (source,): true r magnitude and SNR.
    hidden : ndarray
        bool (source,): whether the source is on a masked pixel.
    spans : dict of str to tuple of float
        Selection -> its range of r magnitude, see bins.selections.
    axes : list of Bins
        Bins of magnitude and of SNR.

    Raises
    ------
    NpecatError
        If no source is brighter than bins.MAGNITUDE_LIMIT.
    """

    def __init__(self, catalog: Catalog, *, hidden: np.ndarray | None = None) -> None:
        self.catalog = catalog
        self.n_images = len(catalog.count)
        table = catalog.flat()
        self.image, self.magnitude = table["image"], magnitude(table["flux"])
        self.snr = table["snr"].astype(np.float64)
        self.hidden = np.zeros(len(self.image), dtype=bool) if hidden is None else hidden
        bins = magnitude_bins(self.magnitude)
        self.spans = selections(bins)
        self.axes: list[Bins] = [bins, snr_bins(self.snr, self.magnitude)]

    def bound(self, flux_sigma: np.ndarray) -> Bound:
        """Return the physical bound, given the errors of bound.relative_flux_sigma, (source,)."""
        counted = np.where(self.hidden, np.nan, self.magnitude)
        return Bound(self.image, counted, self.snr, flux_sigma)


def predict_store(model: TileModel, store: Store, *, truth: Truth, label: str) -> Prediction:
    """Compute the prediction of a model for every image of a store, in one pass.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    store : Store
        Images with their true catalogs.
    truth : Truth
        True catalog of the store.
    label : str
        Title of the progress display.

    Returns
    -------
    Prediction
        With catalog and scores of the tiles.

    Raises
    ------
    NpecatError
        If the store is not encoded as the model's training store was.
    """
    found, scores, done = [], [], 0
    with progress(label, len(store)) as advance:
        for batch, posterior in store_posteriors(model, images_for(model, store)):
            found.append(decode(posterior, first_image=done))
            scores.append(TileScores.of(posterior, batch, spans=truth.spans, first_image=done))
            done += len(batch)
            advance(len(batch), "")
    catalog = PredictedCatalog.concatenate(found)
    return Prediction(catalog.detections, catalog, TileScores.concatenate(scores))
