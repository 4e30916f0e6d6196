"""Densities of a positive quantity: a log-normal, and a mixture of log-normals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from npecat_train.posterior.distributions import Distributions, bisect, normal, uniform

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

MODE_STEPS = 100
"""Steps towards a mixture's mode; each climbs."""


@dataclass(frozen=True)
class LogNormal(Distributions):
    """exp of Normal(loc, scale)."""

    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at a positive value."""
        log_value = value.log()
        return _normal_log_density(log_value, self.loc, self.scale) - log_value

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of less than a positive value."""
        return ndtr((value.log() - self.loc) / self.scale)

    def quantile(self, level: float | Tensor) -> Tensor:
        """The value below which a share ``level`` of the probability lies."""
        wanted = torch.as_tensor(level, dtype=self.loc.dtype, device=self.loc.device)
        return torch.exp(self.loc + self.scale * ndtri(wanted))

    def median(self) -> Tensor:
        """The median, the point estimate: the mode is biased low."""
        return self.loc.exp()

    def mean(self) -> Tensor:
        """The mean."""
        return torch.exp(self.loc + self.scale**2 / 2)

    def mode(self) -> Tensor:
        """Where the density is highest."""
        return torch.exp(self.loc - self.scale**2)

    def times(self, factor: Tensor) -> "LogNormal":
        """The distribution of the value times a positive number."""
        return LogNormal(self.loc + factor.log(), self.scale)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws, (n, ...)."""
        return torch.exp(self.loc + self.scale * normal(self.loc, n, generator))


@dataclass(frozen=True)
class LogNormalMixture(Distributions):
    """exp of a mixture of normals; each tensor has a last axis of components, (..., component)."""

    logit: Tensor
    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at a positive value."""
        return self._log_density(value.log()) - value.log()

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of less than a positive value."""
        return self._cdf_of_log(value.log(), self._weight())

    def quantile(self, level: float | Tensor) -> Tensor:
        """The value below which a share ``level`` of the probability lies.

        It is sought between the least and the greatest of the components' own quantiles.
        """
        wanted = torch.as_tensor(level, dtype=self.loc.dtype, device=self.loc.device)
        of_components = self.loc + self.scale * ndtri(wanted)[..., None]
        low, high = of_components.amin(dim=-1), of_components.amax(dim=-1)
        weight = self._weight()
        return bisect(lambda value: self._cdf_of_log(value, weight), wanted, low, high).exp()

    def median(self) -> Tensor:
        """The median, the point estimate."""
        return self.quantile(0.5)

    def mean(self) -> Tensor:
        """The mean."""
        return (self._weight() * torch.exp(self.loc + self.scale**2 / 2)).sum(dim=-1)

    def mode(self) -> Tensor:
        """Where the density is highest, to 1e-3.

        From the mode of each component the density is climbed as EM does: with the components'
        shares r of the density at log value u, the next u has sum r (loc - u) / scale^2 = 1.
        """
        mixture = self.map(lambda tensor: tensor[..., None, :])  # (..., start, component)
        precision = mixture.scale**-2
        log_value = self.loc - self.scale**2
        for _ in range(MODE_STEPS):
            terms = mixture._log_terms(log_value)
            share = torch.softmax(terms, dim=-1) * precision
            log_value = ((share * mixture.loc).sum(dim=-1) - 1) / share.sum(dim=-1)
        best = (mixture._log_density(log_value) - log_value).argmax(dim=-1, keepdim=True)
        return log_value.gather(-1, best).squeeze(-1).exp()

    def times(self, factor: Tensor) -> "LogNormalMixture":
        """The distribution of the value times a positive number."""
        return LogNormalMixture(self.logit, self.loc + factor.log()[..., None], self.scale)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws, (n, ...)."""
        edges = self._weight().cumsum(dim=-1)[..., :-1]
        chosen = uniform(self.loc[..., 0], n, generator)[..., None] > edges
        component = chosen.sum(dim=-1, keepdim=True)
        loc, scale = (
            tensor.expand(n, *tensor.shape).gather(-1, component).squeeze(-1)
            for tensor in (self.loc, self.scale)
        )
        return torch.exp(loc + scale * normal(self.loc[..., 0], n, generator))

    def _weight(self) -> Tensor:
        return torch.softmax(self.logit, dim=-1)

    def _log_terms(self, log_value: Tensor) -> Tensor:
        """Log of weight times density of each component, over the log of the value."""
        density = _normal_log_density(log_value[..., None], self.loc, self.scale)
        return torch.log_softmax(self.logit, dim=-1) + density

    def _log_density(self, log_value: Tensor) -> Tensor:
        return torch.logsumexp(self._log_terms(log_value), dim=-1)

    def _cdf_of_log(self, log_value: Tensor, weight: Tensor) -> Tensor:
        return (weight * ndtr((log_value[..., None] - self.loc) / self.scale)).sum(dim=-1)


def _normal_log_density(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Log-density of Normal(loc, scale)."""
    return -0.5 * ((value - loc) / scale) ** 2 - LOG_SQRT_2PI - scale.log()
