"""``npecat train``: train one variant on the stores of its prior."""

import time
from datetime import timedelta
from pathlib import Path

import click
import torch

from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store, store_path
from npecat_train.checkpoint import BEST, VARIANTS, RunSettings
from npecat_train.data.cache import CACHES
from npecat_train.network.tile_network import NETWORKS
from npecat_train.posterior.factors import FLUX
from npecat_train.training.distributed import joined
from npecat_train.training.dry_run import TRIAL_STEPS, plan
from npecat_train.training.fine_tune import starting_from
from npecat_train.training.loop import (
    BATCH_SIZES,
    CROWDED_DENSITY,
    CROWDED_EPOCHS,
    EPOCHS,
    N_CROWDED,
    N_TRAIN,
    run_settings,
)
from npecat_train.training.loop import train as train_variant
from npecat_train.training.schedule import SCHEDULES

from .options import DATA_OPTION, RUNS_OPTION, STORAGE


@click.command()
@click.option("--variant", type=click.Choice(list(VARIANTS)), required=True, help="Network.")
@click.option(
    "--network",
    type=click.Choice(list(NETWORKS)),
    default="default",
    help="Size; wide is that of the paper's ancestor, 50 times the arithmetic.",
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
    network: str,
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
    prior = VARIANTS[variant]
    command = f"npecat simulate --prior {prior} --out "
    images, validation = (
        Store(store_path(data / prior, split), f"{command}{data / prior} --n {N_TRAIN}")
        for split in ("train", "validation")
    )
    crowded = None
    if first:
        command += f"{first / prior} --n {N_CROWDED} --density {CROWDED_DENSITY} --seed 1"
        crowded = Store(store_path(first / prior, "train"), command)
    with joined() as (team, device):
        settings = run_settings(
            variant,
            images,
            epochs or EPOCHS[device.type] - (CROWDED_EPOCHS if crowded else 0),
            seed,
            flux,
            schedule,
            batch_size or BATCH_SIZES[device.type],
            network,
            crowded,
        )
        if start:
            settings = starting_from(start, settings)
        if dry_run:
            show_plan(settings, images, validation, device, cache, crowded)
            return
        began = time.perf_counter()
        folder = runs / variant
        loss = train_variant(
            settings, images, validation, folder, device, cache, team, start, crowded
        )
        if team.is_first:
            click.echo(
                f"{variant}: best validation loss {loss:.3f} nats an image, "
                f"{time.perf_counter() - began:.0f} s on {device.type}; {folder / BEST}"
            )


def show_plan(
    settings: RunSettings,
    images: Store,
    validation: Store,
    device: torch.device,
    cache: str,
    first: Store | None,
) -> None:
    """Print what the run would cost."""
    cost = plan(settings, images, validation, device, cache, first)
    kept = f"{cost.cache_bytes / 1e9:.2f} GB of images kept on {cost.home}"
    rows = {
        "network": f"{cost.n_parameters / 1e6:.2f} M parameters, {cost.gmac:.3f} GMAC an image",
        "images": (f"{len(first):,} crowded ones, " if first else "")
        + f"{len(images):,} for training, {len(validation):,} for validation",
        "steps": f"{cost.n_steps:,} in batches of {settings.batch_size}, epochs: {settings.epochs}",
        "rate": f"{settings.schedule}, highest {settings.learning_rate:.2g}",
        "memory": f"{cost.process_bytes / 1e9:.2f} GB in {TRIAL_STEPS} trial steps on {device}, "
        + (kept if cost.home else "images streamed"),
        "time": f"{timedelta(seconds=round(cost.seconds))} at {cost.images_per_second:,.0f} "
        "images/s, from the trial steps and a validation batch, not compiled",
    }
    for name, value in rows.items():
        click.echo(f"{name:<9}{value}")
