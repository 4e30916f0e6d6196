"""Train one variant on a store; resumes where it stopped.

The order of images, their turns and flips follow from (seed, epoch, batch), the weights and the
optimiser's state lie in the last checkpoint: a resumed run computes what an undisturbed one does.
"""

import csv
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.files import write_json
from npecat_sim.progress import progress
from npecat_sim.store import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST, LOG, SETTINGS, RunSettings
from npecat_train.forward import image_losses, tile_posterior
from npecat_train.inputs import measure_standardisation
from npecat_train.loader import TrainingBatch, batches, n_batches
from npecat_train.network import NetworkSize
from npecat_train.predict import negative_log_likelihoods

BATCH_SIZE = 16
LEARNING_RATE = 3e-3
"""The paper's rate is 1e-3, for a network ten times larger. This one, after 30,000 images, reaches
a validation loss of 14.4 nats an image at 1e-3 and 13.1 at 3e-3 in batches of 32, and 11.8 at
3e-3 in batches of 16."""
DECAY_AT, DECAY_BY = 0.64, 0.1
"""The rate falls by a factor 0.1 after 32 of the paper's 50 epochs (Patel et al. 2025)."""
WARM_UP_STEPS = 200
"""The first steps rise linearly to the full rate: batch norm has no statistics yet."""
GRADIENT_NORM = 10.0
"""Longer gradients are cut: with scale floors this low, one misplaced bright star gives 1e6."""
PATIENCE = 10
"""Epochs without a lower validation loss before training stops."""
CHECKPOINT_EVERY = 1000
"""Steps between checkpoints inside an epoch: a minute or two of work on two CPU cores."""

LOG_COLUMNS = (
    "epoch",
    "images",
    "rate",
    "train",
    "validation",
    "source",
    "position",
    "type",
    "flux",
)


def train(
    variant: str,
    flux: str,
    train_store: Store,
    validation_store: Store,
    folder: Path,
    epochs: int,
    seed: int,
    device: torch.device,
) -> float:
    """Train a variant, or go on with it; returns the lowest validation loss, nats an image.

    Raises NpecatError if the folder holds a run of other settings.
    """
    settings = RunSettings(
        variant=variant,
        store_digest=train_store.digest,
        standardisation=measure_standardisation(train_store),
        network=NetworkSize(),
        flux=flux,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )
    run = Run(settings, folder, device)
    steps_an_epoch = n_batches(len(train_store), settings.batch_size)
    shown = len(train_store) * epochs
    already = min((run.epoch * steps_an_epoch + run.step) * settings.batch_size, shown)
    with progress(f"train {variant}", shown, already) as advance:
        while run.epoch < epochs and run.epochs_without_gain < PATIENCE:
            stream = batches(train_store, settings.batch_size, (seed, run.epoch), run.step)
            for batch in stream:
                run.train_step(batch, run.step / steps_an_epoch)
                if run.step % CHECKPOINT_EVERY == 0:
                    run.save_last()
                advance(len(batch.images), f"epoch {run.epoch + 1}, loss {run.smooth_loss:.2f}")
            run.finish_epoch(run.validate(validation_store), len(train_store))
    return run.best_loss


class Run:
    """The state of one training run and the steps that change it."""

    def __init__(self, settings: RunSettings, folder: Path, device: torch.device):
        self.settings, self.folder, self.device = settings, folder, device
        self.epoch, self.step = 0, 0
        self.best_loss, self.epochs_without_gain = math.inf, 0
        self.smooth_loss, self.epoch_loss = math.nan, 0.0
        torch.manual_seed(settings.seed)
        network = settings.build_network().to(device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, fused=True
        )
        if (folder / LAST).exists():
            self._resume()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / SETTINGS, settings.to_json())

    def train_step(self, batch: TrainingBatch, epoch_share: float) -> None:
        """One optimiser step; ``epoch_share`` of the epoch has passed before it."""
        self.network.train()
        choice = np.random.default_rng((self.settings.seed, self.epoch, self.step)).integers(8)
        batch = batch.to(self.device).turned(int(choice) % 4, bool(choice >= 4))
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(self.epoch + epoch_share)
        loss = torch.stack(list(self._losses(batch).values())).sum(dim=0).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.optimiser.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NpecatError(
                f"{self.folder}: the loss of epoch {self.epoch + 1}, step {self.step + 1} is "
                f"{value}; go on from {LAST} with another --seed"
            )
        started = math.isfinite(self.smooth_loss)
        self.smooth_loss = 0.98 * self.smooth_loss + 0.02 * value if started else value
        self.epoch_loss += value * len(batch.images)
        self.step += 1

    def validate(self, store: Store) -> dict[str, float]:
        """Mean loss of each factor over the validation store, nats an image."""
        self.network.eval()
        stream = batches(store, 8 * self.settings.batch_size)
        losses = negative_log_likelihoods(self.network, self.settings, stream)
        return {name: float(loss.mean(dtype=np.float64)) for name, loss in losses.items()}

    def _losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        return image_losses(tile_posterior(self.network, self.settings, batch), batch)

    def finish_epoch(self, validation: dict[str, float], n_images: int) -> None:
        """Log the epoch, keep the weights if they are the best so far, save the state."""
        loss = sum(validation.values())
        row = {
            "epoch": self.epoch + 1,
            "images": (self.epoch + 1) * n_images,
            "rate": self._learning_rate(self.epoch + 1),
            "train": self.epoch_loss / n_images,
            "validation": loss,
            **validation,
        }
        self._log({name: f"{value:.6g}" for name, value in row.items()})
        self.epochs_without_gain += 1
        if loss < self.best_loss:
            self.best_loss, self.epochs_without_gain = loss, 0
            state = {"epoch": self.epoch + 1, "validation": validation}
            checkpoint.save(self.folder / BEST, self.network.state_dict(), self.settings, state)
        self.epoch, self.step, self.epoch_loss = self.epoch + 1, 0, 0.0
        self.save_last()

    def save_last(self) -> None:
        """Write all that a resumed run needs."""
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": t for name, t in moments.items()}
        state = {name: getattr(self, name) for name in self._STATE}
        checkpoint.save(self.folder / LAST, tensors, self.settings, state)

    _STATE = ("epoch", "step", "best_loss", "epochs_without_gain", "smooth_loss", "epoch_loss")

    def _resume(self) -> None:
        tensors, settings, state = checkpoint.load(self.folder / LAST)
        here, there = self.settings.to_json(), settings.to_json()
        for name, value in here.items():
            if there[name] != value:
                raise NpecatError(
                    f"{self.folder} holds a run with {name} = {there[name]}, not {value}; "
                    "choose another --runs or delete it"
                )
        self.network.load_state_dict(_under("network.", tensors))
        moments = {}
        for index, weights in enumerate(self.network.parameters()):
            moments[index] = _under(f"optimiser.{index}.", tensors)
            # The fused optimiser walks memory, so a moment must lie there as its weights do.
            for name in ("exp_avg", "exp_avg_sq"):
                stored = moments[index][name]
                moments[index][name] = torch.empty_like(weights.detach()).copy_(stored)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        for name in self._STATE:
            setattr(self, name, state[name])

    def _learning_rate(self, epochs_passed: float) -> float:
        """The paper's two steps, scaled to the chosen number of epochs, after a short rise."""
        decay = DECAY_BY if epochs_passed >= DECAY_AT * self.settings.epochs else 1.0
        rise = min(1.0, (self.step + 1) / WARM_UP_STEPS) if self.epoch == 0 else 1.0
        return self.settings.learning_rate * decay * rise

    def _log(self, row: dict[str, str]) -> None:
        path = self.folder / LOG
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
