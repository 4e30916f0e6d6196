"""``npecat run quickstart``: all three stages on small stores, in minutes."""

from pathlib import Path

import click

from npecat_train.training.defaults import CROWDED_DENSITY, SHORT_RUN_BATCH_SIZE

from .evaluate import evaluate
from .options import FOLDER
from .simulate import simulate
from .train import train

N_CROWDED, N_TRAIN, N_VALIDATION, N_TEST = 12_500, 12_500, 1_000, 2_000
"""Numbers of images. The network sees each training image once, crowded ones first: about four
minutes on two cores."""


@click.group()
def run() -> None:
    """Run several stages in a row."""


@run.command()
@click.option("--out", type=FOLDER, default=Path("quickstart"), help="Folder of all that it makes.")
@click.pass_context
def quickstart(context: click.Context, out: Path) -> None:
    """Simulate, train psf_aware and evaluate on priors many and one."""
    data, crowded, runs, results = out / "data", out / "crowded", out / "runs", out / "results"
    sizes = {"n_validation": N_VALIDATION, "n_test": N_TEST}
    for prior, n_train in (("many", N_TRAIN), ("one", 0)):
        context.invoke(simulate, prior=prior, n=n_train, out=data / prior, **sizes)
    context.invoke(
        simulate,
        prior="many",
        n=N_CROWDED,
        n_validation=0,
        n_test=0,
        density=CROWDED_DENSITY,
        seed=1,
        out=crowded / "many",
    )
    context.invoke(
        train,
        variant="psf_aware",
        epochs=1,
        batch_size=SHORT_RUN_BATCH_SIZE,
        first=crowded,
        data=data,
        runs=runs,
    )
    for prior in ("many", "one"):
        context.invoke(evaluate, test_prior=prior, data=data, runs=runs, results=results)
