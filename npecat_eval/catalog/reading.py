"""What a model predicts for a whole survey image, in one pass.

A source whose place holds no data is left out, wherever the network puts it: where the reader put
zeros nothing is known of any source. The number of these is logged.
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
    """The posterior of a whole image: of each tile, and of neighbouring tiles together."""

    tiles: TilePosterior
    joined: JoinedTiles

    @classmethod
    def of(cls, image: SurveyImage, model: TileModel) -> "ImageReading":
        """The posterior of a survey image of any size, without sources that have no data."""
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
        """The sources of the image, positions in its 0-indexed pixels."""
        return catalog_of_tiles(self.tiles, self.joined, first_image=0)

    def draws(self, n: int, seed: int) -> CatalogDraws:
        """Draws of the whole catalog."""
        return draw_catalogs(self.tiles, self.joined, n, torch.Generator().manual_seed(seed))


def _has_data(tiles: TilePosterior, image: SurveyImage) -> torch.Tensor:
    """bool (1, row, column): whether the pixel in which a tile's source lies holds data."""
    flags = to_whole_tiles(image.flags, constant_values=PixelFlag.NO_DATA)
    x, y = [place.round().long().numpy() for place in places(tiles)]
    rows, columns = flags.shape
    at_source = flags[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    return torch.from_numpy(at_source & PixelFlag.NO_DATA == 0)
