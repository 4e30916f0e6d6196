"""The predictions of a model for a whole survey image, in one pass.

A source whose predicted position lies in a pixel without data is left out: such pixels are filled
with zeros, which hold no information on sources. The number of sources left out is logged.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from npecat_eval.catalog.blocks import field_posterior, to_whole_tiles
from npecat_eval.catalog.decode import (
    DETECTION_THRESHOLD,
    JoinedTiles,
    catalog_of_tiles,
    join,
    places,
)
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.samples import CatalogDraws, draw_catalogs
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_train.model import TileModel
from npecat_train.posterior.tile_posterior import TilePosterior

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageReading:
    """The posterior of a whole survey image.

    Parameters
    ----------
    tiles : TilePosterior
        Posterior of each tile, (1, row, column), on the CPU.
    joined : JoinedTiles
        Probabilities of sources after neighbouring tiles are joined.
    """

    tiles: TilePosterior
    joined: JoinedTiles

    @classmethod
    def of(cls, image: SurveyImage, model: TileModel) -> "ImageReading":
        """Compute the posterior of a survey image of any size, without sources that have no data.

        Parameters
        ----------
        image : SurveyImage
            Image with its sky, PSF and pixel flags.
        model : TileModel
            Network that predicts the posterior.

        Returns
        -------
        ImageReading
        """
        tiles = field_posterior(model, image)
        joined = join(tiles)
        has_data = _has_data(tiles, image)
        n_lost = int((joined.located[~has_data] > DETECTION_THRESHOLD).sum())
        if n_lost:
            log.warning("%s: %d detections left out, where there is no data", image.name, n_lost)
        probability, located = [
            p.where(has_data, 0.0) for p in (joined.probability, joined.located)
        ]
        return cls(tiles, replace(joined, probability=probability, located=located))

    def catalog(self) -> PredictedCatalog:
        """Derive the catalog of the image, with positions in its 0-indexed pixels."""
        return catalog_of_tiles(self.tiles, self.joined, first_image=0)

    def draws(self, n: int, seed: int) -> CatalogDraws:
        """Draw n whole catalogs from the posterior; the same seed gives the same draws."""
        return draw_catalogs(
            self.tiles, self.joined, n=n, generator=torch.Generator().manual_seed(seed)
        )


def _has_data(tiles: TilePosterior, image: SurveyImage) -> torch.Tensor:
    """Whether the pixel at the position of a tile's source holds data: bool (1, row, column)."""
    flags = to_whole_tiles(image.flags, constant_values=PixelFlag.NO_DATA)
    x, y = [place.round().long().numpy() for place in places(tiles)]
    rows, columns = flags.shape
    at_source = flags[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    return torch.from_numpy(at_source & PixelFlag.NO_DATA == 0)
