"""The factors of a tile's posterior, and the outputs of the network that each of them takes.

The density of a tile's catalog is the product of four factors: whether there is a source and, if
there is, where it is, of which type and how bright.
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

FACTORS = ("source", "position", "type", "flux")
"""Names of the factors, in the order of all vectors of losses."""

Family = TypeVar("Family")
"""The kind of distributions of a factor."""

POSITION_SCALE = (5e-4, 20.0)
"""Minimum and maximum of the standard deviation of a coordinate, pixels. The minimum lies below
the Cramer-Rao bound of the brightest star (1.2e6 electrons), 1.5 px / sqrt(1.2e6) = 0.0014 px."""

FLUX_SCALE = (2e-4, 5.0)
"""Minimum and maximum of the standard deviation of log flux. The minimum lies below the
Cramer-Rao bound of the brightest star (1.2e6 electrons), 1 / sqrt(1.2e6) = 0.0009."""

MIXTURE_SCALES = (0.1, 0.4, 1.2)
"""Initial standard deviations of log flux of the components; see docs/log.md, flux mixture."""


@dataclass(frozen=True)
class Factor(Generic[Family]):
    """One factor of the posterior.

    Parameters
    ----------
    initial_outputs : tuple of float
        The factor's outputs of an untrained network.
    read : callable
        From these outputs, (batch, output, tile row, tile column), to distributions
        (batch, tile row, tile column).
    turning : Channels, optional
        How the outputs turn with the image; by default they are scalars.
    """

    initial_outputs: tuple[float, ...]
    read: Callable[[Tensor], Family]
    turning: Channels | None = None

    @property
    def n_outputs(self) -> int:
        """Number of the network's outputs that the factor takes."""
        return len(self.initial_outputs)

    @property
    def channels(self) -> Channels:
        """How the factor's outputs turn with the image."""
        return self.turning or SCALAR * self.n_outputs


def _bernoulli(raw: Tensor) -> Bernoulli:
    """Read the logit."""
    return Bernoulli(raw[:, 0])


def _position(raw: Tensor) -> TruncatedBivariateNormal:
    """Read the position, pixels from the tile's lower edges; loc may be a tile outside of it."""
    x, y, x_scale, y_scale = raw.unbind(dim=1)
    low, high = torch.zeros_like(x), torch.full_like(x, TILE_SIZE)

    def coordinate(value: Tensor, scale: Tensor) -> TruncatedNormal:
        loc = TILE_SIZE * (0.5 + 1.5 * torch.tanh(value / 1.5))
        return TruncatedNormal(loc, _scale(scale, POSITION_SCALE), low, high)

    return TruncatedBivariateNormal(coordinate(x, x_scale), coordinate(y, y_scale))


def _log_normal(raw: Tensor) -> LogNormal:
    """Read the location and the scale."""
    loc, scale = raw.unbind(dim=1)
    return LogNormal(loc, _scale(scale, FLUX_SCALE))


def _log_normal_mixture(raw: Tensor) -> LogNormalMixture:
    """Read the common location, then the components' logits, offsets in scales, and scales."""
    logit, offset, raw_scale = raw[:, 1:].movedim(1, -1).chunk(3, dim=-1)
    scale = _scale(raw_scale, FLUX_SCALE)
    return LogNormalMixture(logit, raw[:, 0, ..., None] + scale * offset, scale)


def _scale(raw: Tensor, limits: tuple[float, float]) -> Tensor:
    """Map an output to a standard deviation between its limits; 0 gives about 0.7."""
    return limits[0] + functional.softplus(raw).clamp(max=limits[1])


def _raw_scale(scale: float) -> float:
    """The output that gives a scale far inside the limits, nearly: inverse softplus."""
    return float(torch.tensor(scale).expm1().log())


SOURCE = Factor((-4.6,), _bernoulli)
"""Whether there is a source; an untrained network expects 4 sources over 400 tiles."""

POSITION = Factor((0.0, 0.0, 1.0, 1.0), _position, VECTOR + AXES)
"""Where the source is; at first in the middle of the tile with a wide scale."""

TYPE = Factor((0.0,), _bernoulli)
"""Whether the source is a galaxy; at first with probability 0.5."""

FLUX: dict[str, Factor[LogNormal] | Factor[LogNormalMixture]] = {
    "lognormal": Factor((0.0, 1.0), _log_normal),
    "mixture": Factor(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, *map(_raw_scale, MIXTURE_SCALES)),
        _log_normal_mixture,
    ),
}
"""The families of the flux: the paper's, and one with a narrow core and wide tails. Both begin
around 1, in units of the flux in the reference aperture."""
