"""``npecat compare``: a catalog of an SDSS frame beside SDSS's own."""

from pathlib import Path

import click

from npecat_eval.comparison import SKY_RADIUS, Comparison
from npecat_eval.comparison_report import disagreements_text, draw_comparison, summary_text
from npecat_eval.comparison_tables import LISTED_LIMIT, disagreements, joined, summary
from npecat_eval.figures import check_picture
from npecat_eval.photoobj import read_photoobj
from npecat_eval.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from npecat_sim.files import replacing

from .options import FILE, PLOT_OPTION

FORMATS = {".fits": "fits", ".ecsv": "ascii.ecsv"}


@click.command()
@click.argument("catalog", type=FILE)
@click.argument("photoobj", type=FILE)
@PLOT_OPTION
@click.option("-o", "--output", type=FILE, help="Table of both, row by row: .fits or .ecsv.")
def compare(catalog: Path, photoobj: Path, plot: Path | None, output: Path | None) -> None:
    """Compare a CATALOG with the PHOTOOBJ file of the same field.

    Both are matched on the sky, one to one. Completeness counts SDSS's sources that are not
    blends of others, are resolved (THING_ID) and detected in r; a detection that "SDSS has not"
    has no SDSS source of any status within 2 pixels.
    """
    if plot:
        check_picture(plot)
    if output and output.suffix not in FORMATS:
        raise NpecatError(
            f"{output}: cannot tell its format; name a file that ends in .fits or .ecsv"
        )
    comparison = Comparison.of(read_catalog(catalog), read_photoobj(photoobj))
    click.echo(
        f"{len(comparison.catalog)} detections and {len(comparison.reference)} SDSS sources, "
        f"{len(comparison.match.truth)} pairs within {SKY_RADIUS:g} arcsec:\n"
    )
    click.echo(summary_text(summary(comparison)))
    listed = disagreements(comparison)
    click.echo(f"\n{len(listed)} disagreements brighter than r = {LISTED_LIMIT:g}:\n")
    click.echo(disagreements_text(listed))
    if plot:
        draw_comparison(comparison, plot)
        click.echo(f"\n  {plot}")
    if output:
        with replacing(output) as partial:
            joined(comparison).write(partial, format=FORMATS[output.suffix])
        click.echo(f"\n  {output}")
