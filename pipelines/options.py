"""Options that several commands share."""

from pathlib import Path

import click

from npecat_sim.files import Location, location

FOLDER = click.Path(path_type=Path, file_okay=False)


class StorageType(click.ParamType):
    """A folder, or s3://bucket/key."""

    name = "folder"

    def convert(
        self, value: str | Location, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        """The place that was named; a default is one already."""
        return location(value) if isinstance(value, str) else value


STORAGE = StorageType()

DATA_OPTION = click.option(
    "--data", type=STORAGE, default=Path("data"), help="Folder or s3:// of PRIOR/train.zarr etc."
)
RUNS_OPTION = click.option("--runs", type=FOLDER, default=Path("runs"), help="Folder of networks.")
RUN_OPTION = click.option("--run", type=FOLDER, required=True, help="Folder of one network.")
TEST_STORE_OPTION = click.option("--store", type=STORAGE, required=True, help="Test store.")

STORE_ARGUMENT = click.argument("path", metavar="STORE", type=STORAGE)

FILE = click.Path(path_type=Path, dir_okay=False)

PLOT_OPTION = click.option("--plot", type=FILE, help="Picture of it, .png or .pdf.")
