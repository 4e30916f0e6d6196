"""The state of one training run: its progress, its losses, and the files that keep both.

The order of images, their turns and flips follow from (seed, epoch, batch); the last checkpoint
holds the weights, the optimiser's state and all else that decides the next steps. So a run that was
killed computes the same as an undisturbed one. Files are replaced in one step, the best checkpoint
before the last one, and the log is written from the last checkpoint: whatever a kill destroys is
made again.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from npecat_sim.errors import NpecatError
from npecat_sim.io.json_files import write_json
from npecat_sim.io.plain import from_plain
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST, SETTINGS
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.loader import n_batches
from npecat_train.posterior.factors import FACTORS
from npecat_train.settings import RunSettings
from npecat_train.training import log
from npecat_train.training.learner import Learner
from npecat_train.training.schedule import holds_batch_norm, learning_rate

PATIENCE = 10
"""Epochs without a lower validation loss before training stops."""

CHECKPOINT_EVERY = 1000
"""Steps between checkpoints inside an epoch: a minute or two of work on two CPU cores."""

READ_EVERY = 50
"""Steps between readings of the loss, which wait for a GPU to finish its work, and between averages
over the symmetries, which undo the effect of rounding."""

SMOOTHING = 0.02
"""Weight of the newest step in the smoothed loss that is shown."""


@dataclass
class State:
    """The progress of a run.

    Parameters
    ----------
    epoch, step : int
        The next step and its epoch, both from 0; ``step`` counts within the epoch.
    best_loss : float
        The lowest validation loss so far, nats an image.
    epochs_without_gain : int
        Epochs since then.
    history : list of dict
        A row of the log for each finished epoch.
    """

    epoch: int = 0
    step: int = 0
    best_loss: float = math.inf
    epochs_without_gain: int = 0
    history: list[log.Row] = field(default_factory=list)


class Run:
    """A run in its folder, which is resumed from the last checkpoint if there is one.

    Parameters
    ----------
    settings : RunSettings
        What the run computes.
    folder : Path
        Holds its checkpoints and logs.
    learner : Learner
        The network in training; gets the weights of the last checkpoint.
    passes : sequence of int
        Number of images of each epoch.

    Raises
    ------
    NpecatError
        If the folder holds a run of other settings or a damaged checkpoint.
    """

    def __init__(
        self, settings: RunSettings, folder: Path, *, learner: Learner, passes: Sequence[int]
    ) -> None:
        self.settings, self.folder, self.learner, self.passes = settings, folder, learner, passes
        self.n_steps = n_batches(passes, settings.batch_size)
        self.state = State()
        self._smooth, self._epoch_sum = torch.zeros(
            (2, len(FACTORS)), dtype=torch.float64, device=learner.device
        )
        self.note = ""
        if (folder / LAST).exists():
            self._resume()
        self.board: log.TensorBoard | None = None
        if learner.team.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            for unfinished in folder.glob(".*.partial"):  # of a run that was killed while it wrote
                unfinished.unlink()
            write_json(folder / SETTINGS, settings.to_json())
            if self.state.history:
                log.write_csv(folder, self.state.history)
            self.board = log.TensorBoard(folder, first_epoch=self.state.epoch + 1)

    @property
    def steps_done(self) -> int:
        """Number of optimiser steps since the start of the run."""
        before = n_batches(self.passes[: self.state.epoch], self.settings.batch_size)
        return before + self.state.step

    @property
    def images_done(self) -> int:
        """Number of images since the start of the run."""
        before = sum(self.passes[: self.state.epoch])
        in_epoch = self.state.step * self.settings.batch_size
        return min(before + in_epoch, sum(self.passes[: self.state.epoch + 1]))

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch is over, or PATIENCE epochs brought no lower validation loss."""
        done = self.state.epoch >= len(self.passes)
        return done or self.state.epochs_without_gain >= PATIENCE

    def train_step(self, batch: TrainingBatch) -> None:
        """Take an optimiser step on the next batch of the epoch, turned and flipped at random."""
        state = self.state
        choice = np.random.default_rng((self.settings.seed, state.epoch, state.step)).integers(8)
        batch = batch.turned(int(choice) % 4, bool(choice >= 4))
        # Weights of another run were trained with its statistics held still, and fit no others.
        hold_norm = self.settings.start is not None or holds_batch_norm(
            self.settings.schedule, self.steps_done, n_steps=self.n_steps
        )
        losses = self.learner.step(batch, self._rate(self.steps_done), hold_norm=hold_norm)
        losses = losses.double()
        if state.step == 0:
            self._smooth.copy_(losses)
        self._smooth.lerp_(losses, SMOOTHING)
        self._epoch_sum.add_(losses, alpha=len(batch))
        state.step += 1
        if state.step % READ_EVERY == 1:
            self._read_losses()
            self.learner.symmetry.average()
        if state.step % CHECKPOINT_EVERY == 0:
            self.save()

    def finish_epoch(self, validation: dict[str, float]) -> None:
        """Log the epoch, keep the weights if they are the best so far, save the state.

        Parameters
        ----------
        validation : dict of str to float
            Mean loss over the validation store by factor, nats an image.
        """
        self._read_losses()
        state, loss = self.state, sum(validation.values())
        row: log.Row = {
            "epoch": state.epoch + 1,
            "images": self.images_done,
            "rate": self._rate(self.steps_done - 1),
            "train": float(self._epoch_sum.sum()) / self.passes[state.epoch],
            "validation": loss,
            **validation,
        }
        state.history.append(row)
        state.epochs_without_gain += 1
        if loss < state.best_loss:
            state.best_loss, state.epochs_without_gain = loss, 0
            self._save_best()
        if self.board:
            self.board.write(row)
        state.epoch, state.step = state.epoch + 1, 0
        self._epoch_sum.zero_()
        self.save()
        if self.learner.team.is_first:
            log.write_csv(self.folder, state.history)

    def save(self) -> None:
        """Write the last checkpoint; raises NpecatError if a number is not finite."""
        self._read_losses()
        tensors = self.learner.tensors()
        if not torch.stack([tensor.isfinite().all() for tensor in tensors.values()]).all():
            raise self._not_finite("weights are")
        tensors |= {"loss.smooth": self._smooth, "loss.epoch_sum": self._epoch_sum}
        if self.learner.team.is_first:
            checkpoint.save(
                self.folder / LAST, tensors, settings=self.settings, state=asdict(self.state)
            )

    def _save_best(self) -> None:
        """Write the weights as the best checkpoint."""
        if self.learner.team.is_first:
            state = {"epoch": self.state.epoch + 1, "validation": self.state.history[-1]}
            weights = self.learner.network.state_dict()
            checkpoint.save(self.folder / BEST, weights, settings=self.settings, state=state)

    def _resume(self) -> None:
        """Take weights and state from the last checkpoint, which must be of the same settings."""
        path = self.folder / LAST
        tensors, settings, state = checkpoint.load(path)
        here, there = self.settings.to_json(), settings.to_json()
        for name, value in here.items():
            if there[name] != value:
                raise NpecatError(
                    f"{self.folder} holds a run with {name} = {there[name]}, not {value}; "
                    "choose another folder or delete it",
                    parameters=("runs",),
                )
        with checkpoint.fitting(path):
            self.state = from_plain(State, state)
            self._smooth.copy_(tensors["loss.smooth"])
            self._epoch_sum.copy_(tensors["loss.epoch_sum"])
            self.learner.load(tensors)

    def _rate(self, step: int) -> float:
        """Learning rate of a step, counted from the start of the run."""
        settings = self.settings
        return learning_rate(
            settings.schedule, settings.learning_rate, step=step, n_steps=self.n_steps
        )

    def _read_losses(self) -> None:
        """Fetch the losses from the device; one that is not finite stays in the sum until then."""
        smooth, epoch_sum = torch.stack([self._smooth, self._epoch_sum]).tolist()
        if not math.isfinite(sum(epoch_sum)):
            raise self._not_finite("loss is")
        factors = ", ".join(f"{n} {loss:.2f}" for n, loss in zip(FACTORS, smooth, strict=True))
        self.note = f"loss {sum(smooth):.2f}: {factors}"

    def _not_finite(self, what: str) -> NpecatError:
        """Make the error for losses or weights that are not finite."""
        return NpecatError(
            f"{self.folder}: the {what} not finite at epoch {self.state.epoch + 1}, step "
            f"{self.state.step}, and not saved; train again with another seed in another folder",
            parameters=("seed", "runs"),
        )
