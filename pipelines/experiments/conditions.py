"""Test networks and SEP under one condition at a time.

``python -m npecat.experiments.conditions --data data/conditions --images 2000 runs/wide`` makes a
test store for each condition and evaluates each network on it beside SEP, which is given the same
PSF, noise and mask. Sky and gain are those of SDSS, so that r < 22 counts sources of about ten
sigma. A network of six PSF numbers is given the typical ones of each FWHM.
"""

from collections.abc import Iterator
from pathlib import Path

import click
from astropy.table import Table
from dask.system import CPU_COUNT

from npecat_eval.baselines.cache import references
from npecat_eval.baselines.sep import best_class_threshold
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST
from npecat_eval.metrics.conditions import COVERAGE_LEVELS, ImageConditions, by_condition
from npecat_eval.metrics.predictions import Prediction, Truth, predict_store
from npecat_sim.io.storage import replacing
from npecat_sim.render import DEFAULT_RENDERER, RENDERERS
from npecat_sim.store.reader import Store
from npecat_train.checkpoint import BEST
from npecat_train.model import TileModel

from ..cli import main
from ..commands.options import FOLDER
from .trials import CONDITIONS, SEED, make_store

HEADER = (
    "condition",
    "method",
    "F1",
    "F1 - SEP",
    "accuracy",
    "flux error %",
    "star bias %",
    *(f"{'/'.join(map(str, COVERAGE_LEVELS))} {which}" for which in ("all", "bright", "faint")),
    "± tenth",
    "SNR > 20 %",
)
"""Columns of the table: coverage of flux intervals in per cent, one sigma of that of the brightest
tenth at the first level, and the share of stars of SNR > 20 that are found."""


@click.command(context_settings={"show_default": True})
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--data", type=FOLDER, required=True, help="Folder of the test stores and the table.")
@click.option("--images", type=click.IntRange(min=1), required=True, help="Images of each.")
@click.option("--only", multiple=True, type=click.Choice(list(CONDITIONS)), help="Conditions.")
@click.option("--renderer", type=click.Choice(list(RENDERERS)), default=DEFAULT_RENDERER)
@click.option("--seed", default=SEED, help="Of the test stores.")
def compare_conditions(
    runs: tuple[Path, ...],
    data: Path,
    images: int,
    only: tuple[str, ...],
    renderer: str,
    seed: int,
) -> None:
    """Evaluate the networks RUNS, folders or checkpoints, beside SEP under each condition."""
    models = {name_of(run): TileModel.load(run) for run in runs}
    rows = [HEADER, ("---",) * len(HEADER)]
    for name in only or CONDITIONS:
        store = make_store(data, name, images=images, seed=seed, renderer=renderer)
        rows += table_rows(evaluated(store, models, name=name))
    text = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    with replacing(data / "conditions.md") as partial:
        partial.write_text(text, encoding="utf-8")
    click.echo(text)


def name_of(run: Path) -> str:
    """The name of a network: that of its folder or file."""
    run = run.resolve()
    return run.parent.name if run.name == BEST else run.stem


def evaluated(store: Store, models: dict[str, TileModel], *, name: str) -> Table:
    """The main metrics of SEP and of networks on a test store, see by_condition."""
    assert isinstance(store.path, Path)
    known = references(store, store.path.with_name("references.npz"), workers=CPU_COUNT)
    conditions = ImageConditions.of(store)
    truth = Truth(store.catalog(), hidden=conditions.hidden)
    threshold = best_class_threshold(known.sep, truth.catalog)
    predictions = {"SEP": Prediction(known.sep.classify(threshold))}
    for method, model in models.items():
        predictions[method] = predict_store(model, store, truth=truth, label=f"{name}: {method}")
    return by_condition(truth, predictions, conditions.axes()[:1], test_set=name)


def table_rows(table: Table) -> Iterator[tuple[str, ...]]:
    """Yield a row of HEADER for each method of a condition, SEP first."""
    found = {(str(row["method"]), str(row["metric"]), str(row["selection"])): row for row in table}

    def number(method: str, metric: str, selection: str = ALL, *, column: str = "value") -> float:
        return float(found[method, metric, selection][column])

    levels = [f"flux_coverage_{level}" for level in COVERAGE_LEVELS]
    for method in dict.fromkeys(map(str, table["method"])):
        coverage, of_tenth = ["-"] * 3, "-"
        if (method, levels[0], ALL) in found:  # a network
            coverage = [
                "/".join(f"{100 * number(method, level, selection):.1f}" for level in levels)
                for selection in (ALL, BRIGHTEST, FAINTEST)
            ]
            of_tenth = f"{100 * number(method, levels[0], BRIGHTEST, column='sigma'):.1f}"
        f1 = number(method, "f1")
        yield (
            str(table["test_set"][0]),
            method,
            f"{f1:.3f}",
            f"{f1 - number('SEP', 'f1'):+.3f}",
            f"{number(method, 'star_galaxy_accuracy'):.3f}",
            f"{number(method, 'flux_error_percent'):.2f}",
            f"{number(method, 'star_flux_bias_percent'):+.2f}",
            *coverage,
            of_tenth,
            f"{100 * number(method, 'bright_star_recall'):.2f}",
        )


if __name__ == "__main__":
    main(compare_conditions)
