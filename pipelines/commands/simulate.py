"""``npecat simulate``: make the train, validation and test stores of a prior."""

import time
from pathlib import Path

import click

from npecat_sim.io.outputs import check_output_folder
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import MAX_DENSITY
from npecat_sim.model.psf_irregularity import MAX_IRREGULARITY
from npecat_sim.render import DEFAULT_RENDERER, RENDERERS
from npecat_sim.simulation.field_priors import PRIORS
from npecat_sim.store.reader import settings as settings_of
from npecat_sim.store.reader import size_on_disk
from npecat_sim.wide.survey_file import EXAMPLES

from .. import api
from .options import STORAGE


@click.command()
@click.option("--prior", type=click.Choice(PRIORS), required=True, help="Fields to draw.")
@click.option("--n", type=click.IntRange(min=0), required=True, help="Training images.")
@click.option("--n-validation", type=click.IntRange(min=0), help="Default: a seventh of --n.")
@click.option("--n-test", type=click.IntRange(min=0), help="Default: a fifth of --n.")
@click.option(
    "--fields",
    type=click.Path(path_type=Path),
    help="Library of SDSS's fields for many, held_out; of one's own images for wide.",
)
@click.option(
    "--density",
    type=click.FloatRange(0, MAX_DENSITY, min_open=True),
    show_default="the paper's, 4 sources an image",
    help="Mean number of sources a pixel; not for wide.",
)
@click.option(
    "--psf-irregularity",
    type=click.FloatRange(0, MAX_IRREGULARITY),
    show_default="0",
    help="Largest rms departure of PSFs from the circular profile, as a share of the peak; not for "
    "wide.",
)
@click.option(
    "--survey",
    metavar="FILE",
    help=f"Narrow prior wide to one's own telescope: a TOML file, or {', '.join(EXAMPLES)}.",
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
    density: float | None,
    psf_irregularity: float | None,
    survey: str | None,
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
    check_output_folder("out", out or Path("data", prior), {"fields": fields})
    start = time.perf_counter()
    paths = api.simulate(
        prior,
        n=n,
        n_validation=n_validation,
        n_test=n_test,
        fields=fields,
        density=density,
        psf_irregularity=psf_irregularity,
        survey=survey,
        seed=seed,
        workers=workers,
        threads_per_worker=threads_per_worker,
        scheduler=scheduler,
        scheduler_file=scheduler_file,
        renderer=renderer,
        overwrite=overwrite,
        out=out,
    )
    seconds = time.perf_counter() - start
    settings = [settings_of(path) for path in paths]
    n_images, n_fields = sum(one.n_images for one in settings), settings[0].n_fields
    over = "1 field" if n_fields == 1 else f"{n_fields:,} fields"
    if settings[0].survey:
        over = f"survey {settings[0].survey['name']}"
    if settings[0].fields == "images":
        over += f" as seen in {n_fields:,} image{'s' if n_fields > 1 else ''}"
    click.echo(f"{n_images:,} images over {over} in {seconds:.1f} s")
    for path, one in zip(paths, settings, strict=True):
        click.echo(f"  {path}  {one.n_images:,} images  {size_on_disk(path) / 1e6:.1f} MB")
