"""Derive a catalog from the posterior of the tiles.

The probability of a source near the border of two tiles is split between them: each tile holds a
part, and neither part, or both, may exceed one half. So a tile is joined with each of its eight
neighbours that predicts its source at the same position. Of the joined tiles, the one with the
highest probability represents the source: it gets the sum of their probabilities, and the other
tiles give no source.

It may be certain that there is a source and still uncertain where it is, as for a blend or a faint
galaxy. So the catalog lists a source only if it probably exists and lies near the listed position.
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
"""Side of the square around a position in which a source counts as located, pixels. Its area is
that of the circle with a radius of one pixel in which the paper counts a detection as true
(section 7)."""

SAME_PLACE_SIGMAS = 1.5
SAME_PLACE_PIXELS = 0.5
"""Two tiles hold the same source if their mean positions differ, in x and in y, by less than
SAME_PLACE_SIGMAS times their combined standard deviation plus SAME_PLACE_PIXELS."""

NEIGHBOURS = tuple(shift for shift in product((-1, 0, 1), repeat=2) if shift != (0, 0))
"""Offsets of the eight neighbours of a tile: rows down and columns to the right."""


@dataclass(frozen=True)
class JoinedTiles:
    """Probabilities of sources after neighbouring tiles are joined.

    Parameters
    ----------
    probability : Tensor
        float32 (batch, row, column): probability that a tile gives a source, the sum of its own
        P(source) and of those of the neighbours that predict their source at the same position; 0
        where one of these neighbours represents the source.
    located : Tensor
        float32 (batch, row, column): probability that a tile gives a source and that this source
        lies in the square of side LOCATED_SIDE around the mean position of the tile.
    shares : Tensor
        float32 (1 + neighbour, batch, row, column): P(source) of the tile itself and of each of
        NEIGHBOURS, 0 for neighbours that predict their source at another position.
    """

    probability: Tensor
    located: Tensor
    shares: Tensor


def decode(posterior: TilePosterior, first_image: int = 0) -> PredictedCatalog:
    """Derive the catalog of a batch of images.

    Parameters
    ----------
    posterior : TilePosterior
        (batch, row, column).
    first_image : int, optional
        Index of the first image of the batch in its set.

    Returns
    -------
    PredictedCatalog
        Position and flux of a source are those of the tile that represents it.
    """
    return catalog_of_tiles(posterior, join(posterior), first_image=first_image)


def catalog_of_tiles(
    posterior: TilePosterior, joined: JoinedTiles, *, first_image: int
) -> PredictedCatalog:
    """List the source of each tile whose ``located`` exceeds DETECTION_THRESHOLD.

    Parameters
    ----------
    posterior : TilePosterior
        (batch, row, column).
    joined : JoinedTiles
        The same tiles after joining.
    first_image : int
        Index of the first image of the batch in its set.

    Returns
    -------
    PredictedCatalog
    """
    at = torch.nonzero(joined.located > DETECTION_THRESHOLD, as_tuple=True)
    image, row, column = [index.cpu() for index in at]
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
    """Join each tile with the neighbours that predict their source at the same position.

    Parameters
    ----------
    posterior : TilePosterior
        (batch, row, column).

    Returns
    -------
    JoinedTiles
        On the same device.
    """
    probability = posterior.source.probability
    x, y = posterior.position.x, posterior.position.y
    rows, columns = probability.shape[1:]
    mean = torch.stack(places(posterior))
    variance = torch.stack([x.std() ** 2, y.std() ** 2])
    padded = [functional.pad(own, (1, 1, 1, 1)) for own in (probability, mean, variance)]
    shares = [probability]
    represents = torch.ones_like(probability, dtype=torch.bool)
    for down, right in NEIGHBOURS:
        other_probability, other_mean, other_variance = [
            own[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns] for own in padded
        ]
        reach = SAME_PLACE_SIGMAS * (variance + other_variance).sqrt()
        distance = (mean - other_mean).abs()
        same_place = (distance < reach + SAME_PLACE_PIXELS).all(dim=0)
        shares.append(other_probability * same_place)
        is_before = (down, right) < (0, 0)  # of two equal tiles only one represents the source
        more_probable = (
            other_probability >= probability if is_before else other_probability > probability
        )
        represents &= ~(same_place & more_probable)
    stacked = torch.stack(shares)
    total = torch.where(represents, stacked.sum(dim=0).clamp(max=1.0), 0.0)
    return JoinedTiles(total, total * near_mean(x) * near_mean(y), stacked)


def near_mean(coordinate: TruncatedNormal) -> Tensor:
    """Return the probability of a distance below half of LOCATED_SIDE from the mean."""
    mean, half = coordinate.mean(), LOCATED_SIDE / 2
    return coordinate.cdf(mean + half) - coordinate.cdf(mean - half)


def places(posterior: TilePosterior) -> tuple[Tensor, Tensor]:
    """Compute the mean position of the source of every tile.

    Parameters
    ----------
    posterior : TilePosterior
        (batch, row, column).

    Returns
    -------
    x, y : Tensor
        (batch, row, column), 0-indexed pixels of the image.
    """
    x, y = posterior.position.x.mean(), posterior.position.y.mean()
    rows, columns = x.shape[1:]
    row = torch.arange(rows, device=x.device)[:, None]
    return x + edge(torch.arange(columns, device=x.device)), y + edge(row)


def edge(tile: Tensor) -> Tensor:
    """Return the lower edge of tiles along one axis.

    Parameters
    ----------
    tile : Tensor
        Row or column of each tile, of any shape.

    Returns
    -------
    Tensor
        0-indexed pixels of the image.
    """
    return TILE_SIZE * tile - 0.5
