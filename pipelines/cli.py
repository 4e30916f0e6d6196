"""The command ``npecat``: a group of subcommands, each in a file of ``commands``."""

import os
import sys
from importlib import import_module

import click

from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.io.disk import is_full

COMMANDS = {
    "simulate": "simulate",
    "info": "info",
    "show": "show",
    "verify": "verify",
    "train": "train",
    "evaluate": "evaluate",
    "inspect": "inspect",
    "catalog": "catalog",
    "compare": "compare",
    "inject": "inject",
    "fields": "fields",
    "run": "quickstart",
}
"""Subcommand -> its module in ``commands``."""

N_TRAIN = 210_000
"""Number of training images in the paper: what to simulate where there is no store at all."""


class LazyGroup(click.Group):
    """A group that imports the module of a command, with torch or GalSim, when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{COMMANDS[cmd_name]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(package_name="npecat")
def npecat() -> None:
    """Probabilistic catalogs of stars and galaxies from telescope images."""


INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as shells have it."""


def main(command: click.Command = npecat) -> None:
    """Run a command line and exit.

    The status is 0; 1 for an NpecatError; 2 for a wrong use of options, or a place that cannot be
    written; 130 after Ctrl-C. Each but the first is told in one line.
    """
    try:
        status = command(standalone_mode=False)  # a number after --help, or else None
    except NpecatError as error:
        print(f"npecat: {in_words_of_the_command_line(error)}", file=sys.stderr)
        status = error.status
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("npecat: interrupted", file=sys.stderr)
        status = INTERRUPTED
    except OSError as error:
        if not is_full(error):
            raise
        print(f"npecat: {error.strerror}; free space or send the output elsewhere", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what Python writes there at its end
        status = 1
    sys.exit(status)


def in_words_of_the_command_line(error: NpecatError) -> str:
    """The message of an error, and what to type: the options to change or the command to run."""
    if isinstance(error, StoreError):
        return f"{error}; run: {simulate_command(error)}"
    options = [f"--{name.replace('_', '-')}" for name in error.parameters]
    return f"{error} ({', '.join(options)})" if options else str(error)


def simulate_command(error: StoreError) -> str:
    """The command that makes or completes the store that an error is about."""
    from npecat_sim.model.streams import SPLITS  # NumPy, whose import Ctrl-C may interrupt

    folder = error.path.parent
    known = error.settings
    if known is None:
        return f"npecat simulate --prior {folder.name} --n {N_TRAIN} --out {folder}"
    counts = {one: known["n_images"] if one == known["split"] else 0 for one in SPLITS}
    words = [f"npecat simulate --prior {known['prior']}", f"--n {counts['train']}"]
    words += [f"--n-validation {counts['validation']} --n-test {counts['test']}"]
    words += [f"--seed {known['seed']} --out {folder}"]
    if known["fields"] in ("library", "images"):
        words.append("--fields LIBRARY")
    if known.get("survey", {}).get("name", "wide") != "wide":
        words.append("--survey FILE")
    return " ".join(words)
