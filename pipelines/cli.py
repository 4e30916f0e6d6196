"""The command ``npecat``: one group, a file a command."""

import sys

import click

from npecat_sim.errors import NpecatError

from .simulate import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="npecat")
def npecat() -> None:
    """Probabilistic catalogs of stars and galaxies from telescope images."""


npecat.add_command(simulate)


def main() -> None:
    """Run the command line; an NpecatError becomes one line and exit status 1."""
    try:
        npecat()
    except NpecatError as error:
        print(f"npecat: {error}", file=sys.stderr)
        sys.exit(1)
