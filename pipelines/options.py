"""Options that several commands share."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)

DATA_OPTION = click.option("--data", type=FOLDER, default=Path("data"), help="Folder of stores.")
RUNS_OPTION = click.option("--runs", type=FOLDER, default=Path("runs"), help="Folder of networks.")
RUN_OPTION = click.option("--run", type=FOLDER, required=True, help="Folder of one network.")
TEST_STORE_OPTION = click.option("--store", type=FOLDER, required=True, help="Test store.")

STORE_ARGUMENT = click.argument("path", metavar="STORE", type=FOLDER)
