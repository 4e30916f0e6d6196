"""The posterior of every tile: eight parameters (Patel et al. 2025).

P(source); the position within the tile, two independent normals truncated to it; P(galaxy); the
flux, log-normal. The tile's density is their product, the last three counted where a source is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from npecat_train.distributions import LogNormal, TruncatedNormal
from npecat_train.network import TILE_SIZE
from npecat_train.tiles import TileCatalog

INITIAL_OUTPUTS = (-4.6, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0)
"""What an untrained network puts out, in the order of from_raw: 4 sources over 400 tiles, in the
middle of the tile, of about the median flux of Table 1, all with wide scales."""

POSITION_SCALE = (5e-4, 20.0)
FLUX_SCALE = (2e-4, 5.0)
"""Least and largest standard deviation of position (pixels) and log flux. The brightest star of
Table 1, 1184 nanomaggies or 1.2e6 electrons, has Cramer-Rao bounds of about 1.5 px / sqrt(1.2e6)
= 0.0014 px and 1 / sqrt(1.2e6) = 0.0009: the floors lie below them, so that they never act."""


@dataclass(frozen=True)
class TilePosterior:
    """Posterior of the brightest source of each tile; all tensors (batch, row, column)."""

    source_logit: Tensor
    x: TruncatedNormal
    y: TruncatedNormal
    galaxy_logit: Tensor
    flux: LogNormal

    @classmethod
    def from_raw(cls, raw: Tensor) -> "TilePosterior":
        """Read the network's output, float32 (batch, 8, row, column)."""
        source, x, y, x_scale, y_scale, galaxy, log_flux, flux_scale = raw.unbind(dim=1)
        return cls(
            source_logit=source,
            x=_position(x, x_scale),
            y=_position(y, y_scale),
            galaxy_logit=galaxy,
            flux=LogNormal(log_flux, _scale(flux_scale, FLUX_SCALE)),
        )

    def negative_log_likelihood(self, truth: TileCatalog) -> dict[str, Tensor]:
        """By factor, the sum over the tiles of each image: float32 (batch,)."""
        terms = {
            "source": _bernoulli_nll(self.source_logit, truth.present),
            "position": -(self.x.log_prob(truth.x) + self.y.log_prob(truth.y)) * truth.present,
            "type": _bernoulli_nll(self.galaxy_logit, truth.is_galaxy) * truth.present,
            "flux": -self.flux.log_prob(truth.flux) * truth.present,
        }
        return {name: term.sum(dim=(1, 2)) for name, term in terms.items()}


def _position(raw: Tensor, raw_scale: Tensor) -> TruncatedNormal:
    """One coordinate; the mean is free to leave the tile by up to a tile on either side."""
    loc = TILE_SIZE * (0.5 + 1.5 * torch.tanh(raw / 1.5))
    return TruncatedNormal(loc, _scale(raw_scale, POSITION_SCALE), 0.0, TILE_SIZE)


def _scale(raw: Tensor, limits: tuple[float, float]) -> Tensor:
    """A standard deviation that stays between its limits; raw 0 gives about 0.7."""
    return limits[0] + functional.softplus(raw).clamp(max=limits[1])


def _bernoulli_nll(logit: Tensor, outcome: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logit, outcome.float(), reduction="none")
