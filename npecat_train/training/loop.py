"""Train one variant on its stores; the same call goes on where a run was stopped."""

from contextlib import nullcontext
from pathlib import Path

import torch

from npecat_sim.io.lock import locked
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_train.data.cache import Images, Streamed, choose_home, open_images
from npecat_train.data.loader import batches, n_batches
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import measure_standardisation
from npecat_train.network.tile_network import NETWORKS
from npecat_train.settings import RunSettings
from npecat_train.training.distributed import ALONE, Team
from npecat_train.training.fine_tune import load_start
from npecat_train.training.learner import Learner
from npecat_train.training.run_folder import Run
from npecat_train.training.schedule import peak_rate

BATCH_SIZES = {"cpu": 32, "cuda": 256}
"""By type of device. Two CPU cores train a third more images a second in batches of 32 than of 16.
In the same time, 86,000 images in batches of 16 and 115,000 in batches of 32 both end at a
validation loss of 3.15 nats an image, 2.66 and 2.61 of them the flux's. A GPU needs more work at a
time."""

SHORT_RUN_BATCH_SIZE = 16
"""Of a run of a few ten thousand images on a CPU, which needs their steps."""

N_TRAIN = 210_000
"""Images of the paper's training store."""

EPOCHS = {"cpu": 3, "cuda": 50}
"""By type of device, of so large a store: about an hour on two CPU cores; the paper's."""

CROWDED_EPOCHS, N_CROWDED = 2, 900_000
"""Of those epochs, which one pass over a store of crowded images stands for, and its images: they
are two of every three that the hour of docs/training.md sees."""

CROWDED_DENSITY = 0.0025
"""Sources a pixel of images to pass over first: four times the paper's."""


def run_settings(
    variant: str,
    store: Store,
    *,
    epochs: int,
    seed: int = 0,
    flux: str = "mixture",
    schedule: str = "cosine",
    batch_size: int = BATCH_SIZES["cpu"],
    network: str = "default",
    first: Store | None = None,
) -> RunSettings:
    """The settings of a run on a training store, whose statistics are measured here.

    flux: a key of factors.FLUX. schedule: one of SCHEDULES. network: a key of NETWORKS. first: a
    store of crowded images to pass over before. Raises NpecatError where it is of another encoding.
    """
    encoding = Encoding.of(store)
    if first:
        encoding.refuse_other(first)
    return RunSettings(
        variant=variant,
        first_digest=first.digest if first else None,
        store_digest=store.digest,
        encoding=encoding,
        standardisation=measure_standardisation(store),
        network=NETWORKS[network],
        flux=flux,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule,
        learning_rate=peak_rate(schedule, batch_size),
        seed=seed,
    )


def train(
    settings: RunSettings,
    train_store: Store,
    validation_store: Store,
    folder: Path,
    device: torch.device,
    cache: str = "auto",
    team: Team = ALONE,
    start: Path | None = None,
    first: Store | None = None,
) -> float:
    """Train a variant, or go on with it; returns the lowest validation loss, nats an image.

    cache: see cache.choose_home. start, first: what settings.start and first_digest name; one
    pass over ``first``, which is always streamed, comes before all epochs.
    Raises NpecatError if another process trains in the folder, if it holds a run of other settings
    or a damaged checkpoint, and where the loss is not finite.
    """
    stores = (train_store, validation_store)
    home = choose_home(
        stores, device, cache=cache, passes=settings.epochs, processes=team.on_this_machine
    )
    images, validation = (open_images(store, device, home=home) for store in stores)
    passes: list[Images] = [images] * settings.epochs
    if first:
        passes.insert(0, Streamed(first, device))
    lengths = [len(one) for one in passes]
    with locked(folder) if team.is_first else nullcontext():
        learner = Learner(settings, device, n_batches(lengths, settings.batch_size), team)
        if start:
            load_start(start, learner)
        run = Run(settings, folder, learner, lengths)
        with (
            (
                progress(
                    f"train {settings.variant}",
                    total=sum(lengths),
                    done=run.images_done,
                    laps=("epoch", lengths),
                )
                if team.is_first
                else nullcontext(lambda images, note: None)
            ) as advance,
            learner.working(),
        ):
            while not run.is_finished:
                shuffle = (settings.seed, run.state.epoch)
                images = passes[run.state.epoch]
                for batch in batches(
                    images, settings.batch_size, shuffle=shuffle, first=run.state.step
                ):
                    run.train_step(batch)
                    advance(len(batch), run.note)
                advance(0, "validation")
                run.finish_epoch(learner.validate(batches(validation, 8 * settings.batch_size)))
    return run.state.best_loss
