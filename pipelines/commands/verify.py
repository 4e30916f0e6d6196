"""``npecat verify``: check every file of some stores against their manifests."""

import sys

import click

from npecat_sim.io.storage import Location
from npecat_sim.store.reader import refuse_unfinished
from npecat_sim.store.verify import verify as faults_of

from .options import STORAGE


@click.command()
@click.argument("paths", metavar="STORE...", nargs=-1, required=True, type=STORAGE)
def verify(paths: tuple[Location, ...]) -> None:
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
