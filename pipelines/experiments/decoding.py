"""Three ways to read a catalog off one posterior, compared on a test store.

``python -m npecat.experiments.decoding --run runs/psf_aware --store data/many/test.zarr`` reads a
trained network's posterior in three ways: by a threshold on each tile alone, by a threshold on
joined tiles, and by the rule of npecat_eval/catalog/decode.py, which also requires that the source
is located. Counts are of all sources and of those of r < 22; the expected number is the sum over
tiles of the probability of such a source.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from npecat_eval.catalog.decode import JoinedTiles, catalog_of_tiles, join
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.store_catalog import images_for, store_posteriors
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.table import evaluate
from npecat_eval.report import tables
from npecat_sim.io.storage import Location
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_train.model import TileModel
from npecat_train.posterior.tile_posterior import TilePosterior

from ..cli import main
from ..commands.options import RUN_OPTION, TEST_STORE_OPTION


def bare_tiles(posterior: TilePosterior) -> JoinedTiles:
    """Take each tile alone, and every source as located."""
    probability = posterior.source.probability
    return JoinedTiles(probability, probability, probability[None])


def joined_tiles(posterior: TilePosterior) -> JoinedTiles:
    """Join tiles as the catalog does, but take every source as located."""
    joined = join(posterior)
    return replace(joined, located=joined.probability)


RULES: dict[str, Callable[[TilePosterior], JoinedTiles]] = {
    "bare threshold": bare_tiles,
    "joined tiles": joined_tiles,
    "located": join,
}
"""Name of each way to read a posterior -> how it joins tiles."""


@click.command(context_settings={"show_default": True})
@RUN_OPTION
@TEST_STORE_OPTION
def compare_decoding(run: Path, store: Location) -> None:
    """Compare the decoding rule with a bare threshold on each tile."""
    model = TileModel.load(run)
    test = Store(store)
    found: dict[str, list[Detections]] = {rule: [] for rule in RULES}
    expected = {rule: np.zeros(2) for rule in RULES}
    first_image = 0
    with progress("compare", len(test)) as advance:
        for batch, posterior in store_posteriors(model, images_for(model, test)):
            for rule, join_by in RULES.items():
                joined = join_by(posterior)
                catalog = catalog_of_tiles(posterior, joined, first_image=first_image)
                found[rule].append(catalog.detections)
                expected[rule] += expected_numbers(posterior, joined.probability)
            first_image += len(batch)
            advance(len(batch), "")
    catalogs = {rule: Detections.concatenate(parts) for rule, parts in found.items()}
    truth = Truth(test.catalog())
    predictions = {rule: Prediction(detections) for rule, detections in catalogs.items()}
    table = evaluate(truth, predictions, bound=None, test_set=test.settings.prior)
    click.echo(tables.overall_text(table))

    click.echo(f"{'number of sources':<24}{'all':>12}{'r < 22':>12}")
    rows = {"true": numbers(truth.catalog.flat()["flux"])}
    for rule, detections in catalogs.items():
        rows[f"{rule}, detected"] = numbers(detections.flux)
        rows[f"{rule}, expected"] = expected[rule]
    for name, (everything, bright) in rows.items():
        click.echo(f"{name:<24}{everything:>12,.0f}{bright:>12,.0f}")


def numbers(flux: np.ndarray) -> np.ndarray:
    """The numbers of all sources and of those of r < 22.

    Parameters
    ----------
    flux : ndarray
        (source,), nanomaggies.

    Returns
    -------
    ndarray
        float64 (2,).
    """
    return np.array([len(flux), (magnitude(flux) < MAGNITUDE_LIMIT).sum()], dtype=float)


def expected_numbers(posterior: TilePosterior, probability: Tensor) -> np.ndarray:
    """The expected numbers of all sources and of those of r < 22.

    Parameters
    ----------
    posterior : TilePosterior
        Of a batch of images.
    probability : Tensor
        (image, row, column), that a tile gives a source.

    Returns
    -------
    ndarray
        float64 (2,).
    """
    limit = torch.full_like(probability, float(flux_of_magnitude(MAGNITUDE_LIMIT)))
    bright = probability * (1 - posterior.flux.cdf(limit))
    return np.array([float(part.sum(dtype=torch.float64)) for part in (probability, bright)])


if __name__ == "__main__":
    main(compare_decoding)
