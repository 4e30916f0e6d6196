"""``npecat inspect``: what an image says of itself, before it is cataloged."""

from pathlib import Path

import click

from npecat_sim.io.outputs import check_outputs
from npecat_sim.surveys.image import SurveyImage

from .options import PLOT_OPTION, ImageFile, image_options


@click.command()
@image_options
@PLOT_OPTION
def inspect(image: ImageFile, plot: Path | None) -> None:
    """Measure IMAGE: sky, noise, width of the stars, saturation and defects.

    npecat catalog does this first and uses what it finds. What contradicts the options is warned
    of, or refused where a catalog would be worthless.
    """
    check_outputs({"plot": plot}, image.reads)
    seen = image.open()
    show_findings(seen)
    if plot:
        from npecat_eval.pictures.inspection import inspection_figure  # Matplotlib takes a second

        inspection_figure(seen, plot)
        click.echo(f"{plot}")


def show_findings(image: SurveyImage) -> None:
    """Print what was found in an image; warnings have been logged."""
    if image.findings:
        click.echo(f"{image.findings.page()}\n")
