"""``npecat evaluate``: score networks, SEP and the physical bound on one test store."""

import time
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from dask.system import CPU_COUNT

from npecat_eval.baselines.cache import references
from npecat_eval.baselines.sep import best_class_threshold
from npecat_eval.metrics import table as metrics
from npecat_eval.metrics.bootstrap import N_RESAMPLES
from npecat_eval.metrics.predictions import judge
from npecat_eval.metrics.table import Prediction, Truth
from npecat_eval.pictures.examples import example_figure
from npecat_eval.pictures.residuals import residual_figure
from npecat_eval.report import metric_figures as figures
from npecat_eval.report import tables
from npecat_eval.report.html import write_report
from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import Location
from npecat_sim.simulation.field_priors import PRIORS
from npecat_sim.store.reader import Store, store_path
from npecat_train.checkpoint import BEST, VARIANTS, load_network
from npecat_train.training.loop import N_TRAIN

from .options import DATA_OPTION, FOLDER, RUNS_OPTION, STORAGE

N_EXAMPLES = 8

RECORDED = ("npecat", "torch", "numpy", "scipy", "sep")
"""Packages whose versions stand in the tables."""


@click.command()
@click.option("--test-prior", type=click.Choice(PRIORS), help="Score on DATA/PRIOR/test.zarr;")
@click.option("--store", type=STORAGE, help="or on any store.")
@click.option("--results", type=FOLDER, default=Path("results"), help="Folder of the tables.")
@DATA_OPTION
@RUNS_OPTION
def evaluate(
    test_prior: str | None, store: Location | None, results: Path, data: Location, runs: Path
) -> None:
    """Score every network of RUNS, SEP and the physical bound side by side on a test store."""
    if (test_prior is None) == (store is None):
        raise NpecatError("give either --test-prior or --store")
    checkpoints = networks_of(runs, data)
    path = store or store_path(data / str(test_prior), "test")
    folder = path.parent if store else data / str(test_prior)
    prior = test_prior or "many"
    test = Store(path, f"npecat simulate --prior {prior} --n {N_TRAIN} --out {folder}")
    name = test_prior or (path.parent.name if path.stem == "test" else path.stem)
    directory = results / name
    truth = Truth(test.catalog())

    settings: dict[str, Any] = {
        "test_store": test.digest,
        "n_images": len(test),
        "n_resamples": N_RESAMPLES,
        "versions": {package: version(package) for package in RECORDED},
    }
    clock = Clock()
    known = references(test, directory / "references.npz", CPU_COUNT)
    threshold = best_class_threshold(known.sep, truth.catalog)
    settings["sep"] = {"class_threshold_mag": round(threshold, 4)}
    predictions = {"SEP": Prediction(known.sep.classify(threshold))}
    clock.lap("SEP and bound")
    settings["networks"] = {}
    for method, checkpoint in checkpoints.items():
        network, of_network = load_network(checkpoint)
        predictions[method] = judge(network, of_network, test, truth, f"predict {method}")
        digest = sha256(checkpoint.read_bytes()).hexdigest()
        settings["networks"][method] = {"checkpoint_sha256": digest, **of_network.to_json()}

    clock.lap("networks")
    table = metrics.evaluate(truth, predictions, truth.bound(known.flux_sigma), name)
    clock.lap("metrics")
    directory.mkdir(parents=True, exist_ok=True)
    written = tables.write(table, directory, settings)
    drawn = figures.draw(table, directory)
    shown = test.batch(slice(0, N_EXAMPLES))
    examples, residuals = (directory / f"{n}_{method}.png" for n in ("examples", "residuals"))
    example_figure(shown, predictions[method].detections, examples)
    residual_figure(shown, predictions[method].detections, residuals)
    report = write_report(table, settings, drawn, examples, residuals, method, directory)

    clock.lap("files")

    click.echo(f"{len(test):,} test images of {name}, sources of r < 22:\n")
    click.echo(tables.overall_text(table))
    for file in (*written, *drawn, examples, residuals, report):
        click.echo(f"  {file}")
    click.echo(f"\nseconds: {clock}")


class Clock:
    """How long each step took."""

    def __init__(self) -> None:
        self.last, self.laps = time.perf_counter(), dict[str, float]()

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.perf_counter()
        self.laps[step], self.last = now - self.last, now

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.0f}" for step, seconds in self.laps.items())


def networks_of(runs: Path, data: Location) -> dict[str, Path]:
    """Name of each folder of runs that holds a trained network -> its best checkpoint.

    The paper's variants come first, in its order. Raises NpecatError where there is none.
    """
    found = {path.parent.name: path for path in sorted(runs.glob(f"*/{BEST}"))}
    if not found:
        raise NpecatError(
            f"no trained network in {runs}; train one with: npecat train --variant psf_aware "
            f"--data {data} --runs {runs}"
        )
    order = [name for name in VARIANTS if name in found]
    return {name: found[name] for name in (*order, *(n for n in found if n not in order))}
