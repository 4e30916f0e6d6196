"""The command ``npecat``: one group, a file a command."""

import sys

import click

from npecat_sim.errors import NpecatError

from .evaluate import evaluate
from .fields import fields
from .quickstart import run
from .simulate import simulate
from .train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="npecat")
def npecat() -> None:
    """Probabilistic catalogs of stars and galaxies from telescope images."""


for command in (simulate, train, evaluate, fields, run):
    npecat.add_command(command)


def main() -> None:
    """Run the command line; an NpecatError becomes one line and exit status 1."""
    try:
        npecat()
    except NpecatError as error:
        print(f"npecat: {error}", file=sys.stderr)
        sys.exit(1)
