"""The base class of the posterior's distributions, and the Bernoulli distribution.

A distribution is a frozen dataclass of tensors of one shape, with an element for each tile or
source; it may also hold other distributions. All methods work element by element. The families
are Bernoulli (here), TruncatedNormal (truncated_normal.py), and LogNormal and LogNormalMixture
(log_normal.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

BISECTIONS = {torch.float32: 24, torch.float64: 40}
"""Halvings of an interval by type: 24 of an interval of 4 pixels or of 10 in log flux lead to 2e-7
and 6e-7, which is all that a float32 resolves; 40 lead to 1e-11."""


@dataclass(frozen=True)
class Distributions:
    """An array of independent distributions, which is indexed as its tensors are."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return the distributions with every tensor changed."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self,
            **{
                n: v.map(change) if isinstance(v, Distributions) else change(v)
                for n, v in held.items()
            },
        )

    def __getitem__(self, index: Any) -> Self:
        """Return the distributions at an index of their common shape, as of a tensor."""
        return self.map(lambda tensor: tensor[index])


Kind = TypeVar("Kind", bound=Distributions)


@dataclass(frozen=True)
class Bernoulli(Distributions):
    """A truth value that is True with probability sigmoid(logit).

    Parameters
    ----------
    logit : Tensor
        Log of the odds of True.
    """

    logit: Tensor

    @property
    def probability(self) -> Tensor:
        """Probability of True, which is the mean."""
        return torch.sigmoid(self.logit)

    def log_prob(self, outcome: Tensor) -> Tensor:
        """Return the log-probability of a bool outcome."""
        return -functional.binary_cross_entropy_with_logits(
            self.logit, outcome.to(self.logit.dtype), reduction="none"
        )

    def mode(self) -> Tensor:
        """Return the more probable outcome, which is the median too: bool."""
        return self.logit > 0

    def quantile(self, level: float) -> Tensor:
        """Return the first outcome, False before True, whose cdf reaches a level: bool."""
        return level > 1 - self.probability

    def cdf(self, outcome: Tensor) -> Tensor:
        """Return the probability of an outcome no greater than a bool one."""
        return torch.where(outcome, 1.0, 1 - self.probability)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n outcomes of each: bool (n, ...)."""
        return uniform(self.logit, n, generator=generator) < self.probability


def concatenate(parts: Sequence[Kind], axis: int = 0) -> Kind:
    """Join distributions of one kind in their order, along an axis of their shape."""
    joined = {}
    for field in fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        join = concatenate if isinstance(values[0], Distributions) else torch.cat
        joined[field.name] = join(values, axis)
    return replace(parts[0], **joined)


def uniform(like: Tensor, n: int, *, generator: torch.Generator) -> Tensor:
    """Draw from [0, 1): ``(n, *like.shape)``, of the type and on the device of ``like``."""
    return torch.rand((n, *like.shape), generator=generator, dtype=like.dtype, device=like.device)


def normal(like: Tensor, n: int, *, generator: torch.Generator) -> Tensor:
    """Draw from Normal(0, 1): ``(n, *like.shape)``, of the type and on the device of ``like``."""
    return torch.randn((n, *like.shape), generator=generator, dtype=like.dtype, device=like.device)


def bisect(cdf: Callable[[Tensor], Tensor], level: Tensor, *, low: Tensor, high: Tensor) -> Tensor:
    """Find the value at which a cdf passes a level, by BISECTIONS halvings.

    Parameters
    ----------
    cdf : callable
        From values to probabilities, both in the common shape of the other parameters.
    level : Tensor
        Probability, float32 or float64.
    low, high : Tensor
        Ends of the interval that holds the value.

    Returns
    -------
    Tensor
        Of the common shape.
    """
    for _ in range(BISECTIONS[level.dtype]):
        middle = (low + high) / 2
        below = cdf(middle) < level
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
