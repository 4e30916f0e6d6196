"""Draws of whole catalogs from the posterior of an image.

Tiles that share a source must not give it twice, so that draws follow the rule by which a catalog
is read (decode.py). Each tile that speaks for a source, however unlikely, gives one with the joined
probability. The source then comes from one of the tiles joined, chosen in proportion to their own
probabilities, and its place, type and flux are drawn from what that tile says. So the share of
draws that hold a source is its ``prob_source``, and the mean number of sources, those too faint or
too vague for the catalog among them, is the sum of the joined probabilities.
"""

from dataclasses import dataclass

import numpy as np
import torch

from npecat_eval.catalog.decode import DETECTION_THRESHOLD, NEIGHBOURS, JoinedTiles, edge
from npecat_eval.catalog.detections import joined_rows
from npecat_train.posterior.tile_posterior import TilePosterior

MEMBERS = torch.tensor(((0, 0), *NEIGHBOURS))
"""Rows down and columns to the right, of the tiles in JoinedTiles.shares."""


TILES_AT_ONCE = 2**22
"""Tiles of all draws that are made together: 16 MB of random numbers."""


@dataclass(frozen=True)
class CatalogDraws:
    """m sources of some draws of one image's catalog, sorted by draw; every array is (m,).

    draw: int64. source: int64, the source's index in the catalog of the image, -1 of one not
    listed there. x, y: float64, 0-indexed pixels. flux: float64, nanomaggies. is_galaxy: bool.
    """

    draw: np.ndarray
    source: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    is_galaxy: np.ndarray


def draw_catalogs(
    posterior: TilePosterior, joined: JoinedTiles, n: int, generator: torch.Generator
) -> CatalogDraws:
    """n draws of the catalog of one image; both on the CPU, with a batch of 1."""
    at_once = max(1, TILES_AT_ONCE // joined.probability.numel())
    parts = [
        _draw(posterior, joined, range(first, min(first + at_once, n)), generator)
        for first in range(0, n, at_once)
    ]
    return joined_rows(parts)


def _draw(
    posterior: TilePosterior, joined: JoinedTiles, numbers: range, generator: torch.Generator
) -> CatalogDraws:
    """The draws of these numbers."""
    probability = joined.probability[0]
    chance = torch.rand((len(numbers), *probability.shape), generator=generator)
    draw, row, column = torch.nonzero(chance < probability, as_tuple=True)
    shares = joined.shares[:, 0, row, column].T
    member = torch.multinomial(shares, 1, generator=generator)[:, 0]
    down, right = MEMBERS[member].unbind(dim=1)
    tiles = posterior[0, row + down, column + right]
    x, y = (at.sample(1, generator)[0].double() for at in (tiles.position.x, tiles.position.y))
    detected = joined.located[0] > DETECTION_THRESHOLD
    index = (detected.flatten().cumsum(0) - 1).view(detected.shape)
    return CatalogDraws(
        draw=draw.numpy() + numbers.start,
        source=index.where(detected, -1)[row, column].numpy(),
        x=(x + edge(column + right)).numpy(),
        y=(y + edge(row + down)).numpy(),
        flux=tiles.flux.sample(1, generator)[0].double().numpy(),
        is_galaxy=tiles.galaxy.sample(1, generator)[0].numpy(),
    )
