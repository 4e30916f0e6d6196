"""Several processes that train one network together, as torchrun starts them.

Each process reads every global batch and works on its own part of it. Sums over the parts, of the
gradients and in batch norm (batch_norm.py), make the step that of one process with the whole
batch; only the order in which numbers are added differs. All processes must see the same files;
the first one writes.
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
    """This process among those that train together; alone unless said otherwise.

    on_this_machine: how many of them share its memory.
    """

    rank: int = 0
    size: int = 1
    on_this_machine: int = 1

    @property
    def is_first(self) -> bool:
        """True in the one process that writes files and shows progress."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each; takes the place of the tensor's."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def sum_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Make every gradient the sum over all processes, in one message."""
        if self.size > 1:
            gradients = [w.grad for w in weights if w.grad is not None]
            total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, part in zip(gradients, total.split(sizes), strict=True):
                gradient.copy_(part.view(gradient.shape))


ALONE = Team()


@contextmanager
def joined() -> Iterator[tuple[Team, torch.device]]:
    """The processes that torchrun started, or this one alone, and the device of this one.

    Raises NpecatError where there are more processes than GPUs.
    """
    has_gpu = torch.cuda.is_available()
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield ALONE, torch.device("cuda" if has_gpu else "cpu")
        return
    local_rank, local_size = (int(os.environ[f"LOCAL_{name}"]) for name in ("RANK", "WORLD_SIZE"))
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
