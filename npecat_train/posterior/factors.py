"""The factors of a tile's posterior: what each asks of the network and makes of its outputs.

A tile's density is their product, all but the first counted where a source is: whether there is a
source, where, of which type and how bright. The network's output is as wide as they ask together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from npecat_train.network.symmetry import AXES, SCALAR, VECTOR, Channels
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import Bernoulli
from npecat_train.posterior.log_normal import LogNormal, LogNormalMixture
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal, TruncatedNormal

Family = TypeVar("Family")

POSITION_SCALE = (5e-4, 20.0)
FLUX_SCALE = (2e-4, 5.0)
"""Least and largest standard deviation of position (pixels) and log flux. The brightest star of
Table 1, 1184 nanomaggies or 1.2e6 electrons, has Cramer-Rao bounds of about 1.5 px / sqrt(1.2e6)
= 0.0014 px and 1 / sqrt(1.2e6) = 0.0009: the floors lie below them, so that they never act."""

MIXTURE_SCALES = (0.1, 0.4, 1.2)
"""Standard deviations of log flux with which the components begin. Fitted to the features of a
trained network, three components with a shared location bring the loss of flux from 1.37 nats a
source (one log-normal) to 1.28 from here, 1.29 from (0.03, 0.15, 0.6), 1.31 from (0.01, 0.1, 1)
and with two components 1.32; a fourth gains 0.005."""


@dataclass(frozen=True)
class Factor(Generic[Family]):
    """initial_outputs: what an untrained network puts out, one number for each output.

    read: from these outputs, (batch, output, row, column), to distributions (batch, row, column).
    turning: how they turn with the image; scalars unless said otherwise.
    """

    initial_outputs: tuple[float, ...]
    read: Callable[[Tensor], Family]
    turning: Channels | None = None

    @property
    def n_outputs(self) -> int:
        """How many of the network's outputs it takes."""
        return len(self.initial_outputs)

    @property
    def channels(self) -> Channels:
        """How its outputs turn with the image."""
        return self.turning or SCALAR * self.n_outputs


def _bernoulli(raw: Tensor) -> Bernoulli:
    return Bernoulli(raw[:, 0])


def _position(raw: Tensor) -> TruncatedBivariateNormal:
    """Pixels from the tile's lower edges; loc may leave the tile by up to a tile either way."""
    x, y, x_scale, y_scale = raw.unbind(dim=1)
    low, high = torch.zeros_like(x), torch.full_like(x, TILE_SIZE)
    coordinates = (
        TruncatedNormal(
            TILE_SIZE * (0.5 + 1.5 * torch.tanh(value / 1.5)),
            _scale(scale, POSITION_SCALE),
            low,
            high,
        )
        for value, scale in ((x, x_scale), (y, y_scale))
    )
    return TruncatedBivariateNormal(*coordinates)


def _log_normal(raw: Tensor) -> LogNormal:
    loc, scale = raw.unbind(dim=1)
    return LogNormal(loc, _scale(scale, FLUX_SCALE))


def _log_normal_mixture(raw: Tensor) -> LogNormalMixture:
    """A location that the components share, and of each its logit, offset in scales and scale."""
    logit, offset, raw_scale = raw[:, 1:].movedim(1, -1).chunk(3, dim=-1)
    scale = _scale(raw_scale, FLUX_SCALE)
    return LogNormalMixture(logit, raw[:, 0, ..., None] + scale * offset, scale)


def _scale(raw: Tensor, limits: tuple[float, float]) -> Tensor:
    """A standard deviation that stays between its limits; raw 0 gives about 0.7."""
    return limits[0] + functional.softplus(raw).clamp(max=limits[1])


def _raw_scale(scale: float) -> float:
    """The raw output that gives about a scale well between the limits: inverse softplus."""
    return float(torch.tensor(scale).expm1().log())


SOURCE = Factor((-4.6,), _bernoulli)
"""At first 4 sources over 400 tiles."""

POSITION = Factor((0.0, 0.0, 1.0, 1.0), _position, VECTOR + AXES)
"""At first in the middle of the tile with a wide scale."""

TYPE = Factor((0.0,), _bernoulli)

FLUX: dict[str, Factor[LogNormal] | Factor[LogNormalMixture]] = {
    "lognormal": Factor((0.0, 1.0), _log_normal),
    "mixture": Factor(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, *map(_raw_scale, MIXTURE_SCALES)),
        _log_normal_mixture,
    ),
}
"""The families of the flux: the paper's, and one with a narrow core and wide tails. Both begin
around 1, in units of the flux in an aperture."""
