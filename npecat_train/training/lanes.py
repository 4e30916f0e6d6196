"""Lanes: threads of one process that each work on a part of every batch, and meet once a step.

PyTorch uses several CPU cores with OpenMP threads, which share every single operation and wait for
each other at its end, hundreds of times a step. If another program takes one of the cores, all
threads wait for the one that the system has interrupted. Lanes share the batch instead: each goes
forward and backward through a copy of the network, and at the end their gradients are added up. If
another program takes a core from one of them, no more than the work of that core is lost.

With one busy process on two cores, two lanes train 149 images a second where one thread trains 136
and two OpenMP threads 63 (docs/training.md, beside another program).

The number of lanes and the order in which their results are added do not depend on the load of the
machine; so the result is the same to the bit. While batch norm moves, each lane has the statistics
of its own part, and the running statistics are the mean over the lanes.
"""

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from copy import deepcopy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

MIN_IMAGES = 8
"""Minimum of a lane's part of a batch, images; see docs/log.md, lanes."""

Result = TypeVar("Result")
"""What the work of a lane returns."""


def n_lanes(batch_size: int, n_threads: int) -> int:
    """Return the number of lanes that share a batch.

    Parameters
    ----------
    batch_size : int
        Images of a whole batch.
    n_threads : int
        Threads that the process may use, at least 1.

    Returns
    -------
    int
        One for every thread while each gets ``MIN_IMAGES`` images, and at least 1.
    """
    return max(1, min(n_threads, batch_size // MIN_IMAGES))


class Lanes:
    """A network and its copies, which share its weights, each with a thread to work in.

    The thread that calls is the first lane, with the network itself.

    Parameters
    ----------
    network : nn.Module
        The network in training; its weights may only be changed in place from now on.
    n : int
        Number of lanes. A single one changes nothing: it works with all threads of the process.
    n_threads : int
        Threads of the process, which the lanes share evenly.

    Attributes
    ----------
    networks : list of nn.Module
        One a lane. Their weights are the same memory; gradients and statistics are their own.
    """

    def __init__(self, network: nn.Module, n: int, *, n_threads: int) -> None:
        self.networks = [network, *(_twin(network) for _ in range(n - 1))]
        self._threads_each = n_threads // n
        threads = (self._threads_each,)
        self._pool = ThreadPoolExecutor(max(1, n - 1), "lane", torch.set_num_threads, threads)
        self._known: set[Hashable] = set()

    @contextmanager
    def keep_to_threads(self) -> Iterator[None]:
        """Limit the calling thread to a lane's share of the threads until the block ends."""
        if len(self.networks) == 1:
            yield
            return
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads_each)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def run(self, work: Callable[[int], Result], kind: Hashable) -> list[Result]:
        """Do some work in all lanes at once, with the network's statistics in every copy.

        To be called within ``keep_to_threads``.

        Parameters
        ----------
        work : Callable[[int], Result]
            Takes the number of a lane, from 0, and may use no network but that lane's.
        kind : Hashable
            Names the work. The first of each kind is done one lane after the other, since PyTorch
            may compile in it what then serves all lanes.

        Returns
        -------
        list of Result
            What ``work`` returned, in the order of the lanes.
        """
        for twin in self.networks[1:]:
            with torch.no_grad():
                torch._foreach_copy_(list(twin.buffers()), list(self.networks[0].buffers()))
        others = range(1, len(self.networks))
        if kind not in self._known:
            self._known.add(kind)
            return [work(0), *(self._begin(work, lane).result() for lane in others)]
        waiting = [self._begin(work, lane) for lane in others]
        try:
            result = work(0)
        finally:
            wait(waiting)
        return [result, *(one.result() for one in waiting)]

    @torch.no_grad()
    def gather(self) -> None:
        """Make the network's gradients the sum over the lanes, and its statistics the mean."""
        for count, twin in enumerate(self.networks[1:], start=2):
            torch._foreach_add_(_gradients(self.networks[0]), _gradients(twin))
            # What is equal in both, as statistics that are held, this leaves as it is.
            torch._foreach_lerp_(_statistics(self.networks[0]), _statistics(twin), 1 / count)

    def _begin(self, work: Callable[[int], Result], lane: int) -> Future[Result]:
        """Start work in a thread of its own, with the caller's settings of PyTorch's compiler."""
        return self._pool.submit(copy_context().run, work, lane)


def _gradients(network: nn.Module) -> list[Tensor]:
    """Gradients of the weights."""
    return [cast(Tensor, weight.grad) for weight in network.parameters()]


def _statistics(network: nn.Module) -> list[Tensor]:
    """Running means and variances of the batch norms."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


def _twin(network: nn.Module) -> nn.Module:
    """A copy that has its weights in the memory of the network's."""
    twin = deepcopy(network)
    for own, weight in zip(twin.parameters(), network.parameters(), strict=True):
        own.data = weight.data
    return twin
