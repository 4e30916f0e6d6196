"""Read a catalog off the posterior of the tiles.

A source near the border of two tiles is split between them: each holds part of its probability,
and neither, or both, may pass one half. So a tile is joined with each of its eight neighbours
that puts its source at the same place. The likeliest tile of those joined speaks for the source
with the sum of their probabilities, and the other tiles give none.

That there is a source is one thing, where it is another: of a blend or a faint galaxy the place may
be vague. A catalog lists what is more likely than not to lie where it says.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.tile_posterior import TilePosterior
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal, TruncatedNormal

DETECTION_THRESHOLD = 0.5
"""A source is listed if the probability that it lies where the catalog puts it exceeds this."""

LOCATED_SIDE = math.sqrt(math.pi)
"""Pixels: side of the square, centred on a position, in which a source counts as located. It is as
large as the circle of one pixel within which the paper counts a detection as true (section 7)."""

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
    located: like probability, that it gives one and that this lies within LOCATED_SIDE of the
    tile's mean position.
    shares: (1 + neighbour, batch, row, column), the P(source) of the tile itself and of each of
    NEIGHBOURS, 0 of those that put it elsewhere.
    """

    probability: Tensor
    located: Tensor
    shares: Tensor


def decode(posterior: TilePosterior, first_image: int = 0) -> PredictedCatalog:
    """The catalog of a batch; ``first_image`` is the index of its first image.

    Position and flux are those of the tile that speaks for the source.
    """
    return catalog_of_tiles(posterior, join(posterior), first_image)


def catalog_of_tiles(
    posterior: TilePosterior, joined: JoinedTiles, first_image: int
) -> PredictedCatalog:
    """A source in each tile that passes the threshold."""
    at = torch.nonzero(joined.located > DETECTION_THRESHOLD, as_tuple=True)
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
            prob_source=joined.probability[at].double().cpu().numpy(),
            prob_located=joined.located[at].double().cpu().numpy(),
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
    total = torch.where(speaks, stacked.sum(dim=0).clamp(max=1.0), 0.0)
    return JoinedTiles(total, total * _near_mean(x) * _near_mean(y), stacked)


def _near_mean(coordinate: TruncatedNormal) -> Tensor:
    """Probability of less than half of LOCATED_SIDE from the mean."""
    mean, half = coordinate.mean(), LOCATED_SIDE / 2
    return coordinate.cdf(mean + half) - coordinate.cdf(mean - half)


def places(posterior: TilePosterior) -> tuple[Tensor, Tensor]:
    """Mean x and y of the source of every tile, 0-indexed pixels of its image."""
    x, y = posterior.position.x.mean(), posterior.position.y.mean()
    rows, columns = x.shape[1:]
    row = torch.arange(rows, device=x.device)[:, None]
    return x + edge(torch.arange(columns, device=x.device)), y + edge(row)


def edge(tile: Tensor) -> Tensor:
    """The lower edge of a tile, by its row or column, in 0-indexed pixels of the image."""
    return TILE_SIZE * tile - 0.5
