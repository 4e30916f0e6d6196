"""Read a catalog off the posterior of the tiles.

A source near the border of two tiles is split between them: each holds part of its probability,
and neither, or both, may pass one half. So a tile is joined with each of its eight neighbours
that puts its source at the same place. The likeliest tile of those joined speaks for the source,
the sum of their probabilities decides whether there is one, and the other tiles give none.
"""

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


def decode(posterior: TilePosterior, first_image: int = 0) -> PredictedCatalog:
    """The catalog of a batch; ``first_image`` is the index of its first image.

    Position and flux are those of the tile that speaks for the source.
    """
    return catalog_of_tiles(posterior, joined_probability(posterior), first_image)


def catalog_of_tiles(
    posterior: TilePosterior, probability: Tensor, first_image: int
) -> PredictedCatalog:
    """A source in each tile whose probability, (batch, row, column), passes the threshold."""
    at = torch.nonzero(probability > DETECTION_THRESHOLD, as_tuple=True)
    image, row, column = (index.cpu() for index in at)
    tiles = posterior[at].map(lambda tensor: tensor.double().cpu())
    x, y = tiles.position.x, tiles.position.y
    position = TruncatedBivariateNormal(x.shifted(_edge(column)), y.shifted(_edge(row)))
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


def joined_probability(posterior: TilePosterior) -> Tensor:
    """P(source) of each tile with what its neighbours add; 0 where a neighbour speaks for it.

    float32 (batch, row, column).
    """
    probability = posterior.source.probability
    x, y = posterior.position.x, posterior.position.y
    rows, columns = probability.shape[1:]
    row, column = torch.meshgrid(
        *(torch.arange(n, device=probability.device) for n in (rows, columns)), indexing="ij"
    )
    places = x.mean() + _edge(column), y.mean() + _edge(row)
    own = torch.stack([probability, *places, x.std() ** 2, y.std() ** 2])
    padded = functional.pad(own, (1, 1, 1, 1))
    total, speaks = probability.clone(), torch.ones_like(probability, dtype=torch.bool)
    for down, right in NEIGHBOURS:
        other = padded[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        same_place = torch.ones_like(speaks)
        for position, variance in ((1, 3), (2, 4)):
            reach = SAME_PLACE_SIGMAS * (own[variance] + other[variance]).sqrt()
            distance = (own[position] - other[position]).abs()
            same_place &= distance < reach + SAME_PLACE_PIXELS
        total += other[0] * same_place
        is_before = (down, right) < (0, 0)  # one of two equal tiles has to yield
        likelier = other[0] >= probability if is_before else other[0] > probability
        speaks &= ~(same_place & likelier)
    return torch.where(speaks, total.clamp(max=1.0), 0.0)


def _edge(tile: Tensor) -> Tensor:
    """The lower edge of a tile, by its row or column, in 0-indexed pixels of the image."""
    return TILE_SIZE * tile - 0.5
