"""``npecat fields``: download survey fields, import them into a library, show and describe it."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

from npecat_sim.errors import NpecatError
from npecat_sim.fields.image_library import (
    is_image_library,
    load_image_library,
    save_image_library,
)
from npecat_sim.fields.images import Fields
from npecat_sim.fields.library import load_library, save_library
from npecat_sim.fields.sdss_statistics import (
    default_fields,
    description_text,
    fit_description,
    has_wing,
)
from npecat_sim.fields.table import FieldTable
from npecat_sim.io.outputs import check_output_folder, check_outputs
from npecat_sim.io.storage import replacing
from npecat_sim.surveys.image_fields import import_images
from npecat_sim.surveys.sdss.download import ARCHIVE, RERUN, download_fields
from npecat_sim.surveys.sdss.fields import import_fields

from .image_libraries import draw_images, image_summary
from .options import FILE, FOLDER, IMAGE_OPTIONS, READER_OPTIONS

PHOTOFIELD = "photoField-"
"""Begin of the name of a file of SDSS that tells the PSFs of many fields."""


def reader_options(command: Any) -> Any:
    """Add the options with which images are read to a command, but not the argument IMAGE."""
    for option in reversed(IMAGE_OPTIONS[1:]):
        command = option(command)
    return command


@click.group()
def fields() -> None:
    """Survey fields: PSF, sky and detector to simulate under."""


@fields.command()
@click.option("--run", type=click.IntRange(min=1), required=True, help="Run of SDSS.")
@click.option("--camcol", type=click.IntRange(1, 6), required=True, help="Camera column.")
@click.option(
    "--field",
    "numbers",
    type=click.IntRange(min=1),
    multiple=True,
    help="Field whose frame is wanted too; may be repeated.",
)
@click.option("--rerun", type=click.IntRange(min=1), default=RERUN, help="Reduction.")
@click.option("--out", type=FOLDER, required=True, help="Folder for the files.")
@click.option("--archive", default=ARCHIVE, envvar="NPECAT_ARCHIVE", help="Address of photoObj.")
def download(
    run: int, camcol: int, numbers: tuple[int, ...], rerun: int, out: Path, archive: str
) -> None:
    """Fetch the photoField file of a camera column and r-band frames from SDSS's archive."""
    check_output_folder("out", out, {})
    for path in download_fields(
        out, run, camcol=camcol, fields=numbers, rerun=rerun, archive=archive
    ):
        click.echo(path)


@fields.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "library", required=True, type=FILE, help="Library to write.")
@reader_options
def import_(paths: tuple[Path, ...], library: Path, **reading: Any) -> None:
    """Make a library of your own images, or of SDSS's fields, to simulate under.

    PATHS are images that npecat catalog reads, or folders of them: PSF, sky, gain and noise of each
    are measured, and prior wide draws from them. With photoField-*.fits files of SDSS among them,
    and frame-r-* files if given, it is a field library for priors many and held_out.
    """
    told = {f"--{name}": path for name, path in reading.items() if isinstance(path, Path)}
    check_outputs({"output": library}, {**_named(paths), **told})
    table: Fields
    if any(path.name.startswith(PHOTOFIELD) for path in paths):
        _refuse(reading)
        table = import_fields(paths)
        save_library(table, library)
        click.echo(f"{library}: {len(table):,} fields, {len(table.sky_maps):,} with a sky map")
        click.echo(summary(table))
        return
    table = import_images(paths, **reading)
    save_image_library(table, library)
    click.echo(f"{library}: {len(table):,} image{'s' if len(table) > 1 else ''}")
    click.echo(image_summary(table))


def _refuse(reading: dict[str, Any]) -> None:
    """Raise NpecatError for an option of images, which photoField files do not have."""
    for name in READER_OPTIONS:
        if reading[name] not in (None, False):
            raise NpecatError(
                f"{name} is for images, not for {PHOTOFIELD}* files of SDSS", parameters=(name,)
            )


@fields.command()
@click.argument("library", required=False, type=FILE)
@click.option("-o", "--output", "figure_path", type=FILE, help="PNG; default: beside the library.")
def show(library: Path | None, figure_path: Path | None) -> None:
    """Summarise a library, by default the fields of prior many, and draw its FWHM and sky.

    Of a library of images, ellipticity and depth are told as well.
    """
    figure_path = figure_path or (library or Path("fields")).with_suffix(".png")
    check_outputs({"output": figure_path}, {"LIBRARY": library})
    if library and library.is_file() and is_image_library(library):
        images = load_image_library(library)
        click.echo(image_summary(images))
        figure = draw_images(images)
    else:
        table = load_library(library) if library else default_fields()
        click.echo(summary(table))
        figure = draw(table)
    with replacing(figure_path) as partial:
        figure.savefig(partial, format="png", dpi=150)
    click.echo(f"figure: {figure_path}")


@fields.command()
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option("-o", "--output", "description", required=True, type=FILE, help="JSON to write.")
def fit(paths: tuple[Path, ...], description: Path) -> None:
    """Describe the fields of photoField files statistically, as prior many draws them."""
    check_outputs({"output": description}, _named(paths))
    table = import_fields(paths)
    text = description_text(fit_description(table))
    with replacing(description) as partial:
        partial.write_text(text)
    click.echo(f"{description}: {len(table):,} fields described in {len(text) / 1e3:.1f} kB")


def _named(paths: tuple[Path, ...]) -> dict[str, Path]:
    """The files of the argument PATHS, by a name for each."""
    return {f"number {number} of PATHS": path for number, path in enumerate(paths, start=1)}


def columns_of(table: FieldTable) -> list[tuple[str, np.ndarray]]:
    """The fields of each run and camera column.

    Parameters
    ----------
    table : FieldTable
        Fields of one or more runs.

    Returns
    -------
    list of tuple
        The label of each camera column, and int64 (field,) the indices of its rows.
    """
    keys = table.identity[:, :2]
    return [
        (
            f"{run}/{camcol}" if run else "synthetic",
            np.flatnonzero((keys == (run, camcol)).all(axis=1)),
        )
        for run, camcol in np.unique(keys, axis=0).tolist()
    ]


def summary(table: FieldTable) -> str:
    """A line for each camera column: numbers of fields and sky maps, and medians with ranges."""
    lines = [
        f"{'run/camcol':>10} {'fields':>6} {'sky maps':>8} {'FWHM (arcsec)':>18} "
        f"{'sky (nmgy/arcsec2)':>18} {'no wing':>7} {'electrons/nmgy':>15}"
    ]
    wingless = ~has_wing(table.psf)
    for label, rows in columns_of(table):
        n_maps = sum(row in table.sky_maps for row in rows.tolist())
        fwhm = _median_and_range(table.fwhm[rows])
        sky = _median_and_range(table.sky[rows])
        lines.append(
            f"{label:>10} {len(rows):6d} {n_maps:8d} {fwhm:>18} {sky:>18} "
            f"{wingless[rows].mean():7.1%} {np.median(table.electrons_per_nmgy[rows]):15.0f}"
        )
    return "\n".join(lines)


def _median_and_range(values: np.ndarray) -> str:
    """The median of some values, and their minimum and maximum in brackets."""
    return f"{np.median(values):.2f} ({values.min():.2f}-{values.max():.2f})"


def draw(table: FieldTable) -> Figure:
    """Draw histograms of FWHM and sky, stacked by run and camera column."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=False)
    columns = columns_of(table)
    labels = [label for label, _ in columns]
    panels_of = {
        "PSF FWHM (arcsec)": table.fwhm,
        "Sky brightness (nmgy / arcsec$^2$)": table.sky,
    }
    for panel, (name, values) in zip(panels, panels_of.items(), strict=True):
        groups = [values[rows] for _, rows in columns]
        panel.hist(groups, bins=30, stacked=True, label=labels)
        panel.set(xlabel=name, ylabel="Fields per bin")
    panels[1].legend(title="run/camcol", frameon=False)
    figure.suptitle(f"{len(table):,} fields, {len(table.sky_maps):,} with a sky map")
    return figure
