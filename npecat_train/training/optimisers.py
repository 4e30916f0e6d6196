"""The optimisers: Muon for the weights of the blocks' convolutions, and Adam for all others.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) moves a matrix by its
momentum with all singular values set to one. For the comparison with Adam alone see docs/log.md,
optimisers.
"""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from npecat_train.network.tile_network import ConvBlock

MOMENTUM = 0.95
"""Share of the old momentum in the new (Jordan et al. 2024)."""

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
"""Coefficients of X, (X X') X and (X X')^2 X in a step of the iteration (Jordan et al. 2024)."""

NEWTON_SCHULZ_STEPS = 5
"""Steps of the iteration (Jordan et al. 2024)."""

MIN_NORM = 1e-7
"""Minimum of the norm by which a matrix is divided (Jordan et al. 2024)."""

ADAM_STEP = 0.2
"""Root mean square of Adam's steps at a rate of 1 (Liu et al. 2025, section 2.2)."""


def make_optimisers(network: nn.Module, schedule: str) -> tuple[Optimizer, ...]:
    """Make the optimisers of a network; the learning rate must be set before every step.

    Parameters
    ----------
    network : nn.Module
        In the memory format channels_last.
    schedule : str
        One of schedule.SCHEDULES; ``paper`` uses Adam for all weights.
    """
    if schedule == "paper":
        return (Adam(network.parameters(), fused=True),)
    weights = [
        next(block.parameters()) for block in network.modules() if isinstance(block, ConvBlock)
    ]
    of_muon = set(map(id, weights))
    others = [weight for weight in network.parameters() if id(weight) not in of_muon]
    return ConvolutionMuon(weights), Adam(others, fused=True)


class ConvolutionMuon(Optimizer):
    """Muon for weights of convolutions, each a matrix of ``out`` rows.

    The steps are those of torch.optim.Muon without weight decay, and have the size of Adam's at
    the same rate (Liu et al. 2025, arXiv:2502.16982). Matrices of one shape are worked on together,
    since most are small and alike: one by one they take three times as long.

    Parameters
    ----------
    weights : iterable of nn.Parameter
        (out, in, y, x) each.
    """

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        super().__init__(weights, {"lr": 0.0})
        self.alike: dict[torch.Size, list[Tensor]] = {}
        for weight in self.param_groups[0]["params"]:
            self.alike.setdefault(weight.shape, []).append(weight)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the convolutions' weights against their gradients; ``closure`` is not used."""
        rate = self.param_groups[0]["lr"]
        for shape, weights in self.alike.items():
            gradients = [cast(Tensor, weight.grad) for weight in weights]
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            matrices = torch.stack(ahead).flatten(start_dim=2)
            rows, columns = matrices.shape[1:]
            steps = torch.unflatten(orthogonal(matrices), 2, shape[1:])
            size = rate * ADAM_STEP * math.sqrt(max(rows, columns))
            torch._foreach_add_(weights, steps.unbind(), alpha=-size)

    def _momentum(self, weight: Tensor) -> Tensor:
        """Return the momentum of a weight, zero at first."""
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of some matrices to between 0.7 and 1.2.

    Parameters
    ----------
    matrices : Tensor
        float32 (matrix, row, column).

    Returns
    -------
    Tensor
        Of the same shape.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if is_tall else matrices
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=MIN_NORM)
    linear, cubic, quintic = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = wide @ wide.mT
        higher = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        wide = torch.baddbmm(wide, higher, wide, beta=linear)
    return wide.mT if is_tall else wide


MOMENTS = {Adam: ("step", "exp_avg", "exp_avg_sq"), ConvolutionMuon: ("momentum_buffer",)}
"""State of a weight in each optimiser; all but the step have the weight's shape."""


def tensors_of(optimisers: Iterable[Optimizer]) -> dict[str, Tensor]:
    """Return the state of the optimisers, by name."""
    return {
        f"{number}.{index}.{name}": tensor
        for number, optimiser in enumerate(optimisers)
        for index, moments in optimiser.state_dict()["state"].items()
        for name, tensor in moments.items()
    }


def load_tensors(optimisers: Iterable[Optimizer], tensors: dict[str, Tensor]) -> None:
    """Restore the state of the optimisers.

    Parameters
    ----------
    optimisers : iterable of Optimizer
        Of a network like that of the state.
    tensors : dict of str to Tensor
        What tensors_of returned.

    Raises
    ------
    KeyError
        If a tensor is missing.
    RuntimeError
        If a tensor has another shape than its weight.
    """
    for number, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for index, weights in enumerate(optimiser.param_groups[0]["params"]):
            state[index] = {}
            for name in MOMENTS[type(optimiser)]:
                stored = tensors[f"{number}.{index}.{name}"]
                if name != "step":
                    if stored.shape != weights.shape:
                        shape = list(stored.shape)
                        raise RuntimeError(f"optimiser.{number}.{index}.{name} is of shape {shape}")
                    # The fused optimiser needs moments in the same memory order as their weights.
                    stored = torch.empty_like(weights.detach()).copy_(stored)
                state[index][name] = stored
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
