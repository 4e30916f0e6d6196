"""Compare widths and blocks of the network: ``python -m npecat.experiments.networks``.

Each candidate of 48 blocks is trained on the same images in the same order once, with the default
schedule. Its validation loss is printed beside its arithmetic and its speed. To measure the speeds
the candidates take turns on one batch, so that other work of the machine slows all of them alike.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import torch

from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store, store_path
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.network.tile_network import NETWORKS
from npecat_train.training.defaults import SHORT_RUN_BATCH_SIZE, run_settings
from npecat_train.training.dry_run import gmac
from npecat_train.training.learner import Learner
from npecat_train.training.loop import train

from ..benchmarks.train import rates_in_turn
from ..cli import main
from ..commands.options import DATA_OPTION

SHORT = replace(NETWORKS["default"], bottlenecks=(4, 4, 4, 4), dilations=(1, 1, 2, 1))
"""The candidate that most others are variants of."""

CANDIDATES = {
    "four short modules": SHORT,
    "straight to the tiles": replace(SHORT, half_channels=(), bottlenecks=(4, 4, 4, 5)),
    "four half-resolution blocks": replace(
        SHORT, half_channels=(32, 32, 32, 32), bottlenecks=(4, 4, 4, 3)
    ),
    "narrower half-resolution": replace(SHORT, half_channels=(24, 24)),
    "two full-resolution blocks": replace(SHORT, pixel_channels=(8, 16), half_channels=(32,)),
    "narrower at the tiles": replace(SHORT, channels=48, hidden_channels=24),
    "wider bottlenecks": replace(SHORT, hidden_channels=48),
    "wider at the tiles": replace(SHORT, channels=96, hidden_channels=48),
    "two long modules": NETWORKS["default"],
}
"""Name -> size; all have 48 blocks and at most 0.6 GMAC an image."""


@click.command(context_settings={"show_default": True})
@DATA_OPTION
@click.option("--rounds", default=10, help="Of the comparison of speeds.")
@click.option("--only", multiple=True, type=click.Choice(list(CANDIDATES)), help="Candidates.")
def compare_networks(data: Location, rounds: int, only: tuple[str, ...]) -> None:
    """Train every candidate once over the images of prior many and compare."""
    images = Store(store_path(data / "many", "train"))
    validation = Store(store_path(data / "many", "validation"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {
        name: replace(
            run_settings("psf_aware", images, epochs=1, batch_size=SHORT_RUN_BATCH_SIZE),
            network=CANDIDATES[name],
        )
        for name in only or CANDIDATES
    }
    learners = {name: Learner(one, device, n_steps=0) for name, one in settings.items()}
    batch = next(batches(Streamed(images, device), SHORT_RUN_BATCH_SIZE))
    rates = rates_in_turn(learners, batch, rounds=rounds)
    click.echo("| candidate | parameters | GMAC | training images/s | loss, nats an image |")
    click.echo("| --- | --- | --- | --- | --- |")
    for name, one in settings.items():
        network = learners[name].network
        n_parameters = sum(weights.numel() for weights in network.parameters())
        cost = gmac(network, one, image=batch.rows(0, 1))
        with tempfile.TemporaryDirectory() as folder:
            loss = train(
                one, images, validation_store=validation, folder=Path(folder), device=device
            )
        click.echo(
            f"| {name} | {n_parameters / 1e6:.2f} M | {cost:.3f} | {rates[name][0]:.0f} "
            f"| {loss:.2f} |"
        )


if __name__ == "__main__":
    main(compare_networks)
