"""Streaming a store: each image once, in an order that the seed and the epoch fix."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from npecat_sim.store.reader import Store
from npecat_train.data import loader
from npecat_train.data.cache import CPU, Resident, Streamed
from npecat_train.data.loader import batches
from tests.helpers.stores import write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = write_store(tmp_path_factory.mktemp("data"), "train", 130, images_per_chunk=10)
    return Store(path)


@pytest.fixture(params=["streamed", "resident"])
def images(store, request):
    return Streamed(store, CPU) if request.param == "streamed" else Resident(store, CPU, home=CPU)


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch):
    monkeypatch.setattr(loader, "CHUNKS_PER_BUFFER", 3)


def keys(stream) -> list[float]:
    """One number that tells the images apart: their first pixel, in the order they come."""
    return [float(image[0, 0]) for batch in stream for image in batch.images]


@pytest.mark.parametrize("batch_size", [1, 7, 32, 200])
def test_every_image_exactly_once(store, images, batch_size):
    stored = store.array("images")[:, 0, 0].tolist()
    assert len(set(stored)) == len(stored)
    assert keys(batches(images, batch_size)) == stored
    shuffled = keys(batches(images, batch_size, shuffle=(0, 0)))
    assert sorted(shuffled) == sorted(stored) and shuffled != stored


def test_order_follows_seed_and_epoch(images):
    first = keys(batches(images, 16, shuffle=(0, 0)))
    assert keys(batches(images, 16, shuffle=(0, 0))) == first
    assert keys(batches(images, 16, shuffle=(0, 1))) != first
    assert keys(batches(images, 16, shuffle=(1, 0))) != first


@pytest.mark.parametrize("first", [0, 1, 2, 4, 7, 9])
def test_an_epoch_can_be_entered_anywhere(images, first):
    assert (
        keys(batches(images, 16, shuffle=(3, 5), first=first))
        == keys(batches(images, 16, shuffle=(3, 5)))[16 * first :]
    )


def test_batches_are_full_but_the_last(images):
    sizes = [len(batch.images) for batch in batches(images, 16, shuffle=(0, 0))]
    assert sizes == [16] * 8 + [2] and len(sizes) == loader.n_batches([130], 16)


def test_catalog_stays_with_its_image(store, images):
    whole = {
        float(i[0, 0]): n
        for i, n in zip(store.array("images"), store.array("catalog/count"), strict=True)
    }
    for batch in batches(images, 16, shuffle=(0, 0)):
        for image, count in zip(batch.images, batch.count, strict=True):
            assert whole[float(image[0, 0])] == count


def test_an_iterator_that_is_dropped_waits_for_nothing(store):
    """Zarr's own thread may be the one that collects it, and a read needs that thread."""
    read_on = threading.Event()

    class Stuck(Streamed):
        def take(self, images):
            if images[0] > 0:
                read_on.wait(60)
            return super().take(images)

    stream = batches(Stuck(store, CPU), 16)
    next(stream)
    dropping = threading.Thread(target=stream.close)
    dropping.start()
    dropping.join(20)
    waits = dropping.is_alive()
    read_on.set()
    assert not waits


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_turns_move_image_and_catalog_together(store, turns, flip):
    batch = next(batches(Streamed(store, CPU), 8))
    spot = torch.zeros_like(batch.images)
    spot[:, 11, 30] = 1.0  # y, x
    moved = replace(
        batch,
        images=spot,
        backgrounds=spot,
        x=torch.full_like(batch.x, 30.0),
        y=torch.full_like(batch.y, 11.0),
    ).turned(turns, flip)
    y, x = np.unravel_index(int(moved.images[0].argmax()), moved.images.shape[1:])
    assert (moved.x[0, 0].item(), moved.y[0, 0].item()) == (x, y)
    assert torch.equal(moved.images, moved.backgrounds)
    assert ((x, y) == (30, 11)) == (turns == 0 and not flip)
