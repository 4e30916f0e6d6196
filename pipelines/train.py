"""``npecat train``: train one variant on the stores of its prior."""

import time
from pathlib import Path

import click
import torch

from npecat_sim.files import Location
from npecat_sim.store import Store, store_path
from npecat_train.checkpoint import BEST, VARIANTS
from npecat_train.trainer import train as train_variant

from .options import DATA_OPTION, RUNS_OPTION


@click.command()
@click.option("--variant", type=click.Choice(list(VARIANTS)), required=True, help="Network.")
@click.option("--epochs", type=click.IntRange(min=1), default=50, help="Passes over the store.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of weights and image order.")
@DATA_OPTION
@RUNS_OPTION
def train(variant: str, epochs: int, seed: int, data: Location, runs: Path) -> None:
    """Train a variant; the same command goes on where it stopped."""
    prior = VARIANTS[variant]
    command = f"npecat simulate --prior {prior} --n 210000 --out {data / prior}"
    images = Store(store_path(data / prior, "train"), command)
    validation = Store(store_path(data / prior, "validation"), command)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start = time.perf_counter()
    loss = train_variant(variant, images, validation, runs / variant, epochs, seed, device)
    click.echo(
        f"{variant}: best validation loss {loss:.3f} nats an image, "
        f"{time.perf_counter() - start:.0f} s on {device.type}; {runs / variant / BEST}"
    )
