"""Draws of whole catalogs from the posterior of an image.

Tiles that share a source must not both give it, so draws follow the rule of the catalog
(decode.py). Each tile that represents a source gives one with the joined probability, however small
that is. The source then comes from one of the joined tiles, chosen in proportion to their own
probabilities, and its position, type and flux are drawn from the posterior of that tile. So the
share of draws that hold a source of the catalog is its ``prob_source``. The mean number of sources
in a draw is the sum of the joined probabilities; this includes sources that the catalog does not
list because they are too improbable or their position is too uncertain.
"""

from dataclasses import dataclass

import numpy as np
import torch

from npecat_eval.catalog.decode import DETECTION_THRESHOLD, NEIGHBOURS, JoinedTiles, edge
from npecat_eval.catalog.detections import joined_rows
from npecat_train.posterior.tile_posterior import TilePosterior

MEMBERS = torch.tensor(((0, 0), *NEIGHBOURS))
"""int64 (1 + neighbour, 2): offsets of the tiles in JoinedTiles.shares, rows down and columns to
the right."""

TILES_AT_ONCE = 2**22
"""Maximum number of tiles, summed over draws, that are drawn together: 16 MB of random numbers."""


@dataclass(frozen=True)
class CatalogDraws:
    """Sources of some draws of the catalog of one image, sorted by draw.

    Parameters
    ----------
    draw : ndarray
        int64 (source,): number of the draw, from 0.
    source : ndarray
        int64 (source,): index of the source in the catalog of the image, -1 if not listed there.
    x, y : ndarray
        float64 (source,), 0-indexed pixels.
    flux : ndarray
        float64 (source,), nanomaggies.
    is_galaxy : ndarray
        bool (source,).
    """

    draw: np.ndarray
    source: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    is_galaxy: np.ndarray


def draw_catalogs(
    posterior: TilePosterior, joined: JoinedTiles, *, n: int, generator: torch.Generator
) -> CatalogDraws:
    """Draw whole catalogs of one image.

    Parameters
    ----------
    posterior : TilePosterior
        (1, row, column), on the CPU.
    joined : JoinedTiles
        The same tiles after joining.
    n : int
        Number of draws.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    CatalogDraws
    """
    at_once = max(1, TILES_AT_ONCE // joined.probability.numel())
    parts = [
        _draw(posterior, joined, range(first, min(first + at_once, n)), generator)
        for first in range(0, n, at_once)
    ]
    return joined_rows(parts)


def sorted_by_draw(parts: list[CatalogDraws]) -> CatalogDraws:
    """Join draws of the same catalogs from several sources of draws."""
    joined = joined_rows(parts)
    order = np.argsort(joined.draw, kind="stable")
    return CatalogDraws(**{name: column[order] for name, column in vars(joined).items()})


def _draw(
    posterior: TilePosterior, joined: JoinedTiles, numbers: range, generator: torch.Generator
) -> CatalogDraws:
    """Draw the catalogs of these numbers."""
    probability = joined.probability[0]
    chance = torch.rand((len(numbers), *probability.shape), generator=generator)
    draw, row, column = torch.nonzero(chance < probability, as_tuple=True)
    shares = joined.shares[:, 0, row, column].T
    member = torch.multinomial(shares, 1, generator=generator).squeeze(1)
    down, right = MEMBERS[member].unbind(dim=1)
    tiles = posterior[0, row + down, column + right]
    x = tiles.position.x.sample(1, generator)[0].double()
    y = tiles.position.y.sample(1, generator)[0].double()
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
