"""SEP and the bound over a whole store, kept and made anew."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from npecat_eval.baselines import cache as module
from npecat_eval.baselines.cache import references
from npecat_eval.baselines.sep import SepSources, measure
from npecat_sim.store.reader import Store
from tests.helpers.stores import write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("data")
    return Store(write_store(folder, "test", 30, images_per_chunk=20))


def columns(sources: SepSources) -> list[np.ndarray]:
    return [getattr(sources, field.name) for field in fields(SepSources)]


@pytest.fixture(scope="module")
def kept(store, tmp_path_factory) -> Path:
    """A cache that two processes made in a new folder."""
    cache = tmp_path_factory.mktemp("results") / "new" / "kept.npz"
    references(store, cache, workers=2)
    return cache


@pytest.fixture
def pools(monkeypatch) -> list[int]:
    """A number for each pool of processes that is started."""
    started: list[int] = []
    pool = module.ProcessPoolExecutor
    monkeypatch.setattr(
        module, "ProcessPoolExecutor", lambda *a, **k: started.append(1) or pool(*a, **k)
    )
    return started


def test_chunks_on_two_processes_are_the_whole(store, kept, pools):
    found = references(store, kept, workers=2)
    assert pools == []  # kept ones are used
    batch = store.batch(slice(None))
    whole = measure(batch.images, batch.backgrounds, batch.psf_parameters, batch.electrons_per_nmgy)
    for column, wanted in zip(columns(found.sep), columns(whole), strict=True):
        np.testing.assert_array_equal(column, wanted)
    assert len(found.flux_sigma) == batch.catalog.count.sum()


def test_damaged_ones_are_made_again(store, kept, pools, tmp_path):
    cache = tmp_path / "kept.npz"
    cache.write_bytes(kept.read_bytes()[:-500])
    again = references(store, cache, workers=1)
    assert pools == [1] and cache.read_bytes() == kept.read_bytes()
    np.testing.assert_array_equal(again.flux_sigma, references(store, kept, workers=1).flux_sigma)


def test_those_of_another_store_are_not_used(store, kept, pools, tmp_path):
    cache = tmp_path / "kept.npz"
    cache.write_bytes(kept.read_bytes())
    other = Store(write_store(tmp_path, "test", 30, seed=1))
    assert not np.array_equal(
        references(other, cache, workers=1).flux_sigma,
        references(store, kept, workers=1).flux_sigma,
    )
    assert pools == [1]
