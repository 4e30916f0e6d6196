"""Small stores for tests, made by the real simulator in this process."""

from dataclasses import replace
from pathlib import Path

from npecat_sim.fields.table import SINGLE_FIELD, FieldTable
from npecat_sim.simulation.simulate import prepare, run_task
from npecat_sim.store import reader as store
from npecat_sim.store import writer as store_writer
from npecat_sim.store.settings import PRIOR, settings_of


def write_store(
    data: Path,
    split: str,
    n_images: int,
    prior: str = "one",
    seed: int = 0,
    fields: FieldTable = SINGLE_FIELD,
    images_per_chunk: int = 40,
    density: float = PRIOR.density,
) -> Path:
    """A finished store of ``n_images``; returns its path."""
    path = store.store_path(data / prior, split)
    catalogs = replace(PRIOR, density=density)
    settings = settings_of(
        prior, fields, split, n_images, seed, "compiled", images_per_chunk, catalogs
    )
    for task in prepare(path, settings):
        run_task(task, fields)
    store_writer.seal(path)
    return path
