"""Training: it learns, resumes bit for bit, and refuses what it must not mix."""

import csv
import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from npecat_sim.errors import NpecatError
from npecat_sim.store import Store
from npecat_train import checkpoint, trainer
from npecat_train.checkpoint import BEST, LAST, LOG, SETTINGS
from npecat_train.loader import batches
from npecat_train.network import NetworkSize
from npecat_train.predict import negative_log_likelihoods, predict
from tests.stores import write_store

SMALL = NetworkSize(stem_channels=4, channels=8, hidden_channels=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    paths = [write_store(data, split, n) for split, n in (("train", 120), ("validation", 30))]
    return [Store(path, "") for path in paths]


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr(trainer, "NetworkSize", lambda: SMALL)
    monkeypatch.setattr(trainer, "WARM_UP_STEPS", 3)
    monkeypatch.setattr(trainer, "BATCH_SIZE", 16)


def train(stores, folder, epochs=2, variant="psf_aware", seed=0, flux="lognormal"):
    return trainer.train(variant, flux, *stores, folder, epochs, seed, CPU)


def interrupt_at(monkeypatch, n_steps):
    """Make the trainer save after every third step and die after ``n_steps``."""
    steps = []
    whole_step = trainer.Run.train_step

    def step(self, *arguments):
        if len(steps) == n_steps:
            raise KeyboardInterrupt
        steps.append(0)
        whole_step(self, *arguments)

    monkeypatch.setattr(trainer, "CHECKPOINT_EVERY", 3)
    monkeypatch.setattr(trainer.Run, "train_step", step)


def test_loss_falls_and_everything_is_written(stores, tmp_path):
    best = train(stores, tmp_path, epochs=4)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["validation"]) for row in rows]
    assert (
        len(rows) == 4 and losses[-1] < losses[0] and best == pytest.approx(min(losses), rel=1e-5)
    )
    assert [float(row["rate"]) for row in rows] == pytest.approx([3e-3, 3e-3, 3e-4, 3e-4])
    settings = json.loads((tmp_path / SETTINGS).read_text())
    assert settings["variant"] == "psf_aware" and settings["store_digest"] == stores[0].digest
    network, read = checkpoint.load_network(tmp_path / BEST)
    assert read.to_json() == settings
    assert len(predict(network, read, stores[1], "test").detections) >= 0
    of_images = negative_log_likelihoods(network, read, batches(stores[1], 7))
    assert all(len(losses) == len(stores[1]) for losses in of_images.values())
    assert sum(losses.mean() for losses in of_images.values()) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(
    ("variant", "flux"), [("single_field", "lognormal"), ("psf_unaware", "mixture")]
)
def test_other_variants_and_families_train_too(stores, tmp_path, variant, flux):
    assert train(stores, tmp_path, epochs=1, variant=variant, flux=flux) < 1000
    _, settings = checkpoint.load_network(tmp_path / BEST)
    assert settings.variant == variant and not settings.use_psf and settings.flux == flux


@pytest.mark.parametrize("n_steps", [2, 5, 8, 11])  # 8 steps make an epoch
def test_resumed_run_equals_undisturbed_run(stores, tmp_path, monkeypatch, n_steps):
    train(stores, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, n_steps)
        train(stores, tmp_path / "broken")
    train(stores, tmp_path / "broken")
    whole, resumed = (load_file(tmp_path / name / LAST) for name in ("whole", "broken"))
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
            lambda store, size, shuffle=None, first=0: in_order(
                store, size, shuffle and (shuffle[0], shuffle[1] + 1), first
            ),
        )
        train(stores, tmp_path / "broken")
    whole, resumed = (load_file(tmp_path / name / LAST) for name in ("whole", "broken"))
    assert not torch.equal(whole["network.head.weight"], resumed["network.head.weight"])


def test_finished_run_is_left_alone(stores, tmp_path):
    train(stores, tmp_path, epochs=1)
    before = (tmp_path / LAST).read_bytes()
    train(stores, tmp_path, epochs=1)
    assert (tmp_path / LAST).read_bytes() == before


def test_early_stopping(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "PATIENCE", 2)
    monkeypatch.setattr(
        trainer.Run,
        "validate",
        lambda self, store: dict.fromkeys(
            ("source", "position", "type", "flux"), float(self.epoch)
        ),
    )
    train(stores, tmp_path, epochs=9)
    assert len((tmp_path / LOG).read_text().splitlines()) == 1 + 3  # the best epoch and two more


@pytest.mark.parametrize(
    ("change", "name"),
    [({"seed": 1}, "seed"), ({"epochs": 3}, "epochs"), ({"flux": "mixture"}, "flux")],
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
    checkpoint.save(path, bad, settings, state)
    with pytest.raises(NpecatError, match=r"head.bias are not finite"):
        checkpoint.load_network(path)

    checkpoint.save(path, {**tensors, "head.bias": torch.zeros(3)}, settings, state)
    with pytest.raises(NpecatError, match=r"does not fit its own settings: .*head.bias"):
        checkpoint.load_network(path)

    checkpoint.save(path, tensors, replace(settings, format_version=99), state)
    with pytest.raises(NpecatError, match="checkpoint format 99"):
        checkpoint.load_network(path)

    save_file(tensors, path)  # of somebody else
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        checkpoint.load_network(path)

    checkpoint.save(path, tensors, settings, state)
    os.truncate(path, 5000)
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        checkpoint.load_network(path)
