"""Batch norm over the global batch of several processes, and batch norm that holds still."""

from typing import Any

import torch
from torch import Tensor, nn

from npecat_train.training.distributed import Team


def join_batch_norm(network: nn.Module, team: Team) -> None:
    """Make a network's batch norms use the statistics of the global batch.

    Parameters
    ----------
    network : nn.Module
        Its weights may only be loaded afterwards.
    team : Team
        The processes that share each batch.
    """
    if team.size > 1:
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, GlobalBatchNorm(child, team))


def hold_batch_norm(network: nn.Module) -> None:
    """Make the batch norms of a network in training use, and keep, their running statistics."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm with the mean and variance over the parts of all processes.

    Equals nn.BatchNorm2d on the whole batch. PyTorch's SyncBatchNorm does the same on GPUs only.

    Parameters
    ----------
    like : nn.BatchNorm2d
        The batch norm that this one replaces.
    team : Team
        The processes that share each batch.
    """

    def __init__(self, like: nn.BatchNorm2d, team: Team) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, device=like.weight.device)
        assert like.momentum is not None  # none of ours averages over all batches
        self.team, self.new_share = team, like.momentum

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features.

        Parameters
        ----------
        features : Tensor
            (batch, channel, y, x); the batch may be empty in some processes.
        """
        if not self.training:
            return super().forward(features)
        running_mean = self.get_buffer("running_mean")
        running_variance = self.get_buffer("running_var")
        # Both sums are taken about the running mean, so that their difference loses no digits.
        shifted = features.float() - running_mean[:, None, None]
        count = shifted.new_full((1,), shifted.numel() / self.num_features)
        sums = torch.cat([shifted.sum((0, 2, 3)), shifted.square().sum((0, 2, 3)), count])
        total: Tensor = _SumOverProcesses.apply(sums, self.team)  # type: ignore[no-untyped-call]
        count = total[-1].detach()
        offset, square = (total[:-1] / count).view(2, self.num_features)
        variance = square - offset.square()
        with torch.no_grad():
            running_mean.add_(self.new_share * offset)
            running_variance.lerp_(variance * count / (count - 1), self.new_share)
            self.get_buffer("num_batches_tracked").add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - offset * scale
        normalised: Tensor = shifted * scale[:, None, None] + shift[:, None, None]
        return normalised.to(features.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor, and its gradient too, over all processes, since each feeds all sums."""

    @staticmethod
    def forward(context: Any, tensor: Tensor, team: Team) -> Tensor:
        """Return the sum over all processes."""
        context.team = team
        return team.sum(tensor.clone())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients; the team has none."""
        return context.team.sum(gradient.clone()), None
