"""A training step: what a GPU would have to wait for, and that it runs on one."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from npecat_sim.store.reader import Store
from npecat_train.data.cache import CPU, Resident, Streamed
from npecat_train.data.loader import batches
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults, learner
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store

SMALL = NetworkSize((4,), (), 8, 4, (1,), (1,))

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "equal"}
"""Operations whose result, or its size, the host must know to go on."""


class Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        if func.overloadpacket.__name__ == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        ):
            self.names.add("nonzero")
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write_store(tmp_path_factory.mktemp("data"), "train", 48))


@pytest.fixture
def settings(store):
    return replace(defaults.run_settings("psf_aware", store, epochs=1), network=SMALL)


def test_a_step_reads_nothing_from_the_device(store, settings):
    batch = next(batches(Streamed(store, CPU), 16))
    one = Learner(settings, CPU, n_steps=3)
    with Operations() as seen:
        one.step(batch.turned(3, True), 1e-3)
    assert "convolution" in seen.names and not seen.names & WAITING
    with Operations() as seen:
        float(batch.flux[batch.present].sum())
    assert seen.names & WAITING == {"_local_scalar_dense", "nonzero"}  # it does see them


def test_gradient_is_that_of_the_weighted_losses(store, settings, monkeypatch):
    monkeypatch.setattr(learner, "GRADIENT_NORM", float("inf"))
    batch = next(batches(Streamed(store, CPU), 16))
    one, other = [Learner(settings, CPU, n_steps=3) for _ in range(2)]
    told = one.step(batch, 0.0)
    losses = other._losses(other.network.train(), batch).mean(dim=1)
    torch.testing.assert_close(told, losses.detach())  # itself without weights
    sum(w * x for w, x in zip((1, 1, 1, 3), losses, strict=True)).backward()
    other.symmetry.average_gradients()
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    for weight, expected in pairs:
        torch.testing.assert_close(weight.grad, expected.grad, rtol=1e-3, atol=1e-3)


def test_held_batch_norm_keeps_its_statistics_and_the_weights_move(store, settings):
    one = Learner(settings, CPU, n_steps=3)
    batch = next(batches(Streamed(store, CPU), 16))
    one.step(batch, 1e-3)
    for hold in (True, False):
        before = {name: value.clone() for name, value in one.network.state_dict().items()}
        one.step(batch, 1e-3, hold_norm=hold)
        after = one.network.state_dict()
        kept = {name for name, value in after.items() if torch.equal(value, before[name])}
        statistics = {name for name in after if "running" in name or "tracked" in name}
        assert kept == (statistics if hold else set())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # its own
@pytest.mark.parametrize("n_lanes", [1, 2])
def test_compiled_step_equals_the_plain_one(store, settings, monkeypatch, n_lanes):
    settings = replace(settings, batch_size=16)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n_lanes)
    plain = Learner(settings, CPU, n_steps=3)
    monkeypatch.setattr(learner, "MIN_COMPILED_STEPS", 3)
    compiled = Learner(settings, CPU, n_steps=3)
    torch.set_num_threads(n_threads)
    networks = compiled.lanes.networks
    assert len(networks) == n_lanes and plain._whole_batch_networks is plain.lanes.networks
    assert not set(compiled._whole_batch_networks) & set(networks)
    for batch in batches(Streamed(store, CPU), 16):
        for hold in (False, True):
            losses = [one.step(batch, 1e-3, hold_norm=hold) for one in (plain, compiled)]
            torch.testing.assert_close(*losses, rtol=2e-2, atol=1e-2)


@pytest.mark.gpu
def test_steps_on_a_gpu_never_wait(store, settings):
    gpu = torch.device("cuda")
    kept = Resident(store, gpu, home=gpu)
    pairs = zip(
        batches(kept, 16, shuffle=(0, 0)),
        batches(Streamed(store, gpu), 16, shuffle=(0, 0)),
        strict=True,
    )
    for one, other in pairs:
        for name, tensor in one.tensors().items():
            assert tensor.is_cuda and torch.equal(tensor.cpu(), getattr(other, name).cpu()), name
    batch = next(batches(kept, 16))
    one = Learner(settings, gpu, n_steps=1000)
    one.step(batch, 1e-3)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = [one.step(batch.turned(1, True), 1e-3) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(losses).isfinite().all()
