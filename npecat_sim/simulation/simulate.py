"""Simulate the train, validation and test stores of a prior with Dask.

One task draws, renders and writes whole chunks; only small numbers return to the client. Every
random number belongs to the stream of one image, so a store is the same for any number of workers
and for a run that was interrupted and resumed.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from npecat_sim.errors import NpecatError, naming
from npecat_sim.fields.images import Fields
from npecat_sim.fields.table import FieldTable
from npecat_sim.io.lock import locked
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR, CatalogPrior
from npecat_sim.model.psf_irregularity import convolved, draw_kernel
from npecat_sim.model.streams import Purpose, check_seed, stream
from npecat_sim.progress import progress
from npecat_sim.render import DEFAULT_RENDERER, RENDERERS, Renderer
from npecat_sim.render.noise import observe
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.provenance import recorded
from npecat_sim.simulation.wide_images import simulate_wide
from npecat_sim.store import reader as store
from npecat_sim.store import schema
from npecat_sim.store import writer as store_writer
from npecat_sim.store.settings import StoreSettings, differences
from npecat_sim.units import sky_sigma
from npecat_sim.wide.survey import Survey


@dataclass(frozen=True)
class Task:
    """One chunk of one store that is still to be made.

    Parameters
    ----------
    path : Path or UPath
        Absolute path of the store.
    settings : StoreSettings
        Settings of the store.
    chunk : int
        Number of the chunk.
    """

    path: Location
    settings: StoreSettings
    chunk: int

    @property
    def images(self) -> range:
        """Indices of the images of the chunk."""
        return self.settings.chunk_ranges[self.chunk]


def simulate_images(
    fields: FieldTable,
    seed: int,
    *,
    split: str,
    indices: range,
    draw: Renderer = RENDERERS[DEFAULT_RENDERER],
    catalog_prior: CatalogPrior = PAPER_PRIOR,
) -> store.Batch:
    """Simulate images: draw catalogs and fields, render, add noise and subtract the sky.

    Parameters
    ----------
    fields : FieldTable
        Fields, one of which is drawn for every image.
    seed : int
        Seed of all random numbers.
    split : str
        One of streams.SPLITS.
    indices : range
        Indices of the images in the split.
    draw : Renderer, optional
        Renderer of the sources, see render.RENDERERS.
    catalog_prior : CatalogPrior, optional
        Prior over catalogs; that of the paper by default.

    Returns
    -------
    Batch
        Images in the order of ``indices``; axes, types and units as in schema.arrays.

    Raises
    ------
    NpecatError
        If an image cannot be made; the message gives its index, field row and number of sources.
    """
    catalog = catalog_prior.draw(seed, split, indices=indices)
    shape = (len(indices), IMAGE_SIZE, IMAGE_SIZE)
    images, backgrounds = np.empty(shape, np.float32), np.empty(shape, np.float32)
    rows = np.empty(len(indices), dtype=np.int64)
    for position, index in enumerate(indices):
        field_stream = stream(seed, split, index=index, purpose=Purpose.FIELD)
        row = rows[position] = int(field_stream.integers(len(fields)))
        sources = catalog.sources(position)
        with naming(f"image {index}, field row {row}, {catalog.count[position]} sources"):
            electrons_per_nmgy = fields.electrons_per_nmgy[row]
            background = fields.background(row, IMAGE_SIZE, generator=field_stream)
            psf = fields.psf_of(row)
            noise = sky_sigma(background.mean(), electrons_per_nmgy)
            drawn = draw(sources, psf, IMAGE_SIZE, noise)
            if fields.irregularity and len(drawn):
                kernel_stream = stream(seed, split, index=index, purpose=Purpose.PSF_KERNEL)
                kernel = draw_kernel(psf, fields.irregularity, generator=kernel_stream)
                drawn = convolved(drawn, kernel)
            noise_stream = stream(seed, split, index=index, purpose=Purpose.NOISE)
            image, snr = observe(
                drawn, background, electrons_per_nmgy=electrons_per_nmgy, generator=noise_stream
            )
            images[position], backgrounds[position] = image, background
            catalog["snr"][position, : len(drawn)] = snr
    return store.Batch(
        images=images,
        backgrounds=backgrounds,
        psf_parameters=fields.psf[rows],
        fwhm=fields.fwhm[rows],
        field=fields.identity[rows],
        electrons_per_nmgy=fields.electrons_per_nmgy[rows],
        catalog=catalog,
    )


def run_task(task: Task, fields: Fields) -> int:
    """Make and write one chunk, unless it is finished, and return its number of images.

    Dask runs a task again when the worker that held its result dies; a finished chunk is kept.

    Raises
    ------
    NpecatError
        If an image or a file cannot be made; the message names the store.
    """
    if not store_writer.is_finished(task.path, task.chunk):
        settings = task.settings
        with naming(str(task.path)):
            batch = _batch(settings, fields, task.images)
        store_writer.write_chunk(task.path, task.settings, chunk=task.chunk, batch=batch)
    return len(task.images)


def _batch(settings: StoreSettings, fields: Fields, indices: range) -> store.Batch:
    """Some images of a store, of any prior."""
    draw = RENDERERS[settings.renderer]
    if settings.survey:
        return simulate_wide(
            fields,
            settings.seed,
            split=settings.split,
            indices=indices,
            survey=Survey.from_plain(settings.survey),
            draw=draw,
        )
    assert isinstance(fields, FieldTable)
    return simulate_images(
        fields,
        settings.seed,
        split=settings.split,
        indices=indices,
        draw=draw,
        catalog_prior=CatalogPrior.from_dict(settings.catalog_prior),
    )


def run_tasks(tasks: Sequence[Task], fields: Fields) -> int:
    """Make and write chunks one after the other, and return their number of images.

    Raises
    ------
    NpecatError
        If an image or a file cannot be made. It has no cause, because a cause that cannot be
        pickled would prevent the message from reaching the client.
    """
    try:
        return sum(run_task(task, fields) for task in tasks)
    except NpecatError as error:
        failure = NpecatError(str(error))
    raise failure


def simulate(
    folder: Location,
    prior: str,
    *,
    fields: Fields,
    counts: Mapping[str, int],
    seed: int,
    cluster: Cluster,
    renderer: str = DEFAULT_RENDERER,
    catalog_prior: CatalogPrior = PAPER_PRIOR,
    survey: Survey | None = None,
    images_per_chunk: int = schema.IMAGES_PER_CHUNK,
    chunks_per_task: int = 1,
    overwrite: bool = False,
) -> list[Location]:
    """Make or complete one store for every split whose count is not zero.

    Parameters
    ----------
    folder : Path or UPath
        Folder of the stores ``train.zarr``, ``validation.zarr`` and ``test.zarr``.
    prior : str
        Name of the prior over fields, recorded in the settings.
    fields : FieldTable or ImageTable
        The fields of that prior; of prior ``wide``, those of prior ``many`` or one's own images.
    counts : mapping of str to int
        Split -> number of images.
    seed : int
        Seed of all random numbers.
    cluster : Cluster
        The workers that make the images.
    renderer : str, optional
        A key of render.RENDERERS.
    catalog_prior : CatalogPrior, optional
        Prior over catalogs; that of the paper by default.
    survey : Survey, optional
        What prior ``wide`` may draw, its sources included; None for another prior.
    images_per_chunk : int, optional
        Number of images in a chunk of a store.
    chunks_per_task : int, optional
        Number of chunks that one task makes.
    overwrite : bool, optional
        Delete existing stores of these splits first and make them again.

    Returns
    -------
    list of Path or UPath
        Paths of the stores, in the order of ``counts``.

    Raises
    ------
    NpecatError
        If a store of other settings exists, another process is writing one of the stores, or an
        image or a file cannot be made; finished chunks are kept.
    """
    check_seed(seed)
    if not any(counts.values()):
        raise NpecatError(
            "nothing to simulate: the number of images is 0 for every split",
            parameters=("n", "n_validation", "n_test"),
        )
    wanted = {
        store.store_path(folder, split): StoreSettings.of(
            fields,
            catalog_prior=survey.catalog_prior if survey else catalog_prior,
            survey=survey.to_plain() if survey else None,
            prior=prior,
            split=split,
            n_images=n_images,
            seed=seed,
            renderer=renderer,
            images_per_chunk=images_per_chunk,
        )
        for split, n_images in counts.items()
        if n_images
    }
    with ExitStack() as held:
        locks = [held.enter_context(locked(path)) for path in wanted]
        if overwrite:
            cluster.check()  # before anything is deleted
        for path, settings in wanted.items():
            if overwrite:
                store_writer.remove(path)
            elif store.exists(path):
                refuse_other_settings(path, settings)
        tasks = []
        for path, settings in wanted.items():
            new = not store.exists(path)
            missing = prepare(path, settings)
            if missing:
                held.enter_context(recorded(path, cluster, new=new))
            tasks += missing
        if tasks:
            batches = [
                tasks[first : first + chunks_per_task]
                for first in range(0, len(tasks), chunks_per_task)
            ]
            total = sum(counts.values())
            done = total - sum(len(task.images) for task in tasks)
            with progress(f"simulate {prior}", total, done=done) as advance:
                for images in cluster.run(run_tasks, batches, shared=fields):
                    advance(images, "")
                    for lock in locks:
                        lock.check()
        for path, lock in zip(wanted, locks, strict=True):
            lock.check()
            store_writer.seal(path)
    return list(wanted)


def prepare(path: Location, wanted: StoreSettings) -> list[Task]:
    """Create the store or complete its layout.

    Returns
    -------
    list of Task
        Chunks that are still to be made; none for a sealed store.

    Raises
    ------
    NpecatError
        If a store of other settings exists.
    """
    if store.exists(path):
        refuse_other_settings(path, wanted)
        if store.is_sealed(path):
            return []
    store_writer.lay_out(path, wanted)
    done = store_writer.finished_chunks(path)
    n_chunks = len(wanted.chunk_ranges)
    place = path.absolute()  # workers of a cluster may run in another folder
    return [Task(place, wanted, chunk) for chunk in range(n_chunks) if chunk not in done]


def refuse_other_settings(path: Location, wanted: StoreSettings) -> None:
    """Raise NpecatError, with every difference, if a store was made with other settings."""
    found = differences(store.attributes(path), wanted.to_json())
    if found:
        raise NpecatError(
            f"{path} was made with {', '.join(found)}; choose another folder or replace it",
            parameters=("out", "overwrite"),
        )
