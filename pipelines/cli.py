"""The command ``npecat``: one group, a file a command."""

import sys
from importlib import import_module

import click

from npecat_sim.errors import NpecatError

COMMANDS = {
    "simulate": "simulate",
    "info": "info",
    "show": "show",
    "verify": "verify",
    "train": "train",
    "evaluate": "evaluate",
    "catalog": "catalog",
    "compare": "compare",
    "inject": "inject",
    "fields": "fields",
    "run": "quickstart",
}
"""Command -> its module in ``commands``."""


class LazyGroup(click.Group):
    """Loads a command's module, with torch, GalSim or Matplotlib, only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"npecat.commands.{COMMANDS[cmd_name]}"), cmd_name)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(package_name="npecat")
def npecat() -> None:
    """Probabilistic catalogs of stars and galaxies from telescope images."""


def main(command: click.Command = npecat) -> None:
    """Run a command line; an NpecatError becomes one line and exit status 1."""
    try:
        command()
    except NpecatError as error:
        print(f"npecat: {error}", file=sys.stderr)
        sys.exit(1)
