"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import Location, location
from npecat_train.weights import DEFAULT_WEIGHTS

FOLDER = click.Path(path_type=Path, file_okay=False)
"""Type of an option that names a folder of this machine."""

FILE = click.Path(path_type=Path, dir_okay=False)
"""Type of an option that names a file of this machine."""


class StorageType(click.ParamType):  # type: ignore[type-arg]  # no generic class in click 8.1
    """Type of an option that names a folder or ``s3://bucket/key``."""

    name = "folder"

    def convert(
        self, value: str | Location, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """The Location that a string names; a default value is one already."""
        return location(value) if isinstance(value, str) else value


STORAGE = StorageType()

DATA_OPTION = click.option(
    "--data", type=STORAGE, default=Path("data"), help="Folder or s3:// of PRIOR/train.zarr etc."
)
RUNS_OPTION = click.option("--runs", type=FOLDER, default=Path("runs"), help="Folder of networks.")
RUN_OPTION = click.option("--run", type=FOLDER, required=True, help="Folder of one network.")
TEST_STORE_OPTION = click.option("--store", type=STORAGE, required=True, help="Test store.")

STORE_ARGUMENT = click.argument("path", metavar="STORE", type=STORAGE)

CHECKPOINT_OPTION = click.option(
    "--checkpoint",
    type=FILE,
    default=DEFAULT_WEIGHTS,
    show_default="those in the package",
    help="Weights of a network, such as runs/psf_aware/best.safetensors.",
)

IMAGE_OPTIONS = (
    click.argument("path", metavar="IMAGE", type=FILE),
    click.option("--psf", help="File with the PSF (default: the one beside IMAGE) or six numbers."),
    click.option("--mask", type=FILE, help="File with masked pixels.  [default: fpM beside IMAGE]"),
    click.option("--zeropoint", type=float, help="AB magnitude of a count; IMAGE may be any FITS."),
    click.option("--gain", type=float, help="Electrons per count, with --zeropoint."),
    click.option("--sky", type=float, help="Counts per pixel that were subtracted already."),
    click.option("--fwhm", type=float, help="Width of stars in arcsec, in place of --psf."),
)
"""The argument IMAGE and the options of its reader, see npecat_sim.surveys.open."""

READER_OPTIONS = ("psf", "mask", "zeropoint", "gain", "sky", "fwhm")
"""Arguments of open_image by name."""


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument IMAGE and its reader's options to a command.

    Parameters
    ----------
    command : callable
        It is called with the keyword argument ``image``, a SurveyImage.

    Returns
    -------
    callable
        The function to make a click command of.
    """

    @wraps(command)
    def with_image(path: Path, **options: Any) -> Any:
        """Open the image and call the command with it."""
        from npecat_sim.surveys.open import open_image  # astropy, which most commands do not need

        reading = {name: options.pop(name) for name in READER_OPTIONS}
        return command(image=open_image(path, **reading), **options)

    for option in reversed(IMAGE_OPTIONS):
        option(with_image)
    return with_image


def _picture(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Check, before any work is done, that a file is a picture that Matplotlib can write."""
    from npecat_eval.pictures.style import (
        check_picture,  # Matplotlib, which most commands do not need
    )

    if path:
        check_picture(path)
    return path


PLOT_OPTION = click.option("--plot", type=FILE, callback=_picture, help="Picture, .png or .pdf.")


def _table(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Check that a file has the format of a table; DS9 regions hold only catalogs."""
    from npecat_eval.catalog.formats import check_format  # torch, likewise

    if path and path.suffix == ".reg":
        raise NpecatError(f"{path}: this table is no catalog; name a file of another format")
    if path:
        check_format(path)
    return path


TABLE_OPTION = click.option(
    "-o", "--output", type=FILE, callback=_table, help="All sources, .fits .ecsv .vot .csv etc."
)
