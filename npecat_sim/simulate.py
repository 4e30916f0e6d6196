"""Simulate the train, validation and test stores of a prior with Dask.

One task draws, renders and writes one whole chunk; nothing but small numbers comes back to the
client, and every number belongs to an image's own stream, so a store is the same for any number
of workers and for a run that was interrupted and resumed.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster, as_completed

from npecat_sim import compiled, render, schema, store
from npecat_sim.errors import NpecatError
from npecat_sim.field import FieldTable
from npecat_sim.observe import expose, signal_to_noise
from npecat_sim.prior import IMAGE_SIZE, CatalogPrior
from npecat_sim.progress import progress
from npecat_sim.seeding import Purpose, check_seed, stream
from npecat_sim.units import PIXEL_SCALE

PRIOR = CatalogPrior()

RENDERERS = ("compiled", "galsim")
"""GalSim is the reference; the compiled renderer equals it to 0.01 sky sigma, 20 times faster."""


@dataclass(frozen=True)
class Task:
    """One chunk of one store, still to be made."""

    path: Path
    seed: int
    split: str
    renderer: str
    chunk: int
    images: range


def simulate_images(
    fields: FieldTable, seed: int, split: str, indices: range, renderer: str = RENDERERS[0]
) -> store.Batch:
    """Draw catalogs and fields, render, expose and subtract the sky; axes as in schema.arrays."""
    catalog = PRIOR.draw(seed, split, indices)
    shape = (len(indices), IMAGE_SIZE, IMAGE_SIZE)
    images, backgrounds = np.empty(shape, np.float32), np.empty(shape, np.float32)
    rows = np.empty(len(indices), dtype=np.int64)
    for position, index in enumerate(indices):
        field_stream = stream(seed, split, index, Purpose.FIELD)
        rows[position] = field_stream.integers(len(fields))
        electrons_per_nmgy = fields.electrons_per_nmgy[rows[position]]
        background = fields.background(rows[position], IMAGE_SIZE, field_stream)
        sources, psf = catalog.sources(position), fields.psf[rows[position]]
        if renderer == "galsim":
            drawn = render.draw_sources(sources, psf, IMAGE_SIZE)
        else:
            sky_sigma = float(np.sqrt(background.mean() / electrons_per_nmgy))
            drawn = compiled.draw_sources(sources, psf, IMAGE_SIZE, sky_sigma)
        source_electrons = drawn * electrons_per_nmgy
        sky_electrons = background.astype(np.float64) * electrons_per_nmgy
        rate = sky_electrons + source_electrons.sum(axis=0)
        observed = expose(rate, stream(seed, split, index, Purpose.NOISE))
        images[position] = (observed - sky_electrons) / electrons_per_nmgy
        backgrounds[position] = background
        catalog["snr"][position, : len(drawn)] = signal_to_noise(source_electrons, rate)
    return store.Batch(
        images=images,
        backgrounds=backgrounds,
        psf_parameters=fields.psf[rows],
        fwhm=fields.fwhm[rows],
        field=fields.identity[rows],
        electrons_per_nmgy=fields.electrons_per_nmgy[rows],
        catalog=catalog,
    )


def run_task(task: Task, fields: FieldTable) -> int:
    """Make and write one chunk; returns the number of images written."""
    batch = simulate_images(fields, task.seed, task.split, task.images, task.renderer)
    store.write_chunk(task.path, task.chunk, batch)
    return len(task.images)


def simulate(
    data: Path,
    prior: str,
    fields: FieldTable,
    counts: Mapping[str, int],
    seed: int,
    workers: int,
    renderer: str = RENDERERS[0],
    images_per_chunk: int = schema.IMAGES_PER_CHUNK,
) -> list[Path]:
    """Make, or complete, one store for every split whose count is not zero; returns their paths.

    counts: split -> number of images.
    Raises NpecatError if a store of other settings stands in the way.
    """
    check_seed(seed)
    if not any(counts.values()):
        raise NpecatError("nothing to simulate: give --n, --n-validation or --n-test")
    paths, tasks, total = [], [], 0
    for split, n_images in counts.items():
        if n_images == 0:
            continue
        path = store.store_path(data, prior, split)
        wanted = settings_of(prior, fields, split, n_images, seed, renderer, images_per_chunk)
        paths.append(path)
        total += n_images
        tasks += prepare(path, wanted)
    done = total - sum(len(task.images) for task in tasks)
    if tasks:
        _run(tasks, fields, min(workers, len(tasks)), prior, total, done)
    for path in paths:
        store.seal(path)
    return paths


def settings_of(
    prior: str,
    fields: FieldTable,
    split: str,
    n_images: int,
    seed: int,
    renderer: str,
    images_per_chunk: int,
) -> dict[str, Any]:
    """The complete configuration of a store: equal settings mean equal bytes."""
    return {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "npecat_version": version("npecat"),
        "prior": prior,
        "split": split,
        "seed": seed,
        "renderer": renderer,
        "n_images": n_images,
        "images_per_chunk": images_per_chunk,
        "image_size_pixel": IMAGE_SIZE,
        "pixel_scale_arcsec": PIXEL_SCALE,
        "catalog_prior": PRIOR.to_dict(),
        "fields": fields.source,
        "n_fields": len(fields),
        "n_sky_maps": len(fields.sky_maps),
        "fields_sha256": fields.digest,
    }


def prepare(path: Path, wanted: dict[str, Any]) -> list[Task]:
    """Create the store if it is not there; returns the tasks that it still needs."""
    if not path.exists():
        beside = path.with_name(path.name + ".partial")
        shutil.rmtree(beside, ignore_errors=True)
        store.create(beside, wanted, PRIOR.capacity)
        os.replace(beside, path)
    found = store.settings(path)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise NpecatError(
                f"{path} was made with {name} = {found.get(name)}, not {value}; "
                "choose another --data or delete it"
            )
    if store.is_sealed(path):
        return []
    done = store.finished_chunks(path)
    return [
        Task(path, wanted["seed"], wanted["split"], wanted["renderer"], chunk, images)
        for chunk, images in enumerate(store.chunk_ranges(wanted))
        if chunk not in done
    ]


def _run(
    tasks: list[Task], fields: FieldTable, workers: int, prior: str, total: int, done: int
) -> None:
    """Run the tasks on a local cluster of single-threaded processes."""
    quiet = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.limit": "1h"}
    with (
        dask.config.set(quiet),
        tempfile.TemporaryDirectory() as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=scratch,
            silence_logs="ERROR",
        ) as cluster,
        Client(cluster) as client,
        progress(f"simulate {prior}", total, done) as advance,
    ):
        shared_fields = client.scatter(fields, broadcast=True)
        futures = client.map(run_task, tasks, fields=shared_fields, pure=False)
        for _, images in as_completed(futures, with_results=True):
            advance(images, "")
