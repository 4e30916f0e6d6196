"""``npecat simulate``: make the train, validation and test stores of a prior."""

import time
from dataclasses import replace
from pathlib import Path

import click
from dask.system import CPU_COUNT

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import MAX_DENSITY
from npecat_sim.model.psf_irregularity import MAX_IRREGULARITY
from npecat_sim.model.streams import SPLITS
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.field_priors import PRIORS, prior_fields
from npecat_sim.simulation.simulate import DEFAULT_RENDERER, RENDERERS
from npecat_sim.simulation.simulate import simulate as simulate_stores
from npecat_sim.store.reader import size_on_disk
from npecat_sim.store.settings import PRIOR

from .options import STORAGE


@click.command()
@click.option("--prior", type=click.Choice(PRIORS), required=True, help="Fields to draw.")
@click.option("--n", type=click.IntRange(min=0), required=True, help="Training images.")
@click.option("--n-validation", type=click.IntRange(min=0), help="Default: a seventh of --n.")
@click.option("--n-test", type=click.IntRange(min=0), help="Default: a fifth of --n.")
@click.option("--fields", type=click.Path(path_type=Path), help="Field library for many, held_out.")
@click.option(
    "--density",
    type=click.FloatRange(0, MAX_DENSITY, min_open=True),
    default=PRIOR.density,
    show_default="the paper's, 4 sources an image",
    help="Mean number of sources a pixel.",
)
@click.option(
    "--psf-irregularity",
    type=click.FloatRange(0, MAX_IRREGULARITY),
    default=0.0,
    show_default=True,
    help="Largest rms departure of PSFs from the circular profile, as a share of the peak.",
)
@click.option("--seed", type=int, default=0, help="Everything random follows from it.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core.")
@click.option(
    "--threads-per-worker", type=click.IntRange(min=1), default=1, help="Threads of a process."
)
@click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster at this address.")
@click.option("--scheduler-file", metavar="FILE", help="Or on that of this scheduler file.")
@click.option(
    "--renderer",
    type=click.Choice(list(RENDERERS)),
    default=DEFAULT_RENDERER,
    help="GalSim itself, or the compiled renderer that equals it.",
)
@click.option("--overwrite", is_flag=True, help="Replace stores of the same names.")
@click.option(
    "--out", type=STORAGE, help="Folder or s3:// of train.zarr etc.; default: data/PRIOR."
)
def simulate(
    prior: str,
    n: int,
    n_validation: int | None,
    n_test: int | None,
    fields: Path | None,
    density: float,
    psf_irregularity: float,
    seed: int,
    workers: int | None,
    threads_per_worker: int,
    scheduler: str | None,
    scheduler_file: str | None,
    renderer: str,
    overwrite: bool,
    out: Location | None,
) -> None:
    """Simulate images with their catalogs into chunked Zarr stores."""
    defaults = (n, n // 7, n // 5)  # the paper's 210,000 + 30,000 images and 42,000 for tests
    given = (n, n_validation, n_test)
    counts = {
        split: default if count is None else count
        for split, count, default in zip(SPLITS, given, defaults, strict=True)
    }
    start = time.perf_counter()
    table = replace(prior_fields(prior, fields), irregularity=psf_irregularity)
    if scheduler and scheduler_file:
        raise NpecatError("--scheduler and --scheduler-file both name a cluster; give one")
    if (scheduler or scheduler_file) and workers:
        raise NpecatError("--workers is for processes of this machine; leave it or the scheduler")
    workers = workers or CPU_COUNT
    cluster = Cluster(workers, threads_per_worker, scheduler, scheduler_file)
    out = out or Path("data", prior)
    paths = simulate_stores(
        out,
        prior,
        table,
        counts,
        seed,
        cluster,
        renderer,
        replace(PRIOR, density=density),
        overwrite=overwrite,
    )
    seconds = time.perf_counter() - start
    over = "1 field" if len(table) == 1 else f"{len(table):,} fields"
    click.echo(f"{sum(counts.values()):,} images over {over} in {seconds:.1f} s")
    for path in paths:
        click.echo(f"  {path}  {counts[path.stem]:,} images  {size_on_disk(path) / 1e6:.1f} MB")
