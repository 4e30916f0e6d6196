"""Lanes: together they are one network on the whole batch, the same bits whoever is slow."""

import time
from dataclasses import replace
from threading import Thread

import pytest
import torch

from npecat_sim.store.reader import Store
from npecat_train import model
from npecat_train.checkpoint import LAST
from npecat_train.data.cache import CPU, Streamed
from npecat_train.data.loader import batches
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults, run_folder
from npecat_train.training import learner as learner_module
from npecat_train.training import loop as trainer
from npecat_train.training.lanes import n_lanes
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store

SMALL = NetworkSize((4,), (), 8, 4, (1,), (1,))
BATCH_SIZE = 24
RATE = 1e-2


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write_store(tmp_path_factory.mktemp("data"), "train", 77))


@pytest.fixture(scope="module")
def some(store):
    """Three whole batches and one of five images."""
    return list(batches(Streamed(store, CPU), BATCH_SIZE))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A small network in float32, and the threads as they were."""
    monkeypatch.setattr(model, "has_bfloat16", lambda device: False)
    monkeypatch.setitem(defaults.NETWORKS, "default", SMALL)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(store):
    return defaults.run_settings("psf_aware", store, epochs=2, batch_size=BATCH_SIZE)


def learner_of(settings, n):
    """A learner of n lanes of one thread each."""
    torch.set_num_threads(n)
    learner = Learner(settings, CPU, n_steps=3)
    torch.set_num_threads(1)
    assert len(learner.lanes.networks) == n
    return learner


@pytest.mark.parametrize(
    ("batch_size", "n_threads", "n"),
    [(32, 1, 1), (32, 2, 2), (16, 2, 2), (15, 2, 1), (1, 2, 1), (32, 3, 3), (32, 64, 4)],
)
def test_as_many_lanes_as_threads_while_there_are_images(batch_size, n_threads, n):
    assert n_lanes(batch_size, n_threads) == n


def test_gradients_are_those_of_the_whole_batch(some, settings, monkeypatch):
    monkeypatch.setattr(learner_module, "GRADIENT_NORM", float("inf"))
    one = learner_of(settings, 1)
    one.step(some[0], RATE)
    one.step(some[1], RATE)  # before, the last layer is zero and the others have no gradient
    for n in (2, 3):
        lanes = learner_of(settings, n)
        lanes.load(one.tensors())
        losses = [learner.step(some[2], 0.0, hold_norm=True) for learner in (one, lanes)]
        torch.testing.assert_close(*losses)
        for weight, other in zip(one.network.parameters(), lanes.network.parameters(), strict=True):
            assert weight.grad.any()
            torch.testing.assert_close(
                other.grad, weight.grad, rtol=1e-3, atol=1e-4 * float(weight.grad.abs().max())
            )


def test_statistics_are_the_mean_over_the_lanes(some, settings):
    one, lanes = [learner_of(settings, n) for n in (1, 3)]
    for learner in (one, lanes):
        learner.step(some[0], RATE)
    pixels = [learner.network.stem[0][1].running_mean for learner in (one, lanes)]
    torch.testing.assert_close(*pixels)  # of a layer whose input is not normalised by any other
    before = {name: value.clone() for name, value in lanes.network.named_buffers()}
    lanes.step(some[1], RATE, hold_norm=True)
    for name, value in lanes.network.named_buffers():
        assert torch.equal(value, before[name]), name
        for network in lanes.lanes.networks:
            assert torch.equal(dict(network.named_buffers())[name], value), name


def test_no_bit_depends_on_which_lane_is_slow(some, settings, monkeypatch):
    backward, ends = Learner._backward, []
    for slow in (None, 0, 1, 2):

        def slowly(self, batch, hold_norm, lane, slow=slow):
            time.sleep(0.1 * (lane == slow))
            return backward(self, batch, hold_norm, lane)

        monkeypatch.setattr(Learner, "_backward", slowly)
        learner = learner_of(settings, 3)
        losses = [
            learner.step(some[i], RATE, hold_norm=hold)
            for i, hold in enumerate((False, False, True))
        ]
        learner.step(some[0], RATE, hold_norm=True)
        told = learner.validate(some)
        ends.append(learner.tensors() | {"losses": torch.stack(losses)} | told)
    for end in ends[1:]:
        for name, value in end.items():
            same = torch.equal(value, ends[0][name]) if "." in name else value == ends[0][name]
            assert same if isinstance(same, bool) else same.all(), name


def test_a_batch_that_is_not_whole_is_the_first_lanes(some, settings):
    one, lanes = [learner_of(settings, n) for n in (1, 3)]
    for batch in (some[3], some[3].rows(0, 2)):
        for learner in (one, lanes):
            learner.step(batch, RATE)
    for name, value in one.tensors().items():
        assert torch.equal(value, lanes.tensors()[name]), name
    few = some[3].rows(0, 2)  # leaves the third lane without an image
    assert lanes.validate([some[0], few]) == pytest.approx(one.validate([some[0], few]), rel=1e-4)
    losses = [learner.step(some[0], RATE, hold_norm=True) for learner in (one, lanes)]
    torch.testing.assert_close(*losses)  # all lanes have the weights and statistics of now


def test_run_that_was_stopped_ends_with_the_same_bits(store, settings, tmp_path, monkeypatch):
    def train(folder):
        torch.set_num_threads(2)
        trainer.train(settings, store, validation_store=store, folder=folder, device=CPU)
        assert torch.get_num_threads() == 2

    monkeypatch.setattr(run_folder, "CHECKPOINT_EVERY", 3)
    train(tmp_path / "whole")
    steps, whole_step = [], Learner.step

    def step(self, *arguments, **options):
        steps.append(len(self.lanes.networks))
        if len(steps) == 6:  # of 8, the fourth and last of which are not whole
            raise KeyboardInterrupt
        return whole_step(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Learner, "step", step)
        train(tmp_path / "stopped")
    assert steps == [2] * 6
    train(tmp_path / "stopped")
    assert (tmp_path / "whole" / LAST).read_bytes() == (tmp_path / "stopped" / LAST).read_bytes()


def test_threads_are_shared_while_lanes_work_and_given_back(some, settings):
    def seen_by_a_new_thread():
        thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return seen.pop()

    seen: list[int] = []
    torch.set_num_threads(6)
    lanes = Learner(replace(settings, batch_size=16), CPU, n_steps=3).lanes
    with lanes.keep_to_threads():
        for _ in range(2):
            assert lanes.run(lambda lane: torch.get_num_threads(), "threads") == [3, 3]
    assert torch.get_num_threads() == seen_by_a_new_thread() == 6


def test_what_goes_wrong_in_a_lane_is_told(some, settings, monkeypatch):
    learner = learner_of(settings, 2)
    learner.step(some[0], RATE)
    for bad in range(2):

        def fail(self, batch, hold_norm, lane, bad=bad):
            if lane == bad:
                raise ValueError(f"in lane {bad}")

        monkeypatch.setattr(Learner, "_backward", fail)
        with pytest.raises(ValueError, match=f"in lane {bad}"):
            learner.step(some[0], RATE)
