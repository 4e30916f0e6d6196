"""Train one variant on its stores; the same call resumes a run that was stopped.

An encoder of PSF images is trained before the first step, and again if the run is killed before its
first checkpoint; it then has the same weights.
"""

from contextlib import nullcontext
from pathlib import Path

import torch

from npecat_sim.io.lock import locked
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_train.data.cache import Images, Streamed, choose_home, open_images
from npecat_train.data.loader import batches, n_batches
from npecat_train.network.psf_autoencoder import N_STAMPS, PsfEncoder, fit_encoder
from npecat_train.settings import RunSettings
from npecat_train.training.distributed import ALONE, Team
from npecat_train.training.fine_tune import load_start
from npecat_train.training.learner import Learner
from npecat_train.training.run_folder import Run


def train(
    settings: RunSettings,
    train_store: Store,
    *,
    validation_store: Store,
    folder: Path,
    device: torch.device,
    cache: str = "auto",
    team: Team = ALONE,
    start: Path | None = None,
    first: Store | None = None,
) -> float:
    """Train a variant, or resume its training.

    Parameters
    ----------
    settings : RunSettings
        What the run computes.
    train_store, validation_store : Store
        Its images.
    folder : Path
        Holds the run's checkpoints and logs.
    device : torch.device
        Where the network computes.
    cache : str, optional
        Where the stores are kept, see cache.choose_home.
    team : Team, optional
        The processes that train together.
    start : Path, optional
        The checkpoint whose digest is settings.start.
    first : Store, optional
        The store whose digest is settings.first_digest; one pass over it, always streamed, comes
        before all epochs.

    Returns
    -------
    float
        The lowest validation loss, nats an image.

    Raises
    ------
    NpecatError
        If another process trains in the folder, if it holds a run of other settings or a damaged
        checkpoint, or if the loss is not finite.
    """
    stores = (train_store, validation_store)
    home = choose_home(
        stores, device, cache=cache, passes=settings.epochs, processes=team.on_this_machine
    )
    images, validation = [open_images(store, device, home=home) for store in stores]
    passes: list[Images] = [images] * settings.epochs
    if first:
        passes.insert(0, Streamed(first, device))
    lengths = [len(one) for one in passes]
    with locked(folder) if team.is_first else nullcontext():
        n_steps = n_batches(lengths, settings.batch_size)
        learner = Learner(settings, device, n_steps=n_steps, team=team)
        if start:
            load_start(start, learner)
        run = Run(settings, folder, learner=learner, passes=lengths)
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
            encoder = learner.network.psf_encoder
            if isinstance(encoder, PsfEncoder) and not (start or run.steps_done):
                advance(0, "PSF autoencoder")
                stamps = torch.from_numpy(train_store.array("psf", slice(0, N_STAMPS)))
                fit_encoder(encoder, stamps, seed=settings.seed)
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
