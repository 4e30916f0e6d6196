"""Compare encodings of the PSF: ``python -m npecat.experiments.psf_encodings``.

``--data data --images 2000 --runs runs/encodings`` trains each variant of prior ``wide`` on the
same images of ``data/wide`` in the same order, with the same network. They differ in how they are
told the PSF (npecat_train/network/psf_variants.py). Then it evaluates them on families of PSFs, the
last three of which are held out, and prints one table. The test stores are those of
npecat.experiments.conditions. What is finished is not made again.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch

from npecat_eval.metrics.bins import ALL, BRIGHTEST
from npecat_eval.metrics.conditions import ImageConditions, by_condition
from npecat_eval.metrics.predictions import Prediction, Truth, predict_store
from npecat_sim.store.reader import Store
from npecat_train.model import TileModel
from npecat_train.network.psf_variants import NUMBERS_OF
from npecat_train.posterior.factors import FACTORS
from npecat_train.training.defaults import SHORT_RUN_BATCH_SIZE
from npecat_train.training.job import TrainingJob

from ..cli import main
from ..commands.options import FOLDER
from .psf_families import FAMILIES
from .trials import make_store

TEST_STORES = "conditions"
"""Folder of the test stores in that of the data."""

HEADER = (
    "family",
    "variant",
    "NLL",
    "over the first",
    *FACTORS,
    "F1",
    "accuracy",
    "flux error %",
    "95 % bright",
    "±",
)
"""Columns of the table: the negative log-likelihood (nats an image) and how much more it is than
that of the first variant, with one sigma of the mean over images; that of each factor; and the
coverage of the flux intervals of the brightest tenth, per cent, with one sigma."""


@click.command(context_settings={"show_default": True})
@click.option("--data", type=FOLDER, required=True, help="Folder of wide/train.zarr and so on.")
@click.option("--images", type=click.IntRange(min=1), required=True, help="Of each test store.")
@click.option("--epochs", type=click.IntRange(min=1), default=1, help="Passes of each training.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=SHORT_RUN_BATCH_SIZE,
    help="Images of a step.",
)
@click.option("--variant", multiple=True, type=click.Choice(list(NUMBERS_OF)), help="Variants.")
@click.option("--family", multiple=True, type=click.Choice(list(FAMILIES)), help="Families.")
@click.option("--runs", type=FOLDER, required=True, help="Folder of the networks.")
def compare_encodings(
    data: Path,
    images: int,
    epochs: int,
    batch_size: int,
    variant: tuple[str, ...],
    family: tuple[str, ...],
    runs: Path,
) -> None:
    """Train the variants of prior wide one after the other and compare them on PSF families."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    jobs = [
        TrainingJob.of(
            name,
            device,
            data=data,
            runs=runs,
            network="default",
            epochs=epochs,
            batch_size=batch_size,
        )
        for name in variant or NUMBERS_OF
    ]
    for job in jobs:
        job.train(device)
    models = {job.settings.variant: TileModel.load(job.folder) for job in jobs}
    rows = [HEADER, ("---",) * len(HEADER)]
    for name in family or FAMILIES:
        store = make_store(data / TEST_STORES, name, images=images)
        rows += table_rows(store, models, name=name)
    click.echo("".join("| " + " | ".join(row) + " |\n" for row in rows))


def table_rows(
    store: Store, models: dict[str, TileModel], *, name: str
) -> Iterator[tuple[str, ...]]:
    """Yield a row of HEADER for each model, evaluated on the test store of a family."""
    conditions = ImageConditions.of(store)
    truth = Truth(store.catalog(), hidden=conditions.hidden)
    predictions = {
        variant: predict_store(model, store, truth=truth, label=f"{name}: {variant}")
        for variant, model in models.items()
    }
    table = by_condition(truth, predictions, conditions.axes()[:1], test_set=name)
    found = {(row["method"], row["metric"], row["selection"]): row for row in table}
    losses = {variant: _losses(one) for variant, one in predictions.items()}
    first = next(iter(losses.values())).sum(axis=0)
    for variant, loss in losses.items():
        over = loss.sum(axis=0) - first
        covered = found[variant, "flux_coverage_95", BRIGHTEST]
        yield (
            name,
            variant,
            f"{loss.sum(axis=0).mean():.3f}",
            f"{over.mean():+.3f} ± {over.std() / np.sqrt(len(over)):.3f}",
            *(f"{of_factor.mean():.3f}" for of_factor in loss),
            f"{found[variant, 'f1', ALL]['value']:.3f}",
            f"{found[variant, 'star_galaxy_accuracy', ALL]['value']:.3f}",
            f"{found[variant, 'flux_error_percent', ALL]['value']:.2f}",
            f"{100 * covered['value']:.1f}",
            f"{100 * covered['sigma']:.1f}",
        )


def _losses(prediction: Prediction) -> np.ndarray:
    """Negative log-likelihoods, nats: float64 (factor, image)."""
    assert prediction.tiles is not None
    return np.array([prediction.tiles.losses[factor] for factor in FACTORS])


if __name__ == "__main__":
    main(compare_encodings)
