"""Compare a network with the exact posterior: ``python -m npecat.experiments.exact``.

Sources of a test store are drawn at random from those of r < 22 that the network has found. The
network's flux and type are compared with those of the exact posterior of the source, everything
else known (npecat_eval/baselines/nested_sampling.py). A CPU core does about four sources a minute.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from scipy.spatial import KDTree

from npecat_eval.baselines.nested_sampling import exact_posterior
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.metrics.matched import MatchedCatalog
from npecat_eval.metrics.predictions import Truth, predict_store
from npecat_eval.report.text_columns import columns_text
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_train.model import TileModel

from ..cli import main
from ..commands.options import RUN_OPTION, TEST_STORE_OPTION

LONE_PIXELS = 20.0
"""Pixels: a source farther than this from every other source is isolated."""

MAGNITUDES = ((14.0, 19.0), (19.0, 20.0), (20.0, 21.0), (21.0, MAGNITUDE_LIMIT))
"""Ranges of true magnitude; a range includes its lower end."""


@dataclass(frozen=True)
class Reading:
    """The estimates of one method for one source.

    Parameters
    ----------
    error : float
        Of the flux, relative to the true flux.
    width : float
        Half of the 16 to 84 % interval of the logarithm of the flux.
    prob_galaxy : float
        Probability that the source is a galaxy.
    """

    error: float
    width: float
    prob_galaxy: float


def exact_reading(store: Location, chosen: tuple[int, int, float]) -> Reading:
    """The exact posterior's estimates for one source.

    Parameters
    ----------
    store : Path or UPath
        Images with their true catalogs.
    chosen : tuple
        Index of the image, index of the source in its catalog, and true flux in nanomaggies.

    Returns
    -------
    Reading
    """
    image, source, flux = chosen
    one = Store(store).batch(slice(image, image + 1))
    exact = exact_posterior(one, source, seed=image)
    low, middle, high = [exact.flux_quantile(q) for q in (0.16, 0.5, 0.84)]
    return Reading(middle / flux - 1, float(np.log(high / low)) / 2, exact.prob_galaxy)


@dataclass(frozen=True)
class Sample:
    """The sources of a comparison, and the network's estimates.

    Parameters
    ----------
    places : list of tuple
        Index of the image, index of the source in its catalog, and true flux in nanomaggies.
    readings : list of Reading
        The network's estimates.
    magnitude : ndarray
        float64 (source,), true magnitude, AB.
    galaxy : ndarray
        bool (source,), true type.
    neighbour : ndarray
        float64 (source,), pixels to the nearest other source, however faint.
    """

    places: list[tuple[int, int, float]]
    readings: list[Reading]
    magnitude: np.ndarray
    galaxy: np.ndarray
    neighbour: np.ndarray

    def __len__(self) -> int:
        return len(self.places)


def network_readings(run: Path, store: Store, *, n: int, seed: int) -> Sample:
    """Choose sources that a network has found, and read its estimates.

    Parameters
    ----------
    run : Path
        Folder of the network.
    store : Store
        Images with their true catalogs.
    n : int
        Maximum number of sources.
    seed : int
        Of the choice.

    Returns
    -------
    Sample
    """
    model = TileModel.load(run)
    truth = Truth(store.catalog())
    prediction = predict_store(model, store, truth=truth, label="network")
    matched = MatchedCatalog.of(truth.catalog, prediction.detections)
    bright = np.flatnonzero(matched.true_magnitude[matched.match.truth] < MAGNITUDE_LIMIT)
    pairs = np.random.default_rng(seed).permutation(bright)[:n]
    rows, found = matched.match.truth[pairs], matched.match.detection[pairs]
    assert prediction.catalog is not None
    posterior = prediction.catalog.flux[torch.from_numpy(found)]
    low, high = posterior.quantile(0.16).numpy(), posterior.quantile(0.84).numpy()
    table = matched.truth
    flux = table["flux"][rows].astype(np.float64)
    readings = map(
        Reading,
        (prediction.detections.flux[found] / flux - 1).tolist(),
        (np.log(high / low) / 2).tolist(),
        prediction.detections.prob_galaxy[found].tolist(),
    )
    apart = 10.0 * IMAGE_SIZE  # images lie side by side, too far apart to be neighbours
    plane = np.column_stack([table["x"] + apart * table["image"], table["y"]])
    _, nearest = KDTree(plane).query(plane[rows], k=2)[0].T  # the first one is the source itself
    source = rows - np.searchsorted(table["image"], table["image"][rows])
    return Sample(
        list(zip(table["image"][rows].tolist(), source.tolist(), flux.tolist(), strict=True)),
        list(readings),
        matched.true_magnitude[rows],
        table["is_galaxy"][rows],
        nearest,
    )


@click.command(context_settings={"show_default": True})
@RUN_OPTION
@TEST_STORE_OPTION
@click.option("--n", type=click.IntRange(min=2), default=200, help="Sources.")
@click.option("--workers", type=click.IntRange(min=1), default=2, help="Processes.")
@click.option("--seed", type=int, default=0, help="Of the choice of sources.")
def compare_exact(run: Path, store: Location, n: int, workers: int, seed: int) -> None:
    """Compare a network with the exact posterior of single sources."""
    sample = network_readings(run, Store(store), n=n, seed=seed)
    exact = []
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, context) as pool,
        progress("exact", len(sample), unit="sources") as advance,
    ):
        for reading in pool.map(partial(exact_reading, store), sample.places):
            exact.append(reading)
            advance(1, "")
    lone = sample.neighbour > LONE_PIXELS
    kinds = {
        "all sources": np.ones(len(sample), bool),
        "stars": ~sample.galaxy,
        "galaxies": sample.galaxy,
        f"galaxies farther than {LONE_PIXELS:g} pixels from any other source": sample.galaxy & lone,
    }
    for name, kind in kinds.items():
        click.echo(f"\n{name}\n{comparison_text(sample, exact, kind=kind)}")


def comparison_text(sample: Sample, exact: list[Reading], *, kind: np.ndarray) -> str:
    """A table as text: a line for each range of magnitude, and one for all of them.

    Parameters
    ----------
    sample : Sample
        Sources with the network's estimates.
    exact : list of Reading
        The exact posterior's estimates of the same sources.
    kind : ndarray
        bool (source,), the sources to compare.

    Returns
    -------
    str
        Columns of the network, each followed by that of the exact posterior. Ranges with fewer
        than two sources are left out.
    """
    header = ["r", "n", "flux error (%)", "exact", "difference", "width (%)", "exact"]
    header += ["right type", "exact"]
    lines = []
    for low, high in (*MAGNITUDES, (MAGNITUDES[0][0], MAGNITUDES[-1][1])):
        inside = np.flatnonzero(kind & (sample.magnitude >= low) & (sample.magnitude < high))
        if len(inside) < 2:
            continue
        # (method, source), the network first
        chosen = [[readings[i] for i in inside] for readings in (sample.readings, exact)]
        errors = np.array([[100 * abs(reading.error) for reading in row] for row in chosen])
        widths = np.array([[100 * reading.width for reading in row] for row in chosen])
        galaxy = np.array([[reading.prob_galaxy > 0.5 for reading in row] for row in chosen])
        right = galaxy == sample.galaxy[inside]
        of_network, of_exact = errors
        difference = of_network - of_exact
        noise = difference.std(ddof=1) / np.sqrt(len(inside))
        cells = [f"{low:g} to {high:g}", f"{len(inside)}"]
        cells += [f"{error:.2f}" for error in errors.mean(axis=1)]
        cells += [f"{difference.mean():.2f} ± {noise:.2f}"]
        cells += [f"{width:.2f}" for width in widths.mean(axis=1)]
        lines.append(cells + [f"{share:.3f}" for share in right.mean(axis=1)])
    return columns_text(header, lines)


if __name__ == "__main__":
    main(compare_exact)
