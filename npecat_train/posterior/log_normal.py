"""Densities of a positive quantity: a log-normal, and a mixture of log-normals."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from npecat_train.posterior.distributions import Distributions, bisect, normal, uniform

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

MODE_STEPS = 100
"""Steps towards a mixture's mode; the density rises in each."""


@dataclass(frozen=True)
class LogNormal(Distributions):
    """A value whose natural log is Normal(loc, scale).

    Parameters
    ----------
    loc, scale : Tensor
        Mean and standard deviation of the log.
    """

    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at a positive value."""
        log_value = value.log()
        return _normal_log_density(log_value, self.loc, self.scale) - log_value

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of a value below a positive one."""
        probability: Tensor = ndtr((value.log() - self.loc) / self.scale)
        return probability

    def quantile(self, level: float | Tensor) -> Tensor:
        """Return the value below which a share ``level`` of the probability lies."""
        wanted = torch.as_tensor(level, dtype=self.loc.dtype, device=self.loc.device)
        return torch.exp(self.loc + self.scale * ndtri(wanted))

    def median(self) -> Tensor:
        """Return the median, which is the point estimate: the mode is biased low."""
        return self.loc.exp()

    def mean(self) -> Tensor:
        """Return the mean."""
        return torch.exp(self.loc + self.scale**2 / 2)

    def mode(self) -> Tensor:
        """Return the value of the highest density."""
        return torch.exp(self.loc - self.scale**2)

    def times(self, factor: Tensor) -> "LogNormal":
        """Return the distribution of the value times a positive number."""
        return LogNormal(self.loc + factor.log(), self.scale)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n values of each: (n, ...)."""
        return torch.exp(self.loc + self.scale * normal(self.loc, n, generator=generator))


@dataclass(frozen=True)
class LogNormalMixture(Distributions):
    """A value whose natural log is a mixture of normals.

    Parameters
    ----------
    logit : Tensor
        (..., component), whose softmax are the weights of the components.
    loc, scale : Tensor
        (..., component), mean and standard deviation of the log.
    """

    logit: Tensor
    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at a positive value."""
        return self._log_density(value.log()) - value.log()

    def cdf(self, value: Tensor) -> Tensor:
        """Return the probability of a value below a positive one."""
        return self._cdf_of_log(value.log(), self._weight())

    def quantile(self, level: float | Tensor) -> Tensor:
        """Return the value below which a share ``level`` of the probability lies.

        It is sought between the lowest and the highest of the components' own quantiles.
        """
        wanted = torch.as_tensor(level, dtype=self.loc.dtype, device=self.loc.device)
        of_components = self.loc + self.scale * ndtri(wanted)[..., None]
        low, high = of_components.amin(dim=-1), of_components.amax(dim=-1)
        weight = self._weight()
        return bisect(
            lambda value: self._cdf_of_log(value, weight), wanted, low=low, high=high
        ).exp()

    def median(self) -> Tensor:
        """Return the median, which is the point estimate."""
        return self.quantile(0.5)

    def mean(self) -> Tensor:
        """Return the mean."""
        return (self._weight() * torch.exp(self.loc + self.scale**2 / 2)).sum(dim=-1)

    def mode(self) -> Tensor:
        """Return the value of the highest density, to 1e-3.

        The search climbs from the mode of each component by the steps of expectation maximisation:
        if r are the components' shares of the density at log value u, the next u solves
        sum r (loc - u) / scale^2 = 1.
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
        """Return the distribution of the value times a positive number."""
        return LogNormalMixture(self.logit, self.loc + factor.log()[..., None], self.scale)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n values of each: (n, ...)."""
        edges = self._weight().cumsum(dim=-1)[..., :-1]
        chosen = uniform(self.loc[..., 0], n, generator=generator)[..., None] > edges
        component = chosen.sum(dim=-1, keepdim=True)

        def of_chosen(tensor: Tensor) -> Tensor:
            return tensor.expand(n, *tensor.shape).gather(-1, component).squeeze(-1)

        noise = normal(self.loc[..., 0], n, generator=generator)
        return torch.exp(of_chosen(self.loc) + of_chosen(self.scale) * noise)

    def _weight(self) -> Tensor:
        """Weight of each component."""
        return torch.softmax(self.logit, dim=-1)

    def _log_terms(self, log_value: Tensor) -> Tensor:
        """Log of weight times density of each component, over the log of the value."""
        density = _normal_log_density(log_value[..., None], self.loc, self.scale)
        return torch.log_softmax(self.logit, dim=-1) + density

    def _log_density(self, log_value: Tensor) -> Tensor:
        """Log-density of the log of the value."""
        return torch.logsumexp(self._log_terms(log_value), dim=-1)

    def _cdf_of_log(self, log_value: Tensor, weight: Tensor) -> Tensor:
        """Probability of a lower log of the value."""
        of_components: Tensor = ndtr((log_value[..., None] - self.loc) / self.scale)
        return (weight * of_components).sum(dim=-1)


def _normal_log_density(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Log-density of Normal(loc, scale)."""
    return -0.5 * ((value - loc) / scale) ** 2 - LOG_SQRT_2PI - scale.log()
