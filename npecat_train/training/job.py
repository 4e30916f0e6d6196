"""One training run from names and folders: its stores, its settings and its cost."""

from dataclasses import dataclass
from pathlib import Path

import torch

from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store, store_path
from npecat_train.settings import VARIANTS, RunSettings
from npecat_train.training.defaults import BATCH_SIZES, CROWDED_EPOCHS, EPOCHS, run_settings
from npecat_train.training.distributed import ALONE, Team
from npecat_train.training.dry_run import Plan, plan
from npecat_train.training.fine_tune import starting_from
from npecat_train.training.loop import train


@dataclass(frozen=True)
class TrainingJob:
    """A run that can be planned or carried out.

    Parameters
    ----------
    settings : RunSettings
        What the run computes.
    images, validation : Store
        Stores of the variant's prior.
    crowded : Store or None
        Crowded images, passed over first.
    start : Path or None
        Checkpoint whose weights the run begins with.
    folder : Path
        Holds the run's checkpoints and logs.
    cache : str
        See data.cache.choose_home.
    """

    settings: RunSettings
    images: Store
    validation: Store
    crowded: Store | None
    start: Path | None
    folder: Path
    cache: str

    @classmethod
    def of(
        cls,
        variant: str,
        device: torch.device,
        *,
        data: Location,
        runs: Path,
        network: str | None = None,
        flux: str = "mixture",
        epochs: int | None = None,
        schedule: str = "cosine",
        batch_size: int | None = None,
        first: Location | None = None,
        start: Path | None = None,
        seed: int = 0,
        cache: str = "auto",
    ) -> "TrainingJob":
        """Make a run of some choices; for the parameters see npecat.train.

        Raises
        ------
        NpecatError
            If a store or the checkpoint to start from is missing, damaged or unsuitable.
        """
        prior = VARIANTS[variant]
        images, validation = [
            Store(store_path(data / prior, split)) for split in ("train", "validation")
        ]
        crowded = Store(store_path(first / prior, "train")) if first else None
        settings = run_settings(
            variant,
            images,
            epochs=epochs or EPOCHS[device.type] - (CROWDED_EPOCHS if crowded else 0),
            seed=seed,
            flux=flux,
            schedule=schedule,
            batch_size=batch_size or BATCH_SIZES[device.type],
            network=network,
            first=crowded,
        )
        if start:
            settings = starting_from(start, settings)
        return cls(settings, images, validation, crowded, start, runs / variant, cache)

    def train(self, device: torch.device, team: Team = ALONE) -> float:
        """Train, or resume training; return the lowest validation loss, nats an image."""
        return train(
            self.settings,
            self.images,
            validation_store=self.validation,
            folder=self.folder,
            device=device,
            cache=self.cache,
            team=team,
            start=self.start,
            first=self.crowded,
        )

    def plan(self, device: torch.device) -> Plan:
        """Estimate the cost of the run by some trial steps that touch no file."""
        return plan(
            self.settings,
            self.images,
            validation_store=self.validation,
            device=device,
            cache=self.cache,
            first=self.crowded,
        )
