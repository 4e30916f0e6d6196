"""``npecat train``: train a network of one variant on the stores of its prior."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
import torch

from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.io.outputs import check_output_folder
from npecat_sim.io.storage import Location
from npecat_train.checkpoint import BEST
from npecat_train.data.cache import CACHES
from npecat_train.network.tile_network import NETWORKS
from npecat_train.posterior.factors import FLUX
from npecat_train.settings import VARIANTS
from npecat_train.training.defaults import BATCH_SIZES, CROWDED_DENSITY, CROWDED_EPOCHS, EPOCHS
from npecat_train.training.distributed import joined
from npecat_train.training.dry_run import TRIAL_STEPS
from npecat_train.training.job import TrainingJob
from npecat_train.training.schedule import SCHEDULES

from .options import DATA_OPTION, RUNS_OPTION, STORAGE

N_CROWDED = 900_000
"""Crowded images to pass over first, as in docs/training.md."""


@click.command()
@click.option("--variant", type=click.Choice(list(VARIANTS)), required=True, help="Network.")
@click.option(
    "--network",
    type=click.Choice(list(NETWORKS)),
    show_default="large for wide, else default",
    help="Size; ancestor is that of the paper's, 50 times the arithmetic.",
)
@click.option(
    "--flux", type=click.Choice(list(FLUX)), default="mixture", help="Family of flux posteriors."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help=f"Passes over the store.  [default: {EPOCHS['cpu']} on a CPU, {EPOCHS['cuda']} on GPUs, "
    f"{CROWDED_EPOCHS} less with --first]",
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default="cosine",
    help="A cosine after a warm-up, by Muon and Adam; or the paper's steps, by Adam alone.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help=f"Images a step.  [default: {BATCH_SIZES['cpu']} on a CPU, {BATCH_SIZES['cuda']} on GPUs]",
)
@click.option(
    "--first",
    type=STORAGE,
    help="Folder like --data, of crowded images to pass over first: they teach faster.",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Begin with the weights of this checkpoint.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of weights and image order.")
@click.option(
    "--cache",
    type=click.Choice(CACHES),
    default="auto",
    help="Where to keep stores; auto: on the GPU, or in RAM, if they fit half of what is free.",
)
@click.option("--dry-run", is_flag=True, help="Only tell size, memory and time.")
@DATA_OPTION
@RUNS_OPTION
def train(
    variant: str,
    network: str | None,
    flux: str,
    epochs: int | None,
    schedule: str,
    batch_size: int | None,
    first: Location | None,
    start: Path | None,
    seed: int,
    cache: str,
    dry_run: bool,
    data: Location,
    runs: Path,
) -> None:
    """Train a variant; the same command goes on where it stopped.

    On several GPUs: torchrun --nproc-per-node 8 -m npecat train ...
    """
    if not dry_run:
        check_output_folder("runs", runs / variant, {})
    with joined() as (team, device), naming_crowded_images(variant, first):
        job = TrainingJob.of(
            variant,
            device,
            data=data,
            runs=runs,
            network=network,
            flux=flux,
            epochs=epochs,
            schedule=schedule,
            batch_size=batch_size,
            first=first,
            start=start,
            seed=seed,
            cache=cache,
        )
        if dry_run:
            show_plan(job, device)
            return
        began = time.perf_counter()
        loss = job.train(device, team)
        if team.is_first:
            click.echo(
                f"{variant}: best validation loss {loss:.3f} nats an image, "
                f"{time.perf_counter() - began:.0f} s on {device.type}; {job.folder / BEST}"
            )


@contextmanager
def naming_crowded_images(variant: str, first: Location | None) -> Iterator[None]:
    """Where the store of --first is missing, name the command that simulates crowded images."""
    try:
        yield
    except StoreError as error:
        place = first / VARIANTS[variant] if first and VARIANTS[variant] != "wide" else None
        if error.settings or error.path.parent != place:
            raise
        raise NpecatError(
            f"{error}; run: npecat simulate --prior {VARIANTS[variant]} --n {N_CROWDED} "
            f"--density {CROWDED_DENSITY} --seed 1 --n-validation 0 --n-test 0 "
            f"--out {error.path.parent}"
        ) from error


def show_plan(job: TrainingJob, device: torch.device) -> None:
    """Print the size, memory and time of a training run, estimated from a few trial steps."""
    cost, settings, crowded = job.plan(device), job.settings, job.crowded
    kept = f"{cost.cache_bytes / 1e9:.2f} GB of images kept on {cost.home}"
    rows = {
        "network": f"{cost.n_parameters / 1e6:.2f} M parameters, {cost.gmac:.3f} GMAC an image",
        "images": (f"{len(crowded):,} crowded ones, " if crowded else "")
        + f"{len(job.images):,} for training, {len(job.validation):,} for validation",
        "steps": f"{cost.n_steps:,} in batches of {settings.batch_size}, epochs: {settings.epochs}",
        "rate": f"{settings.schedule}, highest {settings.learning_rate:.2g}",
        "memory": f"{cost.process_bytes / 1e9:.2f} GB in {TRIAL_STEPS} trial steps on {device}, "
        + (kept if cost.home else "images streamed"),
        "time": f"{timedelta(seconds=round(cost.seconds))} at {cost.images_per_second:,.0f} "
        "images/s, from the trial steps and a validation batch, not compiled",
    }
    for name, value in rows.items():
        click.echo(f"{name:<9}{value}")
