"""``npecat catalog``: the probabilistic catalog of a survey image."""

from pathlib import Path

import click

from npecat_eval.catalog.formats import check_format, write_table
from npecat_eval.pictures.style import check_picture
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import SurveyImage

from .. import api
from .options import CHECKPOINT_OPTION, FILE, PLOT_OPTION, image_options

SEED = 0
"""Seed of the draws, fixed so that the same command writes the same bytes."""


def samples_path(catalog: Path) -> Path:
    """The file for draws beside a catalog: ``catalog.samples.fits`` for ``catalog.fits``."""
    return catalog.with_suffix(f".samples{catalog.suffix}")


def _known_format(_: click.Context, __: click.Parameter, output: Path) -> Path:
    """Check the format of the catalog before any work is done."""
    check_format(output)
    return output


def _residual_format(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Check the format of the residual before any work is done."""
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
    found = api.catalog(image, model=api.load(checkpoint))
    click.echo(f"PSF {found.psf_width}")
    found.write(output)
    unflagged = (found.rows["flags"] == 0).sum()
    click.echo(f"{output}: {len(found):,} sources, {unflagged:,} without flags")
    if samples:
        draws = found.draws(samples, seed=SEED)
        write_table(draws, samples_path(output))
        click.echo(f"{samples_path(output)}: {len(draws):,} sources in {samples:,} draws")
    if plot:
        found.plot(plot)
        click.echo(f"{plot}")
    if residual:
        # Matplotlib takes a second to load: import it only here, after bad input has been refused.
        from npecat_eval.catalog.reconstruction import Reconstruction
        from npecat_eval.pictures.survey_image import write_residual

        write_residual(Reconstruction.of(found.image, found.found.detections), residual)
        click.echo(f"{residual}")
