"""Speed and accuracy of the renderers: ``python -m npecat.benchmarks.render``.

Speed is that of whole simulated images on one core: catalog, rendering, sky, noise, and then the
chunk written to a store. Every renderer makes the same chunk of prior ``one``; they take turns
within each round, so that a busy machine slows all of them alike.

``--accuracy 10000 --fields LIBRARY`` compares whole images, each under a field of the library
drawn as simulate draws it, with GalSim at render.EXACT; the error of an image is its largest.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click
import galsim
import numpy as np

from npecat_sim.errors import naming
from npecat_sim.fields.library import load_library
from npecat_sim.fields.table import SINGLE_FIELD, FieldTable
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR
from npecat_sim.model.psf import Psf
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.progress import progress
from npecat_sim.render import RENDERERS, Renderer
from npecat_sim.render import galsim_renderer as render
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.store import writer as store_writer
from npecat_sim.store.reader import Batch
from npecat_sim.store.schema import IMAGES_PER_CHUNK
from npecat_sim.store.settings import StoreSettings
from npecat_sim.units import sky_sigma

STAMP_SIZE = 25
PERCENTILES = (50, 90, 99, 99.9, 100)
LARGE = 0.05
"""Sky sigmas: an error to be rare."""

IMAGES_PER_JOB = 10

Sources = dict[str, np.ndarray]


def draw_plain(sources: Sources, psf: Psf, size: int, sky_sigma: float) -> np.ndarray:
    """float32 (source, y, x), nanomaggies: each source in the usual way.

    A PSF stamp, GalSim's default accuracy, one draw a source.
    """
    stamp = galsim.Image(STAMP_SIZE, STAMP_SIZE, scale=1.0)
    render.psf_profile(psf, galsim.GSParams()).drawImage(stamp, method="no_pixel")
    point = galsim.InterpolatedImage(stamp)
    images = np.zeros((len(sources["x"]), size, size), dtype=np.float32)
    centre = (size - 1) / 2
    for row, pixels in enumerate(images):
        source = {name: float(column[row]) for name, column in sources.items()}
        if source["is_galaxy"]:
            profile = galsim.Convolve(render.galaxy_profile(source, galsim.GSParams()), point)
        else:
            profile = point * source["flux"]
        offset = (source["x"] - centre, source["y"] - centre)
        image = galsim.Image(pixels, scale=1.0)
        profile.drawImage(image, method="no_pixel", offset=offset)
    return images


DRAWERS: dict[str, Renderer] = {
    "plain GalSim": draw_plain,
    "galsim": RENDERERS["galsim"],
    "compiled": RENDERERS["compiled"],
}

SIMULATORS: dict[str, Callable[[int, str, range], Batch]] = {
    name: partial(simulate_images, SINGLE_FIELD, draw=draw) for name, draw in DRAWERS.items()
}


def images_per_second(n_images: int, n_rounds: int, seed: int) -> dict[str, np.ndarray]:
    """Renderer -> float64 (2,), without and with the write: the median of all rounds.

    Each renderer first makes a few images untimed, which compiles and fills caches.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in SIMULATORS}
    settings = StoreSettings.of(
        SINGLE_FIELD,
        prior="one",
        split="test",
        n_images=n_images,
        seed=seed,
        renderer="compiled",
        images_per_chunk=n_images,
    )
    with tempfile.TemporaryDirectory() as scratch, one_core():
        path = Path(scratch, "test.zarr")
        store_writer.lay_out(path, settings)
        for simulate in SIMULATORS.values():
            simulate(seed, "test", range(20))
        store_writer.write_chunk(
            path, settings, 0, SIMULATORS["compiled"](seed, "test", range(n_images))
        )
        for _ in range(n_rounds):
            for name, simulate in SIMULATORS.items():
                start = time.perf_counter()
                batch = simulate(seed, "test", range(n_images))
                made = time.perf_counter()
                store_writer.write_chunk(path, settings, 0, batch)
                seconds[name].append((made - start, time.perf_counter() - start))
    return {name: n_images / np.median(rounds, axis=0) for name, rounds in seconds.items()}


@contextmanager
def one_core() -> Iterator[None]:
    """All threads of this process, the writer's too, share one core within."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def largest_errors(fields: FieldTable, seed: int, images: range) -> np.ndarray:
    """float64 (image, 4): largest pixel error in sky sigma of each of SIMULATORS, then seconds.

    The seconds are those of the exact image. Raises NpecatError, naming the image, where GalSim
    needs a larger FFT than render.EXACT allows.
    """
    rows = np.empty((len(images), len(SIMULATORS) + 1))
    catalog = PAPER_PRIOR.draw(seed, "test", images)
    for position, index in enumerate(images):
        field_stream = stream(seed, "test", index, Purpose.FIELD)
        row = int(field_stream.integers(len(fields)))
        sky = fields.background(row, IMAGE_SIZE, field_stream).mean()
        noise = sky_sigma(sky, fields.electrons_per_nmgy[row])
        sources, psf = catalog.sources(position), fields.psf_of(row)
        with naming(f"image {index}, field row {row}"):
            start = time.perf_counter()
            exact = render.draw_sources(sources, psf, IMAGE_SIZE, render.EXACT).sum(axis=0)
            rows[position, -1] = time.perf_counter() - start
        for column, draw in enumerate(DRAWERS.values()):
            image = draw(sources, psf, IMAGE_SIZE, noise).sum(axis=0)
            rows[position, column] = np.abs(image - exact).max() / noise
    return rows


def measure_errors(fields: FieldTable, seed: int, n_images: int, workers: int) -> np.ndarray:
    """largest_errors of the images 0 to n_images, in processes of their own."""
    jobs = [
        range(first, min(first + IMAGES_PER_JOB, n_images))
        for first in range(0, n_images, IMAGES_PER_JOB)
    ]
    parts = []
    with (
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
        progress("accuracy", n_images) as advance,
    ):
        for part in pool.map(partial(largest_errors, fields, seed), jobs):
            parts.append(part)
            advance(len(part), f"largest so far {max(p[:, -2].max() for p in parts):.4f}")
    return np.concatenate(parts)


@click.command(context_settings={"show_default": True})
@click.option("--images", default=IMAGES_PER_CHUNK, help="Images of a chunk, made in each round.")
@click.option("--rounds", default=5, help="Rounds; the speed is that of the median round.")
@click.option("--accuracy", default=0, help="Compare so many images, in place of the timing.")
@click.option("--fields", type=click.Path(path_type=Path), help="Library for it; else prior one.")
@click.option("--workers", default=1, help="Processes that compare images.")
@click.option("--seed", default=0, help="Of the images.")
def bench_render(
    images: int, rounds: int, accuracy: int, fields: Path | None, workers: int, seed: int
) -> None:
    """Measure how fast or how exact the renderers are."""
    if accuracy:
        table = load_library(fields) if fields else SINGLE_FIELD
        print_accuracy(measure_errors(table, seed, accuracy, workers))
    else:
        print_speed(images_per_second(images, rounds, seed))


def print_speed(rates: dict[str, np.ndarray]) -> None:
    """Images per second and ratios to the plain way, a line a renderer."""
    print(f"{'one core':<14}{'images/s':>10}{'ratio':>8}{'with write':>14}{'ratio':>8}")
    for name, rate in rates.items():
        ratio = rate / rates["plain GalSim"]
        print(f"{name:<14}{rate[0]:>10.0f}{ratio[0]:>8.1f}{rate[1]:>14.0f}{ratio[1]:>8.1f}")


def print_accuracy(rows: np.ndarray) -> None:
    """Percentiles of the errors, a line a renderer; rows: as of largest_errors."""
    n_images, seconds = len(rows), rows[:, -1].mean()
    print(f"largest error of each of {n_images:,} images in sky sigma, percentiles; exact images")
    print(f"took {seconds:.3f} s each")
    heads = "".join(f"{percentile:>10}" for percentile in PERCENTILES)
    print(f"{'renderer':<14}{heads}{f'under {LARGE}':>14}")
    for name, errors in zip(SIMULATORS, rows.T[:-1], strict=True):
        values = "".join(f"{value:>10.4f}" for value in np.percentile(errors, PERCENTILES))
        print(f"{name:<14}{values}{np.mean(errors < LARGE):>14.3%}")


if __name__ == "__main__":
    bench_render()
