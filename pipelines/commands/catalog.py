"""``npecat catalog``: the probabilistic catalog of a survey image."""

from pathlib import Path

import click

from npecat_eval.catalog.formats import check_format, write_table
from npecat_eval.catalog.psf_width import with_width_of_stars
from npecat_eval.catalog.survey_catalog import catalog_image, read_field
from npecat_eval.catalog.table import catalog_table, draws_table, provenance
from npecat_eval.pictures.style import check_picture
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import SurveyImage
from npecat_train.checkpoint import load_network
from npecat_train.weights import digest

from .options import CHECKPOINT_OPTION, FILE, PLOT_OPTION, image_options

SEED = 0
"""Of the draws: the same command writes the same bytes."""


def samples_path(catalog: Path) -> Path:
    """``catalog.samples.fits`` beside ``catalog.fits``."""
    return catalog.with_suffix(f".samples{catalog.suffix}")


def _known_format(_: click.Context, __: click.Parameter, output: Path) -> Path:
    check_format(output)
    return output


def _residual_format(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path and path.suffix != ".fits":
        check_picture(path)
    return path


@click.command()
@image_options
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    callback=_known_format,
    help="Catalog to write: .fits .ecsv .parquet .vot .xml .csv or .reg (DS9).",
)
@click.option(
    "--samples", type=click.IntRange(min=1), help="Draws of the catalog, to OUTPUT.samples.*."
)
@PLOT_OPTION
@click.option(
    "--residual",
    type=FILE,
    callback=_residual_format,
    help="What the catalog leaves of IMAGE, .fits or as a picture .png or .pdf.",
)
@CHECKPOINT_OPTION
def catalog(
    image: SurveyImage,
    output: Path,
    samples: int | None,
    plot: Path | None,
    residual: Path | None,
    checkpoint: Path,
) -> None:
    """Write a catalog of the sources in IMAGE, each with its uncertainties.

    IMAGE is an r-band frame of SDSS, with its photoField or psField file beside it, or with
    --zeropoint any FITS image.
    """
    if samples and output.suffix == ".reg":
        raise NpecatError(f"{output}: regions hold no samples; choose another suffix of --output")
    network, settings = load_network(checkpoint)
    first = catalog_image(network, settings, image).detections
    image, width = with_width_of_stars(image, first)
    click.echo(f"PSF {width}")
    reading = read_field(network, settings, image)
    about = {**provenance(image, settings, digest(checkpoint)), "PSFWIDTH": width}
    found = reading.catalog()
    table = catalog_table(found, image, about)
    write_table(table, output)
    click.echo(f"{output}: {len(table):,} sources, {(table['flags'] == 0).sum():,} without flags")
    if samples:
        draws = draws_table(reading.draws(samples, SEED), image, {**about, "SEED": SEED})
        write_table(draws, samples_path(output))
        click.echo(f"{samples_path(output)}: {len(draws):,} sources in {samples:,} draws")
    # What draws takes a second to load, in which bad input would wait.
    if plot:
        from npecat_eval.pictures.survey_image import field_figure

        field_figure(image, found.detections, plot)
        click.echo(f"{plot}")
    if residual:
        from npecat_eval.catalog.reconstruction import Reconstruction
        from npecat_eval.pictures.survey_image import write_residual

        write_residual(Reconstruction.of(image, found.detections), residual)
        click.echo(f"{residual}")
