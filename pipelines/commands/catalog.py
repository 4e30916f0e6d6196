"""``npecat catalog``: the probabilistic catalog of a survey image."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from npecat_eval.catalog.bright import MIN_SNR
from npecat_eval.catalog.formats import check_format, write_table
from npecat_eval.catalog.population import Given, faint_magnitude
from npecat_eval.panels import MAX_SIDE, PaneledCatalog, catalog_in_panels, middle_of
from npecat_eval.pictures.style import check_picture
from npecat_eval.survey_catalog import SurveyCatalog, catalog_survey_image
from npecat_sim.errors import NpecatError
from npecat_sim.io.outputs import check_outputs

from .. import api
from .inspect import show_findings
from .options import CHECKPOINT_OPTION, FILE, PLOT_OPTION, ImageFile, given_options, image_options

if TYPE_CHECKING:
    from npecat_train.model import TileModel

MAX_MISSED = 0.05
"""Share of the bright detections without a row above which the catalog is at fault."""

SEED = 0
"""Seed of the draws, fixed so that the same command writes the same bytes."""


def samples_path(catalog: Path) -> Path:
    """The file for draws beside a catalog: ``catalog.samples.fits`` for ``catalog.fits``."""
    return catalog.with_suffix(f".samples{catalog.suffix}")


def missed_path(catalog: Path) -> Path:
    """The file for bright sources without a row: ``catalog.missed.fits`` for ``catalog.fits``."""
    suffix = ".ecsv" if catalog.suffix == ".reg" else catalog.suffix
    return catalog.with_suffix(f".missed{suffix}")


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
@click.option("--footprint", type=FILE, help="Mask of the pixels not searched, FITS.")
@click.option("--force", is_flag=True, help="Exit with 0 although many bright sources have no row.")
@CHECKPOINT_OPTION
@given_options
def catalog(
    image: ImageFile,
    given: Given,
    output: Path,
    samples: int | None,
    plot: Path | None,
    residual: Path | None,
    footprint: Path | None,
    force: bool,
    checkpoint: Path,
) -> None:
    """Write a catalog of the sources in IMAGE, each with its uncertainties.

    IMAGE is a frame of SDSS, with its photoField or psField file beside it, or any FITS image.
    It is inspected first, see npecat inspect. Bright detections of SEP without a row are written
    to OUTPUT.missed.*; above 5 % of them the exit status is not 0.
    """
    if samples and output.suffix == ".reg":
        raise NpecatError(f"{output}: regions hold no samples; choose another suffix of --output")
    writes = {
        "output": output,
        "missed": missed_path(output),
        "samples": samples_path(output) if samples else None,
        "plot": plot,
        "residual": residual,
        "footprint": footprint,
    }
    check_outputs(writes, {**image.reads, "checkpoint": checkpoint})
    model, size = api.load(checkpoint), image.size()
    if size and max(size) > MAX_SIDE:
        for name, path in (("plot", plot), ("residual", residual)):
            if path:
                raise NpecatError(
                    f"{image.path}: {size[0]:,} x {size[1]:,} pixels are too many for a picture; "
                    "choose a part",
                    parameters=(name, "cut"),
                )
        found: SurveyCatalog | PaneledCatalog = _in_panels(
            image, model, size, n_draws=samples or 0, given=given
        )
    else:
        seen = image.open()
        show_findings(seen)
        found = catalog_survey_image(seen, model, given)
        if found.reading.population:
            click.echo(f"{found.reading.population.page(found.image)}\n")
    found.write(output)
    unflagged = (found.rows["flags"] == 0).sum()
    click.echo(f"{output}: {len(found):,} sources, {unflagged:,} without flags")
    if samples:
        draws = (
            found.drawn if isinstance(found, PaneledCatalog) else found.draws(samples, seed=SEED)
        )
        write_table(draws, samples_path(output))
        click.echo(f"{samples_path(output)}: {len(draws):,} sources in {samples:,} draws")
    if footprint:
        found.write_footprint(footprint)
        click.echo(f"{footprint}")
    if isinstance(found, SurveyCatalog):
        _draw(found, plot, residual)
    _tell_missed(found, image.path, missed_path(output), force=force)


def _in_panels(
    image: ImageFile, model: "TileModel", size: tuple[int, int], *, n_draws: int, given: Given
) -> PaneledCatalog:
    """Catalog a large image, after an inspection of its middle.

    The PSF of the middle stands in elsewhere, and sources everywhere are as faint as there.
    """
    middle = image.open(cut=middle_of(*size))
    click.echo(f"{size[0]:,} x {size[1]:,} pixels, in panels; in the middle:")
    show_findings(middle)
    if model.settings.is_wide and given.faint_magnitude is None:
        given = replace(given, faint_magnitude=faint_magnitude(middle))
    known = {"fwhm", "psf"} & {name for name, value in image.reading.items() if value is not None}
    psf = {} if known else {"fwhm": middle.psf.fwhm * middle.pixel_scale}
    return catalog_in_panels(
        lambda cut: image.open(cut=cut, **psf),
        model,
        size=size,
        n_draws=n_draws,
        seed=SEED,
        told=click.echo,
        given=given,
    )


def _draw(found: SurveyCatalog, plot: Path | None, residual: Path | None) -> None:
    """Write the pictures that were asked for."""
    if plot:
        found.plot(plot)
        click.echo(f"{plot}")
    if residual:
        # Matplotlib takes a second to load: import it only here, after bad input has been refused.
        from npecat_eval.catalog.reconstruction import Reconstruction
        from npecat_eval.pictures.survey_image import write_residual

        write_residual(Reconstruction.of(found.image, found.detections), residual)
        click.echo(f"{residual}")


def _tell_missed(
    found: SurveyCatalog | PaneledCatalog, image: Path, path: Path, *, force: bool
) -> None:
    """Write and tell the bright sources without a row; NpecatError if they are many."""
    told = (
        f"{found.n_missed:,} of {found.n_bright:,} bright detections of SEP (SNR > {MIN_SNR:g}) "
        "have no row"
    )
    if not found.n_missed:
        path.unlink(missing_ok=True)  # of an earlier catalog of this name
        click.echo(told)
        return
    write_table(found.missed_rows, path)
    click.echo(f"{path}: {told}")
    if found.n_missed > MAX_MISSED * found.n_bright and not force:
        raise NpecatError(
            f"{image}: {told}, listed in {path}; the image is unlike those in training, or its "
            "PSF or noise is not as told; force keeps the catalog as good",
            parameters=("force",),
        )
