"""Runs that begin with crowded images, or with the weights of another run."""

import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from npecat_eval.catalog.store_catalog import negative_log_likelihoods
from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST, LOG
from npecat_train.data.cache import CPU, Streamed
from npecat_train.data.loader import batches
from npecat_train.model import TileModel
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults
from npecat_train.training import loop as trainer
from npecat_train.training import run_folder as run
from npecat_train.training.fine_tune import starting_from
from npecat_train.training.schedule import learning_rate
from tests.helpers.stores import write_store


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults.NETWORKS, "default", NetworkSize((4,), (), 8, 4, (1,), (1,)))
        yield


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Crowded images, ordinary ones and some to validate on."""
    data = tmp_path_factory.mktemp("data")
    crowded = write_store(data, "train", 96, prior="many", seed=1, density=0.003)
    return [
        Store(path)
        for path in (crowded, write_store(data, "train", 48), write_store(data, "validation", 16))
    ]


def train(store, validation, folder, start=None, first=None):
    settings = defaults.run_settings("psf_aware", store, epochs=1, batch_size=16, first=first)
    if start:
        settings = starting_from(start, settings)
    trainer.train(
        settings,
        store,
        validation_store=validation,
        folder=folder,
        device=CPU,
        start=start,
        first=first,
    )
    return folder / BEST


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    return train(stores[0], stores[2], tmp_path_factory.mktemp("crowded"))


@pytest.fixture(scope="module")
def two_passes(stores, tmp_path_factory):
    """The folder of a whole run over the crowded images and the ordinary ones."""
    return train(stores[1], stores[2], tmp_path_factory.mktemp("whole"), first=stores[0]).parent


def test_goes_on_from_those_weights_and_their_standardisation(stores, trained, tmp_path):
    best = train(stores[1], stores[2], tmp_path / "next", trained)
    first = TileModel.load(trained).settings
    settings = TileModel.load(best).settings
    assert settings.standardisation == first.standardisation
    assert settings.store_digest == stores[1].digest != first.store_digest

    def loss(path):
        of_images = negative_log_likelihoods(
            TileModel.load(path), batches(Streamed(stores[2], CPU), 16)
        )
        return sum(losses.mean() for losses in of_images.values())

    assert loss(best) < loss(trained)
    assert settings.learning_rate == pytest.approx(first.learning_rate / 10)
    # With a rate of nothing all stays as at the start, batch norm's statistics too.
    held = replace(starting_from(trained, settings), learning_rate=0.0)
    trainer.train(
        held,
        stores[1],
        validation_store=stores[2],
        folder=tmp_path / "held",
        device=CPU,
        start=trained,
    )
    before, after = load_file(trained), load_file(tmp_path / "held" / BEST)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_passes_over_crowded_images_first(stores, tmp_path, monkeypatch):
    crowded, ordinary, validation = stores
    seen = []
    whole_step = run.Run.train_step

    def step(self, batch):
        seen.append(int(batch.present.sum()))
        whole_step(self, batch)

    monkeypatch.setattr(run.Run, "train_step", step)
    train(ordinary, validation, tmp_path, first=crowded)
    counts = [int(store.catalog().count.sum()) for store in (crowded, ordinary)]
    # Tiles that hold a source; a crowded tile may hold two.
    assert len(seen) == 6 + 3 and sum(seen[6:]) == pytest.approx(counts[1], rel=0.05)
    assert sum(seen[:6]) == pytest.approx(counts[0], rel=0.05) and counts[0] > 6 * counts[1]
    rows = (tmp_path / LOG).read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["1", "96"], ["2", "144"]]
    rates = [float(row.split(",")[2]) for row in rows[1:]]
    assert rates == pytest.approx(
        [learning_rate("cosine", 5e-3, step=step, n_steps=9) for step in (5, 8)], 1e-4
    )


@pytest.mark.parametrize("n_steps", [3, 7])  # six make the first pass
def test_resumes_in_either_pass_to_the_same_bits(
    stores, two_passes, tmp_path, monkeypatch, n_steps
):
    crowded, ordinary, validation = stores
    whole_step = run.Run.train_step

    def step(self, batch):
        if self.steps_done == n_steps:
            raise KeyboardInterrupt
        whole_step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "CHECKPOINT_EVERY", 1)
        patch.setattr(run.Run, "train_step", step)
        train(ordinary, validation, tmp_path / "broken", first=crowded)
    train(ordinary, validation, tmp_path / "broken", first=crowded)
    assert (two_passes / LAST).read_bytes() == (tmp_path / "broken" / LAST).read_bytes()
    with pytest.raises(NpecatError, match=r"holds a run with first_digest = [0-9a-f]+, not None"):
        train(ordinary, validation, tmp_path / "broken")


def test_resumes_to_the_same_bits(stores, trained, tmp_path, monkeypatch):
    train(stores[1], stores[2], tmp_path / "whole", trained)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "CHECKPOINT_EVERY", 2)
        patch.setattr(run.Run, "finish_epoch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train(stores[1], stores[2], tmp_path / "broken", trained)
    train(stores[1], stores[2], tmp_path / "broken", trained)
    assert (tmp_path / "whole" / LAST).read_bytes() == (tmp_path / "broken" / LAST).read_bytes()


def test_other_start_is_another_run(stores, trained, tmp_path):
    train(stores[1], stores[2], tmp_path / "next")
    with pytest.raises(NpecatError, match="holds a run with start = None, not "):
        train(stores[1], stores[2], tmp_path / "next", trained)


def test_weights_that_do_not_suit_are_refused(stores, trained, tmp_path):
    settings = defaults.run_settings("psf_aware", stores[1], epochs=1)
    for change, told in (
        ({"variant": "psf_unaware"}, "it has variant psf_aware, not psf_unaware$"),
        ({"flux": "lognormal"}, "it has flux mixture, not lognormal$"),
        ({"network": defaults.NETWORKS["ancestor"]}, "it has network "),
    ):
        with pytest.raises(NpecatError, match=told):
            starting_from(trained, replace(settings, **change))
    tensors, known, state = checkpoint.load(trained)
    bad = tmp_path / BEST
    checkpoint.save(bad, {**tensors, "head.bias": torch.zeros(3)}, settings=known, state=state)
    with pytest.raises(NpecatError, match=r"does not fit its own settings: .*head.bias"):
        train(stores[1], stores[2], tmp_path / "next", bad)
    os.truncate(bad, 5000)
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        starting_from(bad, settings)
