"""``npecat show``: draw the first images of a store with their true sources."""

from pathlib import Path

import click

from npecat_eval.pictures.contact_sheet import contact_sheet
from npecat_eval.pictures.style import check_picture
from npecat_sim.io.outputs import check_outputs
from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store

from .options import STORE_ARGUMENT


@click.command()
@STORE_ARGUMENT
@click.option("-n", "n_images", type=click.IntRange(1, 100), default=16, help="Images, the first.")
@click.option(
    "-o",
    "--output",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PNG or PDF; default: PNG beside the store, or here if that is on s3://.",
)
def show(path: Location, n_images: int, picture: Path | None) -> None:
    """Draw the first images of a finished store with their true sources marked."""
    if not picture:
        beside = path.absolute() if isinstance(path, Path) else Path(path.name)
        picture = beside.with_suffix(".png")
    check_picture(picture)
    check_outputs({"output": picture}, {"STORE": path})
    store = Store(path)
    contact_sheet(store.batch(slice(0, n_images)), picture)
    click.echo(f"{min(n_images, len(store))} of {len(store):,} images: {picture}")
