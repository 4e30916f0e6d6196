"""Read a catalog off the posterior of the tiles.

A source near the border of two tiles is split between them: each holds part of its probability,
and neither, or both, may pass one half. So a tile is joined with each of its eight neighbours
that puts its source at the same place. The likeliest tile of those joined speaks for the source,
the sum of their probabilities decides whether there is one, and the other tiles give none.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from npecat_train.detections import Detections
from npecat_train.network import TILE_SIZE
from npecat_train.posterior import TilePosterior

DETECTION_THRESHOLD = 0.5
"""A source is reported where its probability exceeds this (section 7 of the paper)."""

SAME_PLACE_SIGMAS = 1.0
SAME_PLACE_PIXELS = 0.5
"""Two tiles mean one source if their positions differ by less than so many combined standard
deviations plus so many pixels, in x and in y."""

NEIGHBOURS = tuple(shift for shift in product((-1, 0, 1), repeat=2) if shift != (0, 0))


def decode(posterior: TilePosterior, first_image: int = 0) -> Detections:
    """The point-estimate catalog of a batch; ``first_image`` is the index of its first image.

    Position and flux are the mean and the median of the tile that speaks for the source.
    """
    probability = torch.sigmoid(posterior.source_logit)
    row, column = torch.meshgrid(
        *(torch.arange(n, device=probability.device) for n in probability.shape[1:]),
        indexing="ij",
    )
    x = posterior.x.mean() + TILE_SIZE * column - 0.5
    y = posterior.y.mean() + TILE_SIZE * row - 0.5
    joined = _joined_probability(probability, x, y, posterior.x.std(), posterior.y.std())
    at = torch.nonzero(joined > DETECTION_THRESHOLD, as_tuple=True)

    def chosen(values: Tensor) -> np.ndarray:
        return values[at].double().cpu().numpy()

    return Detections(
        image=at[0].cpu().numpy() + first_image,
        x=chosen(x),
        y=chosen(y),
        flux=chosen(posterior.flux.median()),
        prob_source=chosen(joined),
        prob_galaxy=chosen(torch.sigmoid(posterior.galaxy_logit)),
    )


def _joined_probability(
    probability: Tensor, x: Tensor, y: Tensor, x_std: Tensor, y_std: Tensor
) -> Tensor:
    """P(source) of each tile with what its neighbours add; 0 where a neighbour speaks for it.

    All tensors (batch, row, column).
    """
    own = torch.stack([probability, x, y, x_std**2, y_std**2])
    padded = functional.pad(own, (1, 1, 1, 1))
    rows, columns = probability.shape[1:]
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
