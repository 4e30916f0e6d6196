"""Training: it learns, resumes bit for bit, and refuses what it must not mix."""

import csv
import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from npecat_eval.catalog.store_catalog import negative_log_likelihoods
from npecat_sim.errors import NpecatError
from npecat_sim.io.lock import locked
from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST, LOG, SETTINGS
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.model import TileModel
from npecat_train.network.tile_network import NetworkSize
from npecat_train.posterior.factors import FACTORS
from npecat_train.training import defaults
from npecat_train.training import loop as trainer
from npecat_train.training import run_folder as run
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store

SMALL = NetworkSize((4,), (), 8, 4, (1,), (1,))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    paths = [write_store(data, split, n) for split, n in (("train", 120), ("validation", 30))]
    return [Store(path) for path in paths]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(defaults.NETWORKS, "default", SMALL)


def train(stores, folder, epochs=2, variant="psf_aware", cache="auto", **options):
    settings = defaults.run_settings(
        variant, stores[0], epochs=epochs, **{"batch_size": 16, **options}
    )
    return trainer.train(
        settings, stores[0], validation_store=stores[1], folder=folder, device=CPU, cache=cache
    )


def interrupt_at(monkeypatch, n_steps):
    """Make the trainer save after every third step and die after ``n_steps``."""
    steps = []
    whole_step = run.Run.train_step

    def step(self, *arguments):
        if len(steps) == n_steps:
            raise KeyboardInterrupt
        steps.append(0)
        whole_step(self, *arguments)

    monkeypatch.setattr(run, "CHECKPOINT_EVERY", 3)
    monkeypatch.setattr(run.Run, "train_step", step)


def test_loss_falls_and_everything_is_written(stores, tmp_path):
    best = train(stores, tmp_path, epochs=4)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["validation"]) for row in rows]
    assert (
        len(rows) == 4 and losses[-1] < losses[0] and best == pytest.approx(min(losses), rel=1e-5)
    )
    assert float(rows[-1]["train"]) < float(rows[0]["train"])
    settings = json.loads((tmp_path / SETTINGS).read_text())
    assert settings["variant"] == "psf_aware" and settings["store_digest"] == stores[0].digest
    model = TileModel.load(tmp_path / BEST)
    read = model.settings
    assert read.to_json() == settings
    of_images = negative_log_likelihoods(model, batches(Streamed(stores[1], CPU), 7))
    assert all(len(losses) == len(stores[1]) for losses in of_images.values())
    assert sum(losses.mean() for losses in of_images.values()) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(
    ("variant", "flux"), [("single_field", "lognormal"), ("psf_unaware", "mixture")]
)
def test_other_variants_and_families_train_too(stores, tmp_path, variant, flux):
    assert train(stores, tmp_path, epochs=1, variant=variant, flux=flux) < 1000
    settings = TileModel.load(tmp_path / BEST).settings
    assert settings.variant == variant and not settings.use_psf and settings.flux == flux


@pytest.mark.parametrize("n_steps", [2, 5, 8, 11])  # 8 steps make an epoch
def test_resumed_run_equals_undisturbed_run(stores, tmp_path, monkeypatch, n_steps):
    train(stores, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, n_steps)
        train(stores, tmp_path / "broken")
    train(stores, tmp_path / "broken")
    whole, resumed = [load_file(tmp_path / name / LAST) for name in ("whole", "broken")]
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert (tmp_path / "whole" / LOG).read_text() == (tmp_path / "broken" / LOG).read_text()


def test_a_lost_place_in_the_data_would_be_noticed(stores, tmp_path, monkeypatch):
    train(stores, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 5)
        train(stores, tmp_path / "broken")
    with monkeypatch.context() as patch:
        in_order = trainer.batches
        patch.setattr(
            trainer,
            "batches",
            lambda store, size, *, shuffle=None, first=0: in_order(
                store, size, shuffle=shuffle and (shuffle[0], shuffle[1] + 1), first=first
            ),
        )
        train(stores, tmp_path / "broken")
    whole, resumed = [load_file(tmp_path / name / LAST) for name in ("whole", "broken")]
    assert not torch.equal(whole["network.head.weight"], resumed["network.head.weight"])


def test_finished_run_is_left_alone(stores, tmp_path):
    train(stores, tmp_path, epochs=1)
    before = (tmp_path / LAST).read_bytes()
    train(stores, tmp_path, epochs=1)
    assert (tmp_path / LAST).read_bytes() == before


def test_kept_and_streamed_images_train_the_same(stores, tmp_path):
    for cache in ("none", "ram"):
        train(stores, tmp_path / cache, cache=cache)
    assert (tmp_path / "none" / LAST).read_bytes() == (tmp_path / "ram" / LAST).read_bytes()


def test_loss_that_is_not_finite_stops_the_run_and_is_not_saved(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "CHECKPOINT_EVERY", 3)
    settings = replace(defaults.run_settings("psf_aware", stores[0], epochs=1), learning_rate=1e30)
    with pytest.raises(NpecatError, match=r"not finite at epoch 1, step 3, and not saved; "):
        trainer.train(settings, stores[0], validation_store=stores[1], folder=tmp_path, device=CPU)
    assert not (tmp_path / LAST).exists() and not (tmp_path / BEST).exists()


def test_one_process_a_run(stores, tmp_path):
    with locked(tmp_path / "psf_aware"), pytest.raises(NpecatError, match="is being written by"):
        train(stores, tmp_path / "psf_aware")


def test_early_stopping(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PATIENCE", 2)
    losses = iter(map(float, range(9)))
    monkeypatch.setattr(
        Learner, "validate", lambda self, batches: dict.fromkeys(FACTORS, next(losses))
    )
    train(stores, tmp_path, epochs=9)
    assert len((tmp_path / LOG).read_text().splitlines()) == 1 + 3  # the best epoch and two more


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 3}, "epochs"),
        ({"flux": "lognormal"}, "flux"),
        ({"schedule": "paper"}, "schedule"),
        ({"batch_size": 8}, "batch_size"),
    ],
)
def test_run_of_other_settings_is_refused(stores, tmp_path, change, name):
    train(stores, tmp_path, epochs=1)
    with pytest.raises(NpecatError, match=f"holds a run with {name} = "):
        train(stores, tmp_path, **{"epochs": 1, **change})


def test_damaged_checkpoints_are_refused(stores, tmp_path):
    train(stores, tmp_path, epochs=1)
    path = tmp_path / BEST
    tensors, settings, state = checkpoint.load(path)

    bad = {**tensors, "head.bias": torch.full_like(tensors["head.bias"], torch.nan)}
    checkpoint.save(path, bad, settings=settings, state=state)
    with pytest.raises(NpecatError, match=r"head.bias are not finite"):
        TileModel.load(path)

    checkpoint.save(path, {**tensors, "head.bias": torch.zeros(3)}, settings=settings, state=state)
    with pytest.raises(NpecatError, match=r"does not fit its own settings: .*head.bias"):
        TileModel.load(path)

    checkpoint.save(path, tensors, settings=replace(settings, format_version=99), state=state)
    with pytest.raises(NpecatError, match="checkpoint format 99"):
        TileModel.load(path)

    save_file(tensors, path)  # of somebody else
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        TileModel.load(path)

    checkpoint.save(path, tensors, settings=settings, state=state)
    os.truncate(path, 5000)
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        TileModel.load(path)


def test_damaged_state_is_not_resumed(stores, tmp_path):
    train(stores, tmp_path, epochs=1)
    path = tmp_path / LAST
    tensors, settings, state = checkpoint.load(path)
    moment = "optimiser.1.3.exp_avg"
    damages = {
        "network.head.bias are not finite": {"network.head.bias": torch.tensor([torch.nan])},
        f"does not fit its own settings: {moment} is of shape": {moment: torch.zeros(2)},
        "does not fit its own settings: .*network.head.bias|size mismatch": {
            "network.head.bias": torch.zeros(3)
        },
    }
    for message, damage in damages.items():
        checkpoint.save(path, {**tensors, **damage}, settings=settings, state=state)
        with pytest.raises(NpecatError, match=message) as error:
            train(stores, tmp_path, epochs=1)
        assert str(path) in str(error.value) and "\n" not in str(error.value)

    without = {name: tensor for name, tensor in tensors.items() if name != moment}
    odd = ({"epoch": 1, "unknown": 2}, [], state | {"epoch": None}, state | {"history": {}})
    for content in ((without, state), *((tensors, one) for one in odd)):
        checkpoint.save(path, content[0], settings=settings, state=content[1])
        with pytest.raises(NpecatError, match="does not fit its own settings"):
            train(stores, tmp_path, epochs=1)
