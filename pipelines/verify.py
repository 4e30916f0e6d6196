"""``npecat verify``: check every file of stores against their manifests."""

import sys
from pathlib import Path

import click

from npecat_sim.store import refuse_unfinished
from npecat_sim.verify import verify as faults_of

from .options import FOLDER


@click.command()
@click.argument("paths", metavar="STORE...", nargs=-1, required=True, type=FOLDER)
def verify(paths: tuple[Path, ...]) -> None:
    """Read every file of finished stores and name each that is not what was written."""
    for path in paths:
        refuse_unfinished(path)
    n_faults = 0
    for path in paths:
        faults = faults_of(path)
        n_faults += len(faults)
        for fault in faults:
            click.echo(f"{path}: {fault}")
        click.echo(f"{path}: {len(faults):,} faults" if faults else f"{path}: whole")
    if n_faults:
        sys.exit(1)
