"""``npecat compare``: compare a catalog of an SDSS frame with SDSS's own."""

from pathlib import Path

import click

from npecat_eval.catalog.formats import write_table
from npecat_eval.real_images.photoobj import read_photoobj
from npecat_eval.real_images.sdss_comparison import SKY_RADIUS, Comparison
from npecat_eval.real_images.sdss_report import disagreements_text, draw_comparison, summary_text
from npecat_eval.real_images.sdss_tables import LISTED_LIMIT, disagreements, joined, summary
from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.io.outputs import check_outputs

from .options import FILE, PLOT_OPTION, TABLE_OPTION


@click.command()
@click.argument("catalog", type=FILE)
@click.argument("photoobj", type=FILE)
@PLOT_OPTION
@TABLE_OPTION
def compare(catalog: Path, photoobj: Path, plot: Path | None, output: Path | None) -> None:
    """Compare a CATALOG with the PHOTOOBJ file of the same field.

    Both are matched on the sky, one to one. Completeness counts SDSS's sources that are not
    blends of others, are resolved (THING_ID) and detected in the catalog's band; a detection
    that "SDSS has not" has no SDSS source of any status within 2 pixels.
    """
    found = read_catalog(catalog)
    band = found.band
    check_outputs({"plot": plot, "output": output}, {"CATALOG": catalog, "PHOTOOBJ": photoobj})
    comparison = Comparison.of(found, read_photoobj(photoobj, band))
    click.echo(
        f"{len(comparison.catalog)} detections and {len(comparison.reference)} SDSS sources, "
        f"{len(comparison.match.truth)} pairs within {SKY_RADIUS:g} arcsec:\n"
    )
    click.echo(summary_text(summary(comparison), band=band))
    listed = disagreements(comparison)
    click.echo(f"\n{len(listed)} disagreements brighter than {band} = {LISTED_LIMIT:g}:\n")
    click.echo(disagreements_text(listed, band=band))
    if plot:
        draw_comparison(comparison, plot)
        click.echo(f"\n  {plot}")
    if output:
        write_table(joined(comparison), output)
        click.echo(f"\n  {output}")
