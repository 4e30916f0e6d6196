"""Which widths and blocks? ``python -m npecat.experiments.networks`` compares candidates.

Each candidate of 48 blocks sees the same images in the same order once, under the default
schedule. Its validation loss stands beside its arithmetic and its speed; for the speeds the
candidates take turns on one batch, so that whatever else the machine does slows all alike.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import torch

from npecat.benchmarks.train import rates_in_turn
from npecat.cli import main
from npecat.commands.options import DATA_OPTION
from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store, store_path
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.network.tile_network import NETWORKS
from npecat_train.training.dry_run import gmac
from npecat_train.training.learner import Learner
from npecat_train.training.loop import SHORT_RUN_BATCH_SIZE, run_settings, train

SHORT = replace(NETWORKS["default"], bottlenecks=(4, 4, 4, 4), dilations=(1, 1, 2, 1))

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
    images, validation = [
        Store(store_path(data / "many", split)) for split in ("train", "validation")
    ]
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
    rates = rates_in_turn(learners, batch, rounds)
    click.echo("| candidate | parameters | GMAC | training images/s | loss, nats an image |")
    click.echo("| --- | --- | --- | --- | --- |")
    for name, one in settings.items():
        network = learners[name].network
        n_parameters = sum(weights.numel() for weights in network.parameters())
        cost = gmac(network, one, batch.rows(0, 1))
        with tempfile.TemporaryDirectory() as folder:
            loss = train(one, images, validation, Path(folder), device)
        click.echo(
            f"| {name} | {n_parameters / 1e6:.2f} M | {cost:.3f} | {rates[name][0]:.0f} "
            f"| {loss:.2f} |"
        )


if __name__ == "__main__":
    main(compare_networks)
