"""``npecat inject``: recovery of simulated sources that were added to a real image."""

from pathlib import Path

import click

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.formats import write_table
from npecat_eval.catalog.observe import as_used
from npecat_eval.catalog.population import Given
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.real_images.injection import injection_test, summary
from npecat_eval.real_images.injection_report import draw_injection_test, injection_text
from npecat_sim.io.outputs import check_outputs
from npecat_sim.progress import progress
from npecat_sim.surveys.image import SurveyImage

from .. import api
from .inspect import show_findings
from .options import (
    CHECKPOINT_OPTION,
    PLOT_OPTION,
    TABLE_OPTION,
    ImageFile,
    given_options,
    image_options,
)


@click.command()
@image_options
@CHECKPOINT_OPTION
@given_options
@click.option("--rounds", type=click.IntRange(1, 1000), default=4, help="Times to add sources.")
@click.option("--seed", type=int, default=0, help="Of the sources and their noise.")
@PLOT_OPTION
@TABLE_OPTION
def inject(
    image: ImageFile,
    given: Given,
    checkpoint: Path,
    rounds: int,
    seed: int,
    plot: Path | None,
    output: Path | None,
) -> None:
    """Add simulated sources to IMAGE, catalog the sum, and say what was recovered.

    Sources have the image's own PSF and their own photon noise; half of them are galaxies with
    the prior's shapes. A round adds one of r = 16 to 23 to each square of 64 pixels. One that
    lands within 2 pixels of a source that was there before is left out.
    """
    check_outputs({"plot": plot, "output": output}, {**image.reads, "checkpoint": checkpoint})
    model = api.load(checkpoint)
    opened = image.open()
    show_findings(opened)
    survey_image = as_used(opened, is_wide=model.settings.is_wide)
    with progress("inject", rounds + 1) as advance:

        def catalog(of: SurveyImage) -> Detections:
            """Catalog one image and advance the progress."""
            found = ImageReading.of(of, model, given).catalog().detections
            advance(1, f"{len(found)} detections")
            return found

        sources = injection_test(survey_image, catalog, rounds=rounds, seed=seed)
    click.echo(
        f"{len(sources)} sources added in {rounds} rounds, {sources['merged'].sum()} of them left "
        "out, since they landed on a source that was there before:\n"
    )
    table = summary(sources)
    click.echo(injection_text(table, band=survey_image.band))
    if plot:
        draw_injection_test(table, plot, band=survey_image.band)
        click.echo(f"\n  {plot}")
    if output:
        write_table(sources, output)
        click.echo(f"\n  {output}")
