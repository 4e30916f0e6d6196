"""The densities that a tile's posterior is made of, beyond those that PyTorch has.

All work element by element on tensors of any common shape.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import log_ndtr

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal(loc, scale) restricted to [low, high]; loc may lie far outside the interval."""

    loc: Tensor
    scale: Tensor
    low: float
    high: float

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at a value inside [low, high]."""
        residual = (value - self.loc) / self.scale
        return -0.5 * residual**2 - LOG_SQRT_2PI - self.scale.log() - self._log_mass()

    def mean(self) -> Tensor:
        """The mean: loc + scale (phi(a) - phi(b)) / mass, kept inside [low, high]."""
        lower, upper = self._ends()
        log_mass = self._log_mass()
        density = [torch.exp(-0.5 * end**2 - LOG_SQRT_2PI - log_mass) for end in (lower, upper)]
        return (self.loc + self.scale * (density[0] - density[1])).clamp(self.low, self.high)

    def std(self) -> Tensor:
        """The standard deviation, to 10 % inside the interval: the narrower of the normal's own
        and that of a uniform density over the interval."""
        return self.scale.clamp(max=(self.high - self.low) / math.sqrt(12))

    def _ends(self) -> tuple[Tensor, Tensor]:
        return (self.low - self.loc) / self.scale, (self.high - self.loc) / self.scale

    def _log_mass(self) -> Tensor:
        """log(Phi(b) - Phi(a)), taken in the tail where both ends are small to stay exact."""
        lower, upper = self._ends()
        flip = lower + upper > 0
        near, far = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
        log_near, log_far = log_ndtr(near), log_ndtr(far)
        return log_near + torch.log(-torch.expm1(log_far - log_near))


@dataclass(frozen=True)
class LogNormal:
    """exp of Normal(loc, scale)."""

    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at a positive value."""
        log_value = value.log()
        residual = (log_value - self.loc) / self.scale
        return -0.5 * residual**2 - LOG_SQRT_2PI - self.scale.log() - log_value

    def median(self) -> Tensor:
        """The median, the point estimate: the mode of a log-normal is biased low."""
        return self.loc.exp()
