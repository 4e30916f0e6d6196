"""A network in training: its weights, its optimisers, and the step that changes both.

A step never waits for the device: what it returns stays there until somebody reads it.
"""

import shutil
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from npecat_train.checkpoint import RunSettings
from npecat_train.data.batch import TrainingBatch
from npecat_train.model import image_losses, tile_posterior
from npecat_train.network.symmetry import Symmetry
from npecat_train.posterior.tile_posterior import output_channels
from npecat_train.training.batch_norm import hold_batch_norm, join_batch_norm
from npecat_train.training.distributed import ALONE, Team
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
        torch.manual_seed(settings.seed)
        torch.backends.cudnn.benchmark = True  # all batches but the last have one shape
        network = settings.build_network().to(device)
        join_batch_norm(network, team)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.symmetry = Symmetry(self.network, output_channels(settings.flux))
        self.symmetry.begin()
        self.optimisers = make_optimisers(self.network, settings.schedule)
        self._factor_weights = torch.tensor(FACTOR_WEIGHTS, device=device)
        # The C compiler is PyTorch's own need.
        pays = n_steps >= LEAST_COMPILED_STEPS and shutil.which("cc")
        if pays:
            torch._dynamo.config.suppress_errors = True  # where compiling fails, go on without
        self._whole_batch_network: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self.network, dynamic=False) if pays else self.network
        )

    def step(self, batch: TrainingBatch, learning_rate: float, hold_norm: bool = False) -> Tensor:
        """One optimiser step on a global batch; returns its mean losses, float32 (factor,).

        hold_norm: see schedule.holds_batch_norm.
        """
        self.network.train()
        if hold_norm:
            hold_batch_norm(self.network)
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = learning_rate
        is_whole = len(batch) == self.settings.batch_size
        can_compile = hold_norm or self.team.size == 1  # batch norm's sums over processes cannot
        network = self._whole_batch_network if is_whole and can_compile else self.network
        losses = self._losses(network, batch).sum(dim=1) / len(batch)
        self.network.zero_grad(set_to_none=True)
        (losses @ self._factor_weights).backward()
        self.team.sum_gradients(self.network.parameters())
        self.symmetry.average_gradients()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        for optimiser in self.optimisers:
            optimiser.step()
        return self.team.sum(losses.detach())

    def validate(self, batches: Iterable[TrainingBatch]) -> dict[str, float]:
        """Mean loss of each factor over all images, nats an image.

        Of a network that turns with the image exactly, as it is then kept.
        """
        self.symmetry.average()
        self.network.eval()
        total = torch.zeros(len(FACTORS), dtype=torch.float64, device=self.device)
        n_images = 0
        with torch.inference_mode():
            for batch in batches:
                total += self._losses(self.network, batch).sum(dim=1, dtype=torch.float64)
                n_images += len(batch)
        means = self.team.sum(total) / n_images
        return dict(zip(FACTORS, means.tolist(), strict=True))

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


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
