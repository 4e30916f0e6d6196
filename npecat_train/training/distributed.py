"""Several processes that train one network together, as torchrun starts them.

Each process reads every global batch and works on its own part of it. The gradients, and the
statistics of batch norm (batch_norm.py), are summed over the parts, so that a step is the same as
that of one process with the whole batch, except for the order in which numbers are added. All
processes must see the same files; the first one writes.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from npecat_sim.errors import NpecatError


@dataclass(frozen=True)
class Team:
    """The place of this process among those that train together; by default it is alone.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    on_this_machine : int
        Number of the processes that share this machine's memory.
    """

    rank: int = 0
    size: int = 1
    on_this_machine: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place, to the same bits in each; return it."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def sum_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one message."""
        if self.size > 1:
            gradients = [w.grad for w in weights if w.grad is not None]
            total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, part in zip(gradients, torch.split(total, sizes), strict=True):
                gradient.copy_(part.view(gradient.shape))


ALONE = Team()
"""The only process of its training."""


@contextmanager
def joined() -> Iterator[tuple[Team, torch.device]]:
    """Join the processes that torchrun started, if it did, until the block ends.

    Yields
    ------
    team : Team
        This process among them.
    device : torch.device
        Where this process computes.

    Raises
    ------
    NpecatError
        If there are GPUs, but fewer than processes.
    """
    has_gpu = torch.cuda.is_available()
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield ALONE, torch.device("cuda" if has_gpu else "cpu")
        return
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if has_gpu and local_size > torch.cuda.device_count():
        raise NpecatError(
            f"{local_size} processes for {torch.cuda.device_count()} GPUs; "
            "lower torchrun's --nproc-per-node"
        )
    device = torch.device("cuda", local_rank) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Team(int(os.environ["RANK"]), size, local_size), device
    finally:
        distributed.destroy_process_group()
