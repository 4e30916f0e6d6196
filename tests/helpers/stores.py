"""Small stores for tests, made by the real simulator in this process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from npecat_sim.fields.table import SINGLE_FIELD, FieldTable
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import PAPER_PRIOR
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.simulate import prepare, run_task, simulate
from npecat_sim.store import reader as store
from npecat_sim.store import writer as store_writer
from npecat_sim.store.settings import StoreSettings
from npecat_sim.wide.survey import Survey


def write_store(
    data: Path,
    split: str,
    n_images: int,
    prior: str = "one",
    seed: int = 0,
    fields: FieldTable = SINGLE_FIELD,
    images_per_chunk: int = 40,
    density: float = PAPER_PRIOR.density,
    survey: Survey | None = None,
) -> Path:
    """A finished store of ``n_images``, of prior wide if there is a survey; returns its path."""
    path = store.store_path(data / prior, split)
    catalogs = survey.catalog_prior if survey else replace(PAPER_PRIOR, density=density)
    settings = StoreSettings.of(
        fields,
        catalog_prior=catalogs,
        survey=survey.to_plain() if survey else None,
        prior=prior,
        split=split,
        n_images=n_images,
        seed=seed,
        renderer="compiled",
        images_per_chunk=images_per_chunk,
    )
    for task in prepare(path, settings):
        run_task(task, fields)
    store_writer.seal(path)
    return path


def small_settings(n_images: int, images_per_chunk: int) -> StoreSettings:
    """The settings of a test store of prior one."""
    return StoreSettings.of(
        SINGLE_FIELD,
        prior="one",
        split="test",
        n_images=n_images,
        seed=0,
        renderer="compiled",
        images_per_chunk=images_per_chunk,
    )


def simulate_one(
    folder: Location,
    counts: dict[str, int],
    *,
    seed: int = 0,
    cluster: Cluster = Cluster(),  # noqa: B008
    **options: Any,
) -> list[Location]:
    """The stores of prior one in a folder, made as ``npecat simulate`` makes them."""
    return simulate(
        folder, "one", fields=SINGLE_FIELD, counts=counts, seed=seed, cluster=cluster, **options
    )
