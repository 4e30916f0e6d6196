"""Read a catalog off the posterior of the tiles.

A source near the border of two tiles is split between them: each holds part of its probability,
and neither, or both, may pass one half. So a tile is joined with each of its eight neighbours
that puts its source at the same place. The likeliest tile of those joined speaks for the source,
the sum of their probabilities decides whether there is one, and the other tiles give none.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from npecat_train.detections import Detections
from npecat_train.network import TILE_SIZE
from npecat_train.posterior import TilePosterior
from npecat_train.predicted import PredictedCatalog
from npecat_train.truncated_normal import TruncatedBivariateNormal

DETECTION_THRESHOLD = 0.5
"""A source is reported where its probability exceeds this (section 7 of the paper)."""

SAME_PLACE_SIGMAS = 1.5
SAME_PLACE_PIXELS = 0.5
"""Two tiles mean one source if their positions differ by less than so many combined standard
deviations plus so many pixels, in x and in y."""

NEIGHBOURS = tuple(shift for shift in product((-1, 0, 1), repeat=2) if shift != (0, 0))
"""Rows down and columns to the right."""


@dataclass(frozen=True)
class JoinedTiles:
    """What tiles say together; float32.

    probability: (batch, row, column), that a tile gives a source: its own P(source) and what the
    neighbours add that put their source at the same place; 0 where one of these speaks for it.
    shares: (1 + neighbour, batch, row, column), the P(source) of the tile itself and of each of
    NEIGHBOURS, 0 of those that put it elsewhere.
    """

    probability: Tensor
    shares: Tensor


def decode(posterior: TilePosterior, first_image: int = 0) -> PredictedCatalog:
    """The catalog of a batch; ``first_image`` is the index of its first image.

    Position and flux are those of the tile that speaks for the source.
    """
    return catalog_of_tiles(posterior, join(posterior).probability, first_image)


def catalog_of_tiles(
    posterior: TilePosterior, probability: Tensor, first_image: int
) -> PredictedCatalog:
    """A source in each tile whose probability, (batch, row, column), passes the threshold."""
    at = torch.nonzero(probability > DETECTION_THRESHOLD, as_tuple=True)
    image, row, column = (index.cpu() for index in at)
    tiles = posterior[at].map(lambda tensor: tensor.double().cpu())
    x, y = tiles.position.x, tiles.position.y
    position = TruncatedBivariateNormal(x.shifted(edge(column)), y.shifted(edge(row)))
    return PredictedCatalog(
        Detections(
            image=image.numpy() + first_image,
            x=position.x.mean().numpy(),
            y=position.y.mean().numpy(),
            flux=tiles.flux.median().numpy(),
            prob_source=probability[at].double().cpu().numpy(),
            prob_galaxy=tiles.galaxy.probability.numpy(),
        ),
        position=position,
        flux=tiles.flux,
    )


def join(posterior: TilePosterior) -> JoinedTiles:
    """What each tile says with the neighbours that put their source at the same place."""
    probability = posterior.source.probability
    x, y = posterior.position.x, posterior.position.y
    rows, columns = probability.shape[1:]
    own = torch.stack([probability, *places(posterior), x.std() ** 2, y.std() ** 2])
    padded = functional.pad(own, (1, 1, 1, 1))
    shares = [probability]
    speaks = torch.ones_like(probability, dtype=torch.bool)
    for down, right in NEIGHBOURS:
        other = padded[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        same_place = torch.ones_like(speaks)
        for position, variance in ((1, 3), (2, 4)):
            reach = SAME_PLACE_SIGMAS * (own[variance] + other[variance]).sqrt()
            distance = (own[position] - other[position]).abs()
            same_place &= distance < reach + SAME_PLACE_PIXELS
        shares.append(other[0] * same_place)
        is_before = (down, right) < (0, 0)  # one of two equal tiles has to yield
        likelier = other[0] >= probability if is_before else other[0] > probability
        speaks &= ~(same_place & likelier)
    stacked = torch.stack(shares)
    total = stacked.sum(dim=0).clamp(max=1.0)
    return JoinedTiles(torch.where(speaks, total, 0.0), stacked)


def places(posterior: TilePosterior) -> tuple[Tensor, Tensor]:
    """Mean x and y of the source of every tile, 0-indexed pixels of its image."""
    x, y = posterior.position.x.mean(), posterior.position.y.mean()
    rows, columns = x.shape[1:]
    row = torch.arange(rows, device=x.device)[:, None]
    return x + edge(torch.arange(columns, device=x.device)), y + edge(row)


def edge(tile: Tensor) -> Tensor:
    """The lower edge of a tile, by its row or column, in 0-indexed pixels of the image."""
    return TILE_SIZE * tile - 0.5
