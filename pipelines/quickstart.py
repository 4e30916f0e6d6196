"""``npecat run quickstart``: all three stages on small sizes, to see the whole in minutes."""

from pathlib import Path

import click

from .evaluate import evaluate
from .options import FOLDER
from .simulate import simulate
from .train import train

N_TRAIN, N_VALIDATION, N_TEST = 25_000, 1_000, 2_000
EPOCHS = 1
"""One pass over images that are never seen twice: about three minutes on two cores."""


@click.group()
def run() -> None:
    """Run several stages in a row."""


@run.command()
@click.option("--out", type=FOLDER, default=Path("quickstart"), help="Folder of all that it makes.")
@click.pass_context
def quickstart(context: click.Context, out: Path) -> None:
    """Simulate, train psf_aware and evaluate on priors many and one."""
    data, runs, results = out / "data", out / "runs", out / "results"
    sizes = {"n_validation": N_VALIDATION, "n_test": N_TEST}
    for prior, n_train in (("many", N_TRAIN), ("one", 0)):
        context.invoke(simulate, prior=prior, n=n_train, out=data / prior, **sizes)
    context.invoke(train, variant="psf_aware", epochs=EPOCHS, data=data, runs=runs)
    for prior in ("many", "one"):
        context.invoke(evaluate, test_prior=prior, data=data, runs=runs, results=results)
