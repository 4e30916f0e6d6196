"""Speed and accuracy of the renderers: ``python -m npecat.benchmarks.render``.

Speed is that of whole simulated images on one core: catalog, rendering, sky, noise, and then the
write of the chunk to a store. Every renderer makes the same chunk of prior ``one``; they take turns
within each round, so that other work of the machine slows all of them alike.

``--accuracy 10000 --fields LIBRARY`` compares whole images with GalSim at galsim_renderer.EXACT.
The field of each image is drawn from the library as simulate draws it. The error of an image is the
largest error of its pixels.

``--kinds 30`` compares so many images with a PSF of each kind, see render_kinds, and times them.
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

from npecat.benchmarks import render_kinds
from npecat_sim.errors import naming
from npecat_sim.fields.library import load_library
from npecat_sim.fields.table import SINGLE_FIELD, FieldTable
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.progress import progress
from npecat_sim.psf.base import Psf
from npecat_sim.render import RENDERERS, Renderer, galsim_renderer
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.store import writer as store_writer
from npecat_sim.store.reader import Batch
from npecat_sim.store.schema import IMAGES_PER_CHUNK
from npecat_sim.store.settings import StoreSettings
from npecat_sim.units import PIXEL_SCALE, sky_sigma

STAMP_SIZE = 25
"""Pixels: side of the PSF's stamp in plain GalSim."""

PERCENTILES = (50, 90, 99, 99.9, 100)
"""Of the errors of images."""

LARGE = 0.05
"""Sky sigmas: the share of images with smaller errors is printed."""

IMAGES_PER_JOB = 10
"""Images that a process compares at a time."""

Sources = dict[str, np.ndarray]
"""Columns of a catalog, each (source,)."""


def draw_plain(
    sources: Sources,
    psf: Psf,
    size: int,
    sky_sigma: float,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """Draw each source with GalSim in the usual way: a PSF stamp and GalSim's default accuracy.

    Parameters
    ----------
    sources : dict of str to ndarray
        Columns of a catalog, each (source,).
    psf : Psf
        Of the image.
    size : int
        Pixels along each side of the image.
    sky_sigma : float
        Nanomaggies per pixel; not used.
    pixel_scale : float, optional
        Arcsec per pixel.

    Returns
    -------
    ndarray
        float32 (source, y, x), nanomaggies per pixel.
    """
    stamp = galsim.Image(STAMP_SIZE, STAMP_SIZE, scale=1.0)
    psf.galsim_profile(galsim.GSParams()).drawImage(stamp, method="no_pixel")
    point = galsim.InterpolatedImage(stamp)
    images = np.zeros((len(sources["x"]), size, size), dtype=np.float32)
    centre = (size - 1) / 2
    for row, pixels in enumerate(images):
        source = {name: float(column[row]) for name, column in sources.items()}
        if source["is_galaxy"]:
            galaxy = galsim_renderer.galaxy_profile(source, galsim.GSParams(), pixel_scale)
            profile = galsim.Convolve(galaxy, point)
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
"""Name of each renderer -> how it draws sources."""

SIMULATORS: dict[str, Callable[..., Batch]] = {
    name: partial(simulate_images, SINGLE_FIELD, split="test", draw=draw)
    for name, draw in DRAWERS.items()
}
"""Name of each renderer -> how it simulates images of prior one, given ``seed`` and ``indices``."""


def images_per_second(n_images: int, n_rounds: int, *, seed: int) -> dict[str, np.ndarray]:
    """Measure how fast each renderer makes images on one core.

    Each renderer first makes a few images untimed, which compiles it and fills caches.

    Parameters
    ----------
    n_images : int
        Images of a round.
    n_rounds : int
        Rounds, in each of which the renderers take turns.
    seed : int
        Of the images.

    Returns
    -------
    dict of str to ndarray
        Renderer -> float64 (2,), images per second without and with the write to a store, of the
        median round.
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
            simulate(seed, indices=range(20))
        warm = SIMULATORS["compiled"](seed, indices=range(n_images))
        store_writer.write_chunk(path, settings, chunk=0, batch=warm)
        for _ in range(n_rounds):
            for name, simulate in SIMULATORS.items():
                start = time.perf_counter()
                batch = simulate(seed, indices=range(n_images))
                made = time.perf_counter()
                store_writer.write_chunk(path, settings, chunk=0, batch=batch)
                seconds[name].append((made - start, time.perf_counter() - start))
    return {name: n_images / np.median(rounds, axis=0) for name, rounds in seconds.items()}


@contextmanager
def one_core() -> Iterator[None]:
    """Let all threads of this process, the writer's too, share one core inside the context."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def largest_errors(fields: FieldTable, seed: int, images: range) -> np.ndarray:
    """Compare images of each renderer with exact ones.

    Parameters
    ----------
    fields : FieldTable
        Fields, one of which is drawn for every image.
    seed : int
        Of the images.
    images : range
        Indices of images.

    Returns
    -------
    ndarray
        float64 (image, renderer + 1): the largest error of a pixel, in sky sigmas, for each of
        DRAWERS, and the seconds that the exact image took.

    Raises
    ------
    NpecatError
        If GalSim needs a larger FFT than galsim_renderer.EXACT allows; the error names the image.
    """
    errors = np.empty((len(images), len(DRAWERS)))
    seconds = np.empty(len(images))
    catalog = PAPER_PRIOR.draw(seed, "test", indices=images)
    for position, index in enumerate(images):
        field_stream = stream(seed, "test", index=index, purpose=Purpose.FIELD)
        row = int(field_stream.integers(len(fields)))
        sky = fields.background(row, IMAGE_SIZE, generator=field_stream).mean()
        noise = sky_sigma(sky, fields.electrons_per_nmgy[row])
        sources, psf = catalog.sources(position), fields.psf_of(row)
        with naming(f"image {index}, field row {row}"):
            start = time.perf_counter()
            drawn = galsim_renderer.draw_sources(sources, psf, IMAGE_SIZE, galsim_renderer.EXACT)
            exact = drawn.sum(axis=0)
            seconds[position] = time.perf_counter() - start
        for column, draw in enumerate(DRAWERS.values()):
            image = draw(sources, psf, IMAGE_SIZE, noise).sum(axis=0)
            errors[position, column] = np.abs(image - exact).max() / noise
    return np.column_stack([errors, seconds])


def measure_errors(fields: FieldTable, seed: int, *, n_images: int, workers: int) -> np.ndarray:
    """Call largest_errors for many images, in several processes.

    Parameters
    ----------
    fields : FieldTable
        Fields, one of which is drawn for every image.
    seed : int
        Of the images.
    n_images : int
        Number of images.
    workers : int
        Number of processes.

    Returns
    -------
    ndarray
        See largest_errors.
    """
    jobs = [
        range(first, min(first + IMAGES_PER_JOB, n_images))
        for first in range(0, n_images, IMAGES_PER_JOB)
    ]
    compiled = list(DRAWERS).index("compiled")
    parts = []
    with (
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
        progress("accuracy", n_images) as advance,
    ):
        for part in pool.map(partial(largest_errors, fields, seed), jobs):
            parts.append(part)
            advance(len(part), f"largest so far {max(p[:, compiled].max() for p in parts):.4f}")
    return np.concatenate(parts)


@click.command(context_settings={"show_default": True})
@click.option("--images", default=IMAGES_PER_CHUNK, help="Images of a chunk, made in each round.")
@click.option("--rounds", default=5, help="Rounds; the speed is that of the median round.")
@click.option("--accuracy", default=0, help="Compare so many images, in place of the timing.")
@click.option("--kinds", default=0, help="Do both with so many images of each kind of PSF.")
@click.option("--fields", type=click.Path(path_type=Path), help="Library for it; else prior one.")
@click.option("--workers", default=1, help="Processes that compare images.")
@click.option("--seed", default=0, help="Of the images.")
def bench_render(
    images: int,
    rounds: int,
    accuracy: int,
    kinds: int,
    fields: Path | None,
    workers: int,
    seed: int,
) -> None:
    """Measure how fast or how exact the renderers are."""
    if accuracy:
        table = load_library(fields) if fields else SINGLE_FIELD
        print_accuracy(measure_errors(table, seed, n_images=accuracy, workers=workers))
    elif kinds:
        print_kinds(seed, n_images=images, n_rounds=rounds, n_compared=kinds)
    else:
        print_speed(images_per_second(images, rounds, seed=seed))


def print_speed(rates: dict[str, np.ndarray]) -> None:
    """Print images per second and ratios to plain GalSim, a line for each renderer.

    Parameters
    ----------
    rates : dict of str to ndarray
        From images_per_second.
    """
    print(f"{'one core':<14}{'images/s':>10}{'ratio':>8}{'with write':>14}{'ratio':>8}")
    plain, plain_written = rates["plain GalSim"]
    for name, (rate, written) in rates.items():
        print(
            f"{name:<14}{rate:>10.0f}{rate / plain:>8.1f}"
            f"{written:>14.0f}{written / plain_written:>8.1f}"
        )


def print_accuracy(rows: np.ndarray) -> None:
    """Print percentiles of the errors, a line for each renderer.

    Parameters
    ----------
    rows : ndarray
        From measure_errors.
    """
    *of_renderers, seconds = rows.T
    n_images = len(rows)
    print(f"largest error of each of {n_images:,} images in sky sigma, percentiles; exact images")
    print(f"took {seconds.mean():.3f} s each")
    heads = "".join(f"{percentile:>10}" for percentile in PERCENTILES)
    print(f"{'renderer':<14}{heads}{f'under {LARGE}':>14}")
    for name, errors in zip(DRAWERS, of_renderers, strict=True):
        values = "".join(f"{value:>10.4f}" for value in np.percentile(errors, PERCENTILES))
        print(f"{name:<14}{values}{np.mean(errors < LARGE):>14.3%}")


def print_kinds(seed: int, *, n_images: int, n_rounds: int, n_compared: int) -> None:
    """Measure and print speed and accuracy of the compiled renderer, a line for each kind of PSF.

    Parameters
    ----------
    seed : int
        Of the images.
    n_images : int
        Images of a round of the timing.
    n_rounds : int
        Rounds of it.
    n_compared : int
        Images of each kind that are compared.
    """
    with one_core():
        rates = render_kinds.speeds(seed, n_images=n_images, n_rounds=n_rounds)
    print(f"largest error of each of {n_compared:,} images of a kind in sky sigma, percentiles")
    heads = "".join(f"{percentile:>10}" for percentile in PERCENTILES)
    print(f"{'kind of PSF':<22}{'images/s':>10}{'ratio':>8}{heads}{f'under {LARGE}':>14}")
    baseline = next(iter(rates.values()))
    for kind, rate in rates.items():
        errors = render_kinds.errors_of(kind, seed, n_images=n_compared)
        values = "".join(f"{value:>10.4f}" for value in np.percentile(errors, PERCENTILES))
        share = np.mean(errors < LARGE)
        print(f"{kind:<22}{rate:>10.0f}{rate / baseline:>8.2f}{values}{share:>14.3%}")


if __name__ == "__main__":
    bench_render()
