"""``npecat evaluate``: score networks, SEP and the physical bound on one test store."""

import time
from pathlib import Path

import click

from npecat_eval.metrics.depth import LIMITS
from npecat_sim.errors import NpecatError
from npecat_sim.io.outputs import check_output_folder
from npecat_sim.io.storage import Location
from npecat_sim.simulation.field_priors import PRIORS
from npecat_sim.store.reader import store_path
from npecat_train.checkpoint import BEST
from npecat_train.settings import VARIANTS

from .. import api
from .options import DATA_OPTION, FOLDER, RUNS_OPTION, STORAGE


@click.command()
@click.option("--test-prior", type=click.Choice(PRIORS), help="Score on DATA/PRIOR/test.zarr;")
@click.option("--store", type=STORAGE, help="or on any store.")
@click.option(
    "--limit",
    type=click.Choice(LIMITS),
    show_default="depth for wide stores unless they are about as deep as SDSS, else r22",
    help="Count sources of r < 22, or those above ten sigma of each image.",
)
@click.option("--results", type=FOLDER, default=Path("results"), help="Folder of the tables.")
@DATA_OPTION
@RUNS_OPTION
def evaluate(
    test_prior: str | None,
    store: Location | None,
    limit: str | None,
    results: Path,
    data: Location,
    runs: Path,
) -> None:
    """Score every network of RUNS, SEP and the physical bound side by side on a test store."""
    if (test_prior is None) == (store is None):
        raise NpecatError("give either --test-prior or --store")
    path = store or store_path(data / str(test_prior), "test")
    name = test_prior or api.test_set_name(path)
    check_output_folder("results", results / name, {"store": path})
    models = {name: api.load(path) for name, path in networks_of(runs, data).items()}
    test = api.open_store(path)
    start = time.perf_counter()
    evaluation = api.evaluate(test, models, name=name, results=results, limit=limit)
    written = evaluation.write(results / name)
    click.echo(f"{len(test):,} test images of {name}, {evaluation.counted}:\n")
    click.echo(str(evaluation))
    for file in written:
        click.echo(f"  {file}")
    click.echo(f"\n{time.perf_counter() - start:.0f} s")


def networks_of(runs: Path, data: Location) -> dict[str, Path]:
    """The trained networks in a folder: name -> best checkpoint.

    Parameters
    ----------
    runs : Path
        Folder of networks; the name of each is that of its folder.
    data : Path or UPath
        Folder of stores, which an error message names.

    Returns
    -------
    dict of str to Path
        The paper's variants come first, in the paper's order.

    Raises
    ------
    NpecatError
        If there is no trained network.
    """
    found = {path.parent.name: path for path in sorted(runs.glob(f"*/{BEST}"))}
    if not found:
        raise NpecatError(
            f"no trained network in {runs}; train one with: npecat train --variant psf_aware "
            f"--data {data} --runs {runs}"
        )
    order = [name for name in VARIANTS if name in found]
    return {name: found[name] for name in (*order, *(n for n in found if n not in order))}
