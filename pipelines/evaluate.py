"""``npecat evaluate``: score every trained variant, and SEP, on one test store."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from npecat_eval import evaluate as metrics
from npecat_eval import figures, tables
from npecat_eval.example_figure import example_figure
from npecat_eval.sep_baseline import sep_detections, tune_class_threshold
from npecat_sim.errors import NpecatError
from npecat_sim.files import Location
from npecat_sim.progress import progress
from npecat_sim.store import Batch, Store, store_path
from npecat_train.checkpoint import BEST, VARIANTS, load_network
from npecat_train.detections import Detections
from npecat_train.predict import predict

from .options import DATA_OPTION, FOLDER, RUNS_OPTION

N_TUNING_IMAGES = 2000
"""Validation images on which SEP's class threshold is tuned; more move it by under 0.01 mag."""

N_EXAMPLES = 8


@click.command()
@click.option("--test-prior", type=click.Choice(["one", "many"]), required=True, help="Test set.")
@click.option("--results", type=FOLDER, default=Path("results"), help="Folder of the tables.")
@DATA_OPTION
@RUNS_OPTION
def evaluate(test_prior: str, results: Path, data: Location, runs: Path) -> None:
    """Score the trained variants and SEP side by side on a test store."""
    command = f"npecat simulate --prior {test_prior} --n 210000 --out {data / test_prior}"
    checkpoints = {v: runs / v / BEST for v in VARIANTS if (runs / v / BEST).exists()}
    if not checkpoints:
        raise NpecatError(
            f"no trained network in {runs}; train one with: npecat train --variant psf_aware "
            f"--data {data} --runs {runs}"
        )
    validation = Store(store_path(data / test_prior, "validation"), command)
    test = Store(store_path(data / test_prior, "test"), command)

    methods = {"SEP": run_sep(validation, test)}
    for variant, path in checkpoints.items():
        network, settings = load_network(path)
        predicted = predict(network, settings, test, f"predict {variant}")
        methods[variant] = predicted.detections

    table = metrics.evaluate(test.catalog(), methods, test_prior)
    directory = results / test_prior
    directory.mkdir(parents=True, exist_ok=True)
    written = tables.write(table, directory, {"test_store": test.digest, "n_images": len(test)})
    written += figures.draw(table, directory)
    written.append(directory / f"examples_{variant}.png")
    shown = test.batch(slice(0, N_EXAMPLES))
    example_figure(shown.images, shown.catalog, methods[variant], written[-1])

    click.echo(f"{len(test):,} test images of prior {test_prior}, sources of r < 22:\n")
    click.echo(tables.overall_text(table))
    for path in written:
        click.echo(f"  {path}")


def run_sep(validation: Store, test: Store) -> Detections:
    """SEP's catalog of the test images, its class threshold tuned on validation images."""
    tuning = validation.batch(slice(0, N_TUNING_IMAGES))
    threshold = tune_class_threshold(*_sep_inputs(tuning), tuning.catalog)
    found = []
    with progress("SEP", len(test)) as advance:
        for images in test.chunk_ranges:
            batch = test.batch(slice(images.start, images.stop))
            part = sep_detections(*_sep_inputs(batch), threshold)
            found.append(replace(part, image=part.image + images.start))
            advance(len(images), "")
    return Detections.concatenate(found)


def _sep_inputs(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return batch.images, batch.backgrounds, batch.psf_parameters, batch.electrons_per_nmgy
