"""A network in training: its weights, its optimisers, and the step that changes both.

A step never waits for the device: what it returns stays there until somebody reads it.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from npecat_train.data.batch import TrainingBatch
from npecat_train.model import image_losses, tile_posterior
from npecat_train.network.symmetry import Symmetry
from npecat_train.posterior.tile_posterior import output_channels
from npecat_train.settings import RunSettings
from npecat_train.training.batch_norm import hold_batch_norm, join_batch_norm
from npecat_train.training.distributed import ALONE, Team
from npecat_train.training.lanes import Lanes, n_lanes
from npecat_train.training.optimisers import load_tensors, make_optimisers, tensors_of

FACTORS = ("source", "position", "type", "flux")
"""What the loss is made of, in the order of all vectors of losses."""

FACTOR_WEIGHTS = (1.0, 1.0, 1.0, 3.0)
"""Of these losses in the sum that training lowers. Each is a proper score by itself, so any weights
lead to the true posterior; these decide where a small network does its best. Runs of 86,000 images
end at flux losses of 2.66, 2.59 and 2.58 nats an image with weights of 1, 3 and 6 for the flux, and
at 0.50, 0.69 and 0.97 for the others together. All losses that are told are without weights."""

GRADIENT_NORM = 10.0
"""Longer gradients are cut: with scale floors this low, one misplaced bright star gives 1e6."""

LEAST_COMPILED_STEPS = 5000
"""Compiling takes up to a minute on two CPU cores and saves a fifth of a step of 0.13 s: shorter
runs gain nothing."""


class Learner:
    """One network and its optimisers on one device, with fresh weights that follow from the seed.

    n_steps: optimiser steps of the whole run. team: the processes that train it together.
    """

    def __init__(
        self, settings: RunSettings, device: torch.device, n_steps: int, team: Team = ALONE
    ):
        self.settings, self.device, self.team = settings, device, team
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = settings.build_network().to(device)
        join_batch_norm(network, team)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.symmetry = Symmetry(self.network, output_channels(settings.flux))
        self.symmetry.begin()
        self.optimisers = make_optimisers(self.network, settings.schedule)
        n, threads = 1, torch.get_num_threads()
        if device.type == "cpu" and team.size == 1:
            n = n_lanes(settings.batch_size, threads)
        self.lanes = Lanes(self.network, n, threads)
        self._factor_weights = torch.tensor(FACTOR_WEIGHTS, device=device)
        # The C compiler is PyTorch's own need.
        pays = n_steps >= LEAST_COMPILED_STEPS and shutil.which("cc")
        self._whole_batch_networks: Sequence[Callable[[Tensor, Tensor], Tensor]] = (
            [_compiled(network, n) for network in self.lanes.networks]
            if pays
            else self.lanes.networks
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Meanwhile PyTorch's switches stand as training wants them; afterwards as before."""
        cudnn = torch.backends.cudnn
        before = cudnn.benchmark
        cudnn.benchmark = True  # all batches but the last have one shape
        try:
            # Where compiling fails, training goes on without.
            with torch._dynamo.config.patch(suppress_errors=True), self.lanes.keep_to_threads():
                yield
        finally:
            cudnn.benchmark = before

    def step(self, batch: TrainingBatch, learning_rate: float, hold_norm: bool = False) -> Tensor:
        """One optimiser step on a global batch; returns its mean losses, float32 (factor,).

        hold_norm: see schedule.holds_batch_norm.
        """
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = learning_rate
        backward = partial(self._backward, batch, hold_norm)
        with self.working():
            if self._is_whole(batch):
                losses = torch.stack(self.lanes.run(backward, ("step", hold_norm))).sum(dim=0)
                self.lanes.gather()
            else:
                losses = backward(0)
            self.team.sum_gradients(self.network.parameters())
            self.symmetry.average_gradients()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
            for optimiser in self.optimisers:
                optimiser.step()
        return self.team.sum(losses)

    def validate(self, batches: Iterable[TrainingBatch]) -> dict[str, float]:
        """Mean loss of each factor over all images, nats an image.

        Of a network that turns with the image exactly, as it is then kept.
        """
        self.symmetry.average()
        total = torch.zeros(len(FACTORS), dtype=torch.float64, device=self.device)
        n_images = 0
        with self.working():
            for batch in batches:
                work = partial(self._validation_losses, batch)
                total += torch.stack(self.lanes.run(work, "validation")).sum(dim=0)
                n_images += len(batch)
        means = self.team.sum(total) / n_images
        return dict(zip(FACTORS, means.tolist(), strict=True))

    def _is_whole(self, batch: TrainingBatch) -> bool:
        return len(batch) == self.settings.batch_size

    def _backward(self, batch: TrainingBatch, hold_norm: bool, lane: int) -> Tensor:
        """Gradients of a lane's part of a batch, in its network, and its share of the mean losses.

        A batch that is not whole is all of the first lane's, and never compiled for.
        """
        network = self.lanes.networks[lane].train()
        if hold_norm:
            hold_batch_norm(network)
        call: Callable[[Tensor, Tensor], Tensor] = network
        if self._is_whole(batch):
            part = batch.share(lane, len(self.lanes.networks))
            # Batch norm's sums over processes cannot be compiled.
            if hold_norm or self.team.size == 1:
                call = self._whole_batch_networks[lane]
        else:
            part = batch
        losses = self._losses(call, part).sum(dim=1) / len(batch)
        network.zero_grad(set_to_none=True)
        (losses @ self._factor_weights).backward()
        return losses.detach()

    @torch.inference_mode()
    def _validation_losses(self, batch: TrainingBatch, lane: int) -> Tensor:
        """Of a lane's part of a batch, summed over its images: float64 (factor,)."""
        networks = self.lanes.networks
        part = batch.share(lane, len(networks))
        return self._losses(networks[lane].eval(), part).sum(dim=1, dtype=torch.float64)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimisers' moments, by name."""
        weights = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        return weights | {f"optimiser.{n}": t for n, t in tensors_of(self.optimisers).items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of tensors(); raises RuntimeError or KeyError where they do not fit."""
        self.network.load_state_dict(_under("network.", tensors))
        self.symmetry.check()
        load_tensors(self.optimisers, _under("optimiser.", tensors))

    def _losses(self, network: Callable[[Tensor, Tensor], Tensor], batch: TrainingBatch) -> Tensor:
        """Of this process's part of a batch: float32 (factor, image)."""
        part = batch.share(self.team.rank, self.team.size)
        posterior = tile_posterior(network, self.settings, part)
        losses = image_losses(posterior, part)
        return torch.stack([losses[name] for name in FACTORS])


def _compiled(network: nn.Module, n_lanes: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A network compiled for batches of one size."""
    # C++ that calls the kernels lets other lanes run meanwhile, as Python would not.
    return torch.compile(
        network, dynamic=False, options={"cpp_wrapper": True} if n_lanes > 1 else None
    )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
