"""Options that several commands share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import Location, location
from npecat_train.weights import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from npecat_sim.surveys.image import SurveyImage

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

GIVEN_OPTIONS = (
    click.option("--density", type=float, help="Sources per arcmin^2.  [default: found]"),
    click.option("--star-share", type=float, help="Share of stars.  [default: found]"),
    click.option("--faint-magnitude", type=float, help="Of the faintest.  [default: 4 sigma]"),
)
"""What a network of variant wide may be told of the sources, see npecat_eval.catalog.population."""

IMAGE_OPTIONS = (
    click.argument("path", metavar="IMAGE", type=FILE),
    click.option("--psf", help="File with the PSF, or six numbers.  [default: its stars]"),
    click.option("--mask", type=FILE, help="File with masked pixels.  [default: fpM beside IMAGE]"),
    click.option("--mask-bits", type=int, help="Sum of the bits of --mask that count."),
    click.option("--fwhm", type=float, help="Width of stars in arcsec, in place of --psf."),
    click.option("--trust-psf", is_flag=True, help="Keep the PSF, however wide the stars are."),
    click.option("--zeropoint", type=float, help="AB magnitude of a count.  [default: header]"),
    click.option("--gain", type=float, help="Electrons per count.  [default: header]"),
    click.option("--saturate", type=float, help="Counts of saturation.  [default: header]"),
    click.option("--sky", type=float, help="Counts per pixel that were subtracted already."),
    click.option("--subtract-sky", is_flag=True, help="Subtract what is left of the sky."),
    click.option("--weight", type=FILE, help="FITS image of the inverse variance of each pixel,"),
    click.option("--variance", type=FILE, help="or of the variance,"),
    click.option("--rms", type=FILE, help="or of the standard deviation, all up to a factor."),
    click.option("--hdu", help="Index or name of the image in its file, if it holds several."),
    click.option("--cut", help="Part of the image, x0:x1,y0:y1, columns and rows from 0."),
    click.option("--pixel-scale", type=float, help="Arcsec per pixel, without coordinates."),
)
"""The argument IMAGE and the options of its reader, see npecat_sim.surveys.open."""

READER_OPTIONS = (
    "psf",
    "mask",
    "mask_bits",
    "fwhm",
    "trust_psf",
    "zeropoint",
    "gain",
    "saturate",
    "sky",
    "subtract_sky",
    "weight",
    "variance",
    "rms",
    "hdu",
    "cut",
    "pixel_scale",
)
"""Arguments of open_image by name."""

SMALL_FILE = 16_000_000
"""Bytes of a file below which its image is read in one piece, whatever its header says."""

BESIDE = ("photoField-*", "psField-*", "fpM-*")
"""Files that open_image may find beside a frame of SDSS."""


@dataclass(frozen=True)
class ImageFile:
    """The argument IMAGE and the options of its reader, before anything is read.

    Parameters
    ----------
    path : Path
        The file.
    reading : mapping
        Name of each option in READER_OPTIONS -> its value.
    """

    path: Path
    reading: Mapping[str, Any]

    @property
    def reads(self) -> dict[str, Path | str]:
        """Files that are read, by option, with those that may be found beside the image."""
        given = {
            name: value
            for name, value in self.reading.items()
            if isinstance(value, Path) or (name == "psf" and isinstance(value, str))
        }
        beside = [file for pattern in BESIDE for file in self.path.parent.glob(pattern)]
        return {"IMAGE": self.path, **given, **{file.name: file for file in beside}}

    def open(self, **changes: Any) -> "SurveyImage":
        """Read the image, with other values of some options; NpecatError if it cannot be read."""
        from npecat_sim.surveys.open import open_image  # astropy, which most commands do not need

        return open_image(self.path, **{**self.reading, **changes})

    def size(self) -> tuple[int, int] | None:
        """Width and height of a whole image that may be too large for one piece, else None."""
        from npecat_sim.surveys.any_fits import image_size

        is_small = not self.path.is_file() or self.path.stat().st_size < SMALL_FILE
        if is_small or self.reading["cut"] is not None:
            return None
        return image_size(self.path, self.reading["hdu"])


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument IMAGE and its reader's options to a command.

    Parameters
    ----------
    command : callable
        It is called with the keyword argument ``image``, an ImageFile.

    Returns
    -------
    callable
        The function to make a click command of.
    """

    @wraps(command)
    def with_image(path: Path, **options: Any) -> Any:
        """Call the command with the image that is to be read."""
        reading = {name: options.pop(name) for name in READER_OPTIONS}
        return command(image=ImageFile(path, reading), **options)

    for option in reversed(IMAGE_OPTIONS):
        option(with_image)
    return with_image


def given_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add GIVEN_OPTIONS to a command, which is called with a Given as ``given``."""

    @wraps(command)
    def with_given(
        density: float | None, star_share: float | None, faint_magnitude: float | None, **rest: Any
    ) -> Any:
        """Call the command with what is known of the sources."""
        from npecat_eval.catalog.population import Given  # torch, which most commands do not need

        return command(given=Given(density, star_share, faint_magnitude), **rest)

    for option in reversed(GIVEN_OPTIONS):
        option(with_given)
    return with_given


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
