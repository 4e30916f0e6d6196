"""A network in training: its weights, its optimisers, and the step that changes both.

A step never waits for the device: its losses stay there until they are read.
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
from npecat_train.posterior.factors import FACTORS
from npecat_train.posterior.tile_posterior import output_channels
from npecat_train.settings import RunSettings
from npecat_train.training.batch_norm import hold_batch_norm, join_batch_norm
from npecat_train.training.distributed import ALONE, Team
from npecat_train.training.lanes import Lanes, n_lanes
from npecat_train.training.optimisers import load_tensors, make_optimisers, tensors_of

FACTOR_WEIGHTS = (1.0, 1.0, 1.0, 3.0)
"""Weights of the losses by factor in the sum that training minimises; see docs/log.md, weights of
the losses. All losses that are reported are without weights."""

GRADIENT_NORM = 10.0
"""Maximum norm of the gradient, to which a longer one is cut: since predicted scales may be very
small, one misplaced bright star gives a norm of 1e6."""

EVEN_COUNT = 4.0
"""Expected sources of an image of variant wide whose loss has weight 1; see emphasis."""

MIN_COMPILED_STEPS = 5000
"""Minimum of a run's steps for which compiling pays; see docs/log.md, compiled steps."""


class Learner:
    """A network and its optimisers on one device, with fresh weights that follow from the seed.

    Parameters
    ----------
    settings : RunSettings
        Of the run.
    device : torch.device
        Where the network computes.
    n_steps : int
        Optimiser steps of the whole run.
    team : Team, optional
        The processes that train the network together.
    """

    def __init__(
        self, settings: RunSettings, device: torch.device, *, n_steps: int, team: Team = ALONE
    ) -> None:
        self.settings, self.device, self.team = settings, device, team
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = settings.build_network().to(device)
        join_batch_norm(network, team)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        outputs = output_channels(settings.flux)
        self.symmetry = Symmetry(self.network, outputs, tile_maps=settings.tile_maps)
        self.symmetry.begin()
        self.optimisers = make_optimisers(self.network, settings.schedule)
        n, threads = 1, torch.get_num_threads()
        if device.type == "cpu" and team.size == 1:
            n = n_lanes(settings.batch_size, threads)
        self.lanes = Lanes(self.network, n, n_threads=threads)
        self._factor_weights = torch.tensor(FACTOR_WEIGHTS, device=device)
        # PyTorch needs a C compiler to compile.
        pays = n_steps >= MIN_COMPILED_STEPS and shutil.which("cc")
        self._whole_batch_networks: Sequence[Callable[[Tensor, Tensor], Tensor]] = (
            [_compiled(network, n) for network in self.lanes.networks]
            if pays
            else self.lanes.networks
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Set PyTorch's switches as training needs them until the block ends."""
        cudnn = torch.backends.cudnn
        before = cudnn.benchmark
        cudnn.benchmark = True  # all batches but the last have one shape
        try:
            # Where compiling fails, training goes on without.
            with torch._dynamo.config.patch(suppress_errors=True), self.lanes.keep_to_threads():
                yield
        finally:
            cudnn.benchmark = before

    def step(
        self, batch: TrainingBatch, learning_rate: float, *, hold_norm: bool = False
    ) -> Tensor:
        """Take an optimiser step on a global batch.

        Parameters
        ----------
        batch : TrainingBatch
            The images of all processes, on the device.
        learning_rate : float
            Of this step.
        hold_norm : bool, optional
            Whether batch norm uses, and keeps, its running statistics.

        Returns
        -------
        Tensor
            float32 (factor,), mean losses in the order of FACTORS, nats an image.
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
        """Return the mean loss over some images by factor, nats an image.

        First the network is averaged over the symmetries, so that it turns with the image exactly.
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
        """Whether a batch has its full size."""
        return len(batch) == self.settings.batch_size

    def _backward(self, batch: TrainingBatch, hold_norm: bool, lane: int) -> Tensor:
        """Set the gradients of a lane's network; return its share of the mean losses.

        A batch that is not whole belongs to the first lane alone, not compiled.
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
        own = self._own(part)
        of_images = self._losses(call, own)
        losses = of_images.sum(dim=1) / len(batch)
        goal = of_images @ emphasis(own) / len(batch) if self.settings.is_wide else losses
        network.zero_grad(set_to_none=True)
        (goal @ self._factor_weights).backward()
        return losses.detach()

    @torch.inference_mode()
    def _validation_losses(self, batch: TrainingBatch, lane: int) -> Tensor:
        """Losses of a lane's part of a batch, summed over its images: float64 (factor,)."""
        networks = self.lanes.networks
        part = batch.share(lane, len(networks))
        losses = self._losses(networks[lane].eval(), self._own(part))
        return losses.sum(dim=1, dtype=torch.float64)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights and the optimisers' state, by name."""
        weights = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        return weights | {f"optimiser.{n}": t for n, t in tensors_of(self.optimisers).items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore weights and optimisers.

        Parameters
        ----------
        tensors : dict of str to Tensor
            What tensors() returned.

        Raises
        ------
        KeyError
            If a tensor is missing.
        RuntimeError
            If a tensor has another shape than its weight.
        ValueError
            If the network does not turn with the image.
        """
        self.network.load_state_dict(_under("network.", tensors))
        self.symmetry.check()
        load_tensors(self.optimisers, _under("optimiser.", tensors))

    def _own(self, batch: TrainingBatch) -> TrainingBatch:
        """The part of a batch that belongs to this process."""
        return batch.share(self.team.rank, self.team.size)

    def _losses(self, network: Callable[[Tensor, Tensor], Tensor], batch: TrainingBatch) -> Tensor:
        """Losses of the images of a batch by factor: float32 (factor, image)."""
        posterior = tile_posterior(network, batch, settings=self.settings)
        losses = image_losses(posterior, batch)
        return torch.stack([losses[name] for name in FACTORS])


def emphasis(batch: TrainingBatch) -> Tensor:
    """Weights of the images of a batch in the loss that training minimises: float32 (image,).

    The loss of an image grows with its sources, whose number varies 400 times over prior wide.
    Weights that fall with the root of the expected number let neither crowded nor sparse images
    decide alone. They are functions of what the network is told, so that the optimum is the same.

    Parameters
    ----------
    batch : TrainingBatch
        Images of prior wide.
    """
    (density,) = batch.need(("density",)).values()
    expected = density * batch.images[0].numel()
    return torch.sqrt(2 * EVEN_COUNT / (expected + EVEN_COUNT)).float()


def _compiled(network: nn.Module, n_lanes: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A network compiled for batches of one size."""
    # Kernels that are called from C++, not Python, let other lanes run meanwhile.
    return torch.compile(
        network, dynamic=False, options={"cpp_wrapper": True} if n_lanes > 1 else None
    )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
