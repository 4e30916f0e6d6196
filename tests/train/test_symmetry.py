"""A turned or mirrored image has the turned or mirrored posterior."""

from dataclasses import replace

import pytest
import torch

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST
from npecat_train.data.cache import CPU, Streamed
from npecat_train.data.loader import batches
from npecat_train.model import tile_posterior
from npecat_train.network.tile_network import TILE_SIZE, NetworkSize
from npecat_train.training import defaults
from npecat_train.training.fine_tune import load_start
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store
from tests.helpers.wide_images import wide_batch, wide_settings

SIZES = {
    "every kind of channels": NetworkSize((16,), (32, 32), 32, 32, (1, 2), (1, 2)),
    "odd widths": NetworkSize((5,), (), 20, 7, (1,), (1,)),
}
TURNS = [(turns, flip) for turns in range(4) for flip in (False, True)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write_store(tmp_path_factory.mktemp("data"), "train", 16, prior="many"))


@pytest.fixture(scope="module", params=["psf_aware", "wide"])
def batch(request, store):
    """Images with round PSFs, or with elliptical and lopsided ones that turn with them."""
    return next(batches(Streamed(store, CPU), 16)) if request.param != "wide" else wide_batch(16)


@pytest.fixture(params=SIZES)
def learner(request, store, batch):
    """After some steps from a head that says something."""
    is_wide = batch.psf is not None
    settings = wide_settings() if is_wide else defaults.run_settings("psf_aware", store, epochs=1)
    one = Learner(replace(settings, network=SIZES[request.param]), CPU, n_steps=9)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(one.network.head.weight, generator=generator)
    one.symmetry.average()
    for hold in (False, False, True):
        one.step(batch, 1e-3, hold_norm=hold)
    one.symmetry.average()
    one.network.eval()
    return one


def maps(learner, images):
    """What the posterior says of each place: axes (batch, row, column)."""
    with torch.no_grad():
        posterior = tile_posterior(
            learner.network, images, settings=learner.settings, in_float32=True
        )
    rows, columns = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    x, y = posterior.position.x, posterior.position.y
    return {
        "source": posterior.source.logit,
        "galaxy": posterior.galaxy.logit,
        "flux": posterior.flux.median().log(),
        "width": posterior.flux.quantile(0.9).log() - posterior.flux.quantile(0.1).log(),
        "x": TILE_SIZE * columns + x.mean() - 0.5,
        "y": TILE_SIZE * rows + y.mean() - 0.5,
        "x_sigma": x.std(),
        "y_sigma": y.std(),
    }


def turned(said, turns, flip):
    """The same of an image that is mirrored in x if ``flip`` and then turned by quarters."""
    said = dict(said)
    if flip:
        said["x"] = 79 - said["x"]
        said = {name: values.flip(-1) for name, values in said.items()}
    for _ in range(turns):
        said["x"], said["y"] = 79 - said["y"], said["x"]
        said["x_sigma"], said["y_sigma"] = said["y_sigma"], said["x_sigma"]
        said = {name: torch.rot90(values, 1, dims=(-1, -2)) for name, values in said.items()}
    return said


def test_posterior_turns_with_the_image(learner, batch):
    plain = maps(learner, batch)
    assert all(values.std() > 1e-3 for values in plain.values())  # it does say something
    assert (plain["x"] - maps(learner, batch.turned(0, True))["x"]).abs().max() > 1e-3
    for turns, flip in TURNS:
        there = maps(learner, batch.turned(turns, flip))
        for name, expected in turned(plain, turns, flip).items():
            torch.testing.assert_close(there[name], expected, rtol=1e-3, atol=1e-3, msg=name)


def test_direction_of_the_psf_matters():
    """Turned images with PSFs that stay are no turned posterior; fresh weights see directions."""
    batch = wide_batch(16)
    learner = Learner(replace(wide_settings(), network=SIZES["odd widths"]), CPU, n_steps=9)
    for weight in (learner.network.body[0].into[0].weight, learner.network.body[0].past[0].weight):
        on_psf = weight[:, learner.settings.network.channels :]
        n_signs = learner.settings.tile_maps.sign.min(axis=0).tolist().count(-1)
        assert n_signs == 8 and on_psf[:, -n_signs:].abs().max() > 1e-3
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(learner.network.head.weight, generator=generator)
    learner.symmetry.average()
    learner.network.eval()
    there = batch.turned(1, False)
    with_psf, without = [
        maps(learner, one)["source"] for one in (there, replace(there, psf=batch.psf))
    ]
    expected = torch.rot90(maps(learner, batch)["source"], 1, dims=(-1, -2))
    torch.testing.assert_close(with_psf, expected, rtol=1e-3, atol=1e-3)
    assert (without - expected).abs().max() > 0.1


def test_averaged_gradient_is_that_of_all_turned_copies(learner, batch, monkeypatch):
    monkeypatch.setattr("npecat_train.model.has_bfloat16", lambda device: False)

    def gradients(*several):
        learner.network.zero_grad()
        for one in several:
            (learner._losses(learner.network, one).sum() / len(several)).backward()
        return [weight.grad.clone() for weight in learner.network.parameters()]

    of_all = gradients(*(batch.turned(turns, flip) for turns, flip in TURNS))
    of_one = gradients(batch)
    learner.symmetry.average_gradients()
    for weight, expected, plain in zip(learner.network.parameters(), of_all, of_one, strict=True):
        size = float(plain.abs().max())
        torch.testing.assert_close(weight.grad, expected, rtol=0, atol=1e-3 * size)


def test_weights_that_do_not_turn_are_refused(store, learner, tmp_path):
    fresh = Learner(learner.settings, CPU, n_steps=9)
    tensors, path = learner.tensors(), tmp_path / BEST
    fresh.load(tensors)
    weights = learner.network.state_dict()
    checkpoint.save(path, weights, settings=learner.settings, state={})
    load_start(path, fresh)
    weights["stem.0.0.weight"][0, 0, 0, 1] += 0.2
    checkpoint.save(path, weights, settings=learner.settings, state={})
    with pytest.raises(NpecatError, match=r"best.safetensors does not fit .* turn with the image"):
        load_start(path, fresh)
    with pytest.raises(ValueError, match="turn with the image"):
        fresh.load(learner.tensors())
