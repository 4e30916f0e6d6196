"""Check whether the paper's claims about its three networks hold.

``python -m npecat.experiments.claims results/many results/one``
"""

from pathlib import Path

import click
from astropy.table import Table

from npecat_eval.report.claims import verdicts
from npecat_eval.report.wide_tables import TITLES
from npecat_sim.errors import NpecatError

from ..cli import main
from ..commands.options import FOLDER


@click.command()
@click.argument("results", nargs=-1, required=True, type=FOLDER)
def check_claims(results: tuple[Path, ...]) -> None:
    """Judge the three networks by the tables that npecat evaluate wrote into RESULTS."""
    found = []
    for folder in results:
        path = folder / "metrics.ecsv"
        if not path.exists():
            raise NpecatError(f"{path}: no such table; make it with: npecat evaluate")
        found += verdicts(Table.read(path, format="ascii.ecsv"))
    if not found:
        raise NpecatError(
            "the tables compare none of single_field, psf_unaware and psf_aware; train these "
            "three and run npecat evaluate again"
        )
    for one in found:
        name = TITLES[one.metric]
        words = "holds" if one.holds else "FAILS"
        difference = f"{one.difference:+.4f} ± {one.sigma:.4f}"
        click.echo(f"{one.claim:<36}{name:<22}{difference:>20}  {words}")


if __name__ == "__main__":
    main(check_claims)
