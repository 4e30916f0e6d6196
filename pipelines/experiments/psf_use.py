"""Check whether a network uses the PSF that it is given.

``python -m npecat.experiments.psf_use --run runs/psf_aware --store data/many/test.zarr`` computes
the loss of each test image with its own PSF parameters and with those of another image. The exit
status is 1 if the loss does not clearly rise.
"""

import sys
from pathlib import Path

import click

from npecat_eval.metrics.psf_use import CLEAR_SIGMAS, psf_use
from npecat_sim.io.storage import Location
from npecat_sim.store.reader import Store
from npecat_train.model import TileModel

from ..cli import main
from ..commands.options import RUN_OPTION, TEST_STORE_OPTION


@click.command(context_settings={"show_default": True})
@RUN_OPTION
@TEST_STORE_OPTION
def check_psf_use(run: Path, store: Location) -> None:
    """Compare the loss with the true PSF and with another image's."""
    model = TileModel.load(run)
    use = psf_use(model, Store(store))

    click.echo(f"{'nats an image':<16}{'own PSF':>10}{'another':>10}{'rise':>10}{'error':>10}")
    for name, factors in {**{name: (name,) for name in use.factors}, "all": use.factors}.items():
        own = sum(float(use.true[factor].mean()) for factor in factors)
        another = sum(float(use.shuffled[factor].mean()) for factor in factors)
        rise, error = use.rise(*factors)
        click.echo(f"{name:<16}{own:>10.3f}{another:>10.3f}{rise:>10.3f}{error:>10.3f}")
    verdict = "uses the PSF" if use.is_clear else "does not clearly use the PSF"
    click.echo(f"{model.settings.variant} {verdict} (clear: rise above {CLEAR_SIGMAS:g} errors)")
    sys.exit(0 if use.is_clear else 1)


if __name__ == "__main__":
    main(check_psf_use)
