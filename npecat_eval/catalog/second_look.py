"""A second look at bright detections without a row, with each in the middle of a tile.

Tiles do not know of each other: at a border each doubts that a source is its own, and where the PSF
is unlike those in training they may all say no. So where SEP sees a bright source and the catalog
none, the network reads a cutout whose tiles lie so that the source is in the middle of one. What
that tile gives, if it is sure enough for the catalog, is added.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from npecat_eval.catalog.decode import DETECTION_THRESHOLD, near_mean
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.observe import Observation
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.samples import CatalogDraws
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_train.model import TileModel
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import concatenate
from npecat_train.posterior.tile_posterior import TilePosterior
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal

CUTOUTS_AT_ONCE = 64
"""Cutouts that the network reads together. For a network of variant wide they are no larger than
images in training, which it reads twelve times as fast as with all that a tile may depend on."""


@dataclass(frozen=True)
class SecondLook:
    """Sources that were found on a second look.

    Parameters
    ----------
    tiles : TilePosterior
        (source,), on the CPU: the posterior of the tile around each.
    left, bottom : Tensor
        float32 (source,): lower edges of these tiles, 0-indexed pixels of the image.
    """

    tiles: TilePosterior
    left: Tensor
    bottom: Tensor

    @classmethod
    def at(
        cls, x: np.ndarray, y: np.ndarray, *, observed: Observation, model: TileModel
    ) -> "SecondLook | None":
        """Look at some places of an image, and keep the sources that a catalog would list.

        Parameters
        ----------
        x, y : ndarray
            (place,), 0-indexed pixels.
        observed : Observation
            The image, with what the network is told of it.
        model : TileModel
            Network that predicts the posterior.

        Returns
        -------
        SecondLook or None
            None if there is no place.
        """
        if len(x) == 0:
            return None
        # The middle of a tile lies between its second and its third pixel.
        column, row = [
            (np.floor(at).astype(int) - TILE_SIZE // 2 + 1).clip(0, length - TILE_SIZE)
            for at, length in zip((x, y), observed.image.image.shape[::-1], strict=True)
        ]
        parts = [
            _middle_tiles(
                observed, model, row[start:][:CUTOUTS_AT_ONCE], column[start:][:CUTOUTS_AT_ONCE]
            )
            for start in range(0, len(x), CUTOUTS_AT_ONCE)
        ]
        tiles = concatenate(parts)
        kept = cls._located(tiles) > DETECTION_THRESHOLD
        left, bottom = [torch.from_numpy(first - 0.5).float()[kept] for first in (column, row)]
        return cls(tiles[kept], left, bottom)

    def __len__(self) -> int:
        return len(self.left)

    @staticmethod
    def _located(tiles: TilePosterior) -> Tensor:
        """Probability that the source of a tile lies where the catalog puts it."""
        return tiles.source.probability * near_mean(tiles.position.x) * near_mean(tiles.position.y)

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """Mean positions x and y, (source,) each, 0-indexed pixels of the image."""
        position = self.tiles.position
        return position.x.mean() + self.left, position.y.mean() + self.bottom

    def catalog(self) -> PredictedCatalog:
        """The sources as point estimates and distributions."""
        tiles = self.tiles.map(lambda tensor: tensor.double())
        position = TruncatedBivariateNormal(
            tiles.position.x.shifted(self.left.double()),
            tiles.position.y.shifted(self.bottom.double()),
        )
        return PredictedCatalog(
            Detections(
                image=np.zeros(len(self), int),
                x=position.x.mean().numpy(),
                y=position.y.mean().numpy(),
                flux=tiles.flux.median().numpy(),
                prob_source=tiles.source.probability.numpy(),
                prob_located=self._located(tiles).numpy(),
                prob_galaxy=tiles.galaxy.probability.numpy(),
            ),
            position=position,
            flux=tiles.flux,
        )

    def draws(self, n: int, generator: torch.Generator, *, first_row: int) -> CatalogDraws:
        """Draw the sources n times; `first_row` is the row of the first one in the catalog."""
        present = self.tiles.source.sample(n, generator)
        draw, source = torch.nonzero(present, as_tuple=True)
        tiles = self.tiles[source]
        x, y = [axis.sample(1, generator)[0] for axis in (tiles.position.x, tiles.position.y)]
        return CatalogDraws(
            draw=draw.numpy(),
            source=source.numpy() + first_row,
            x=(x + self.left[source]).double().numpy(),
            y=(y + self.bottom[source]).double().numpy(),
            flux=tiles.flux.sample(1, generator)[0].double().numpy(),
            is_galaxy=tiles.galaxy.sample(1, generator)[0].numpy(),
        )


def _middle_tiles(
    observed: Observation, model: TileModel, row: np.ndarray, column: np.ndarray
) -> TilePosterior:
    """The posterior of tiles whose first pixels are given, each read with its margin: (tile,)."""
    margin = model.settings.reach
    if model.settings.is_wide:
        margin = min(margin, IMAGE_SIZE // TILE_SIZE // 2)
    side = TILE_SIZE * (1 + 2 * margin)
    first = TILE_SIZE * margin
    cuts = observed.cutouts(row - first, column - first, shape=(side, side))
    posterior = model.posterior(cuts, in_float32=True)
    return posterior[:, margin, margin].map(torch.Tensor.cpu)
