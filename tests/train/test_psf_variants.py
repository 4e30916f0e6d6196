"""Variants of prior wide, which differ in how they are told the PSF."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from npecat_sim.fields.sdss_statistics import held_out_fields
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.store.reader import Store
from npecat_sim.wide.survey import Survey
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST, LAST
from npecat_train.model import TileModel, inputs_of, tile_posterior
from npecat_train.network.psf_autoencoder import PsfEncoder, fit_encoder, hellinger
from npecat_train.network.psf_six_numbers import six_number_psf
from npecat_train.network.psf_variants import NUMBERS_OF, tell_psf
from npecat_train.network.symmetry import SYMMETRIES
from npecat_train.network.tile_network import NETWORKS, NetworkSize
from npecat_train.settings import VARIANTS
from npecat_train.training import loop
from npecat_train.training.defaults import run_settings
from npecat_train.training.learner import Learner
from tests.helpers.stores import write_store
from tests.helpers.wide_images import SIDE, odd_psf, wide_batch, wide_settings

CPU = torch.device("cpu")
SMALL = NetworkSize((4,), (4,), 8, 4, (1, 1), (1, 2))
FEW_STEPS = 300


def settings_of(variant):
    return replace(wide_settings(SMALL), variant=variant)


def odd_stamps(n, seed):
    """PSFs without symmetry, 1.5 to 7 pixels wide, in all directions: float32 (n, SIDE, SIDE)."""
    generator = np.random.default_rng(seed)
    widths = np.exp(generator.uniform(np.log(1.5), np.log(7), n))
    shears = generator.uniform(-0.1, 0.1, (n, 2))
    psfs = [odd_psf(width, *shear) for width, shear in zip(widths, shears, strict=True)]
    psfs = [np.rot90(psf if i % 8 < 4 else psf.T, i) for i, psf in enumerate(psfs)]
    return torch.tensor(np.array(psfs), dtype=torch.float32)


@pytest.fixture(scope="module")
def autoencoder():
    encoder = PsfEncoder()
    return encoder, fit_encoder(encoder, odd_stamps(600, 0), seed=0, steps=FEW_STEPS)


def test_autoencoder_restores_psfs_that_it_has_not_seen(autoencoder):
    """All steps on prior wide reach 0.0007, see N_LATENTS."""
    stamps = odd_stamps(100, 1)
    mean = (stamps.sqrt() - stamps.sqrt().mean(dim=0)).square().sum(dim=(1, 2)).mean()
    distance = hellinger(*autoencoder, stamps)
    assert distance.mean() < 0.005 and mean > 0.08
    numbers = autoencoder[0](stamps)
    assert numbers.mean(dim=0).abs().max() < 0.5
    assert numbers.std(dim=0).min() > 0.7 and numbers.std(dim=0).max() < 1.3
    again = PsfEncoder()
    fit_encoder(again, odd_stamps(600, 0), seed=0, steps=FEW_STEPS)
    for one, other in zip(again.buffers(), autoencoder[0].buffers(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("variant", NUMBERS_OF)
def test_what_is_told_turns_with_the_psf(variant, autoencoder):
    psf = odd_stamps(1, 2)
    told = tell_psf(psf, variant, autoencoder[0])
    channels = NUMBERS_OF[variant]
    assert told.numbers.shape[1] == channels.sign.shape[1]
    row, column = np.indices((SIDE, SIDE))
    for index, symmetry in enumerate(SYMMETRIES):
        x, y = np.tensordot(symmetry, np.stack([column, row]) - SIDE // 2, axes=1) + SIDE // 2
        turned, acting, numbers = [torch.empty_like(one) for one in (psf, *told)]
        turned[0, y, x] = psf[0]
        acting[0, y, x] = told.acting[0]
        numbers[0, channels.to[index]] = told.numbers[0] * torch.tensor(channels.sign[index])
        there = tell_psf(turned, variant, autoencoder[0])
        torch.testing.assert_close(there.numbers, numbers, rtol=0, atol=1e-4)
        torch.testing.assert_close(there.acting, acting)


def test_posterior_with_an_autoencoder_turns_with_the_image(autoencoder):
    learner = Learner(settings_of("wide_autoencoder"), CPU, n_steps=9)
    learner.network.psf_encoder.load_state_dict(autoencoder[0].state_dict())
    learner.network.eval()
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(learner.network.head.weight, generator=generator)
    learner.symmetry.average()
    batch = wide_batch(4)
    there = batch.turned(1, True)

    def logits(images):
        with torch.no_grad():
            return tile_posterior(
                learner.network, images, settings=learner.settings, in_float32=True
            ).source.logit

    expected = torch.rot90(logits(batch).flip(-1), 1, dims=(-1, -2))
    torch.testing.assert_close(logits(there), expected, rtol=0, atol=1e-4)
    assert (logits(replace(there, psf=batch.psf)) - expected).abs().max() > 1e-3


def test_what_each_variant_is_told(autoencoder):
    """All differ from wide in the PSF alone; nothing of it reaches the unaware one."""
    assert [name for name in VARIANTS if VARIANTS[name] == "wide"] == list(NUMBERS_OF)
    batch = wide_batch(3, size=48)
    other = replace(batch, psf=odd_stamps(3, 3))
    same = {}
    for variant in NUMBERS_OF:
        one, two = [
            inputs_of(b, settings_of(variant), encoder=autoencoder[0]) for b in (batch, other)
        ]
        same[variant] = [torch.equal(one.pixel_maps, two.pixel_maps)]
        same[variant] += [torch.equal(one.aperture_flux, two.aperture_flux)]
        same[variant] += [torch.equal(one.tile_maps, two.tile_maps)]
        assert one.tile_maps.shape[1] == settings_of(variant).tile_maps.to.shape[1]
    assert same == {
        "wide": [False, False, False],
        "wide_numbers": [True, True, False],
        "wide_autoencoder": [True, True, False],
        "wide_six_numbers": [False, False, False],
        "wide_psf_unaware": [True, True, True],
    }
    for variant in ("wide_numbers", "wide_autoencoder", "wide_psf_unaware"):
        assert torch.equal(
            inputs_of(batch, settings_of(variant), encoder=autoencoder[0]).pixel_maps,
            inputs_of(batch, settings_of("wide_numbers")).pixel_maps,
        )


def test_six_numbers_are_the_closest_of_sdss():
    fields = held_out_fields()
    psfs = [fields.psf_of(row) for row in range(0, len(fields), 25)]
    psfs = [psf.scaled(width / psf.fwhm) for psf in psfs for width in (1.7, 3.3, 7.0)]
    stamps = torch.tensor(np.array([psf.stamp(SIDE) for psf in psfs]), dtype=torch.float32)
    fitted = six_number_psf(stamps)
    flux = (stamps * fitted).sum(dim=(1, 2)) / fitted.square().sum(dim=(1, 2))
    assert (flux - 1).abs().max() < 0.01
    assert ((stamps - fitted).abs().amax(dim=(1, 2)) / stamps.amax(dim=(1, 2))).max() < 0.02
    oval, lopsided = ParametricPsf("moffat", 3.0, 0.15).stamp(SIDE), odd_psf(3.0)
    fitted = six_number_psf(torch.tensor(np.array([oval, lopsided]), dtype=torch.float32))
    torch.testing.assert_close(fitted, fitted.mT)
    assert torch.equal(fitted, fitted.flip(-1))


def test_the_encoder_travels_with_the_network(tmp_path, monkeypatch):
    """It is trained at the start of a run, the same again after a kill, and not on resuming."""
    monkeypatch.setitem(NETWORKS, "default", SMALL)
    monkeypatch.setattr(loop, "fit_encoder", partial(fit_encoder, steps=10))
    store = Store(write_store(tmp_path, "train", 24, "wide", survey=Survey()))
    settings = run_settings("wide_autoencoder", store, epochs=2, batch_size=8)

    def train(name):
        folder = tmp_path / name
        loop.train(settings, store, validation_store=store, folder=folder, device=CPU)
        return folder

    one, other = train("one"), train("other")
    for name in (BEST, LAST):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    model = TileModel.load(one)
    expected = PsfEncoder()
    fit_encoder(expected, torch.from_numpy(store.array("psf")), seed=settings.seed, steps=10)
    for there, buffer in zip(model.network.psf_encoder.buffers(), expected.buffers(), strict=True):
        assert torch.equal(there, buffer) and not torch.equal(buffer, torch.zeros_like(buffer))
    batch = store.batch(slice(0, 4))
    network = settings.build_network()
    network.load_state_dict(checkpoint.load(one / BEST)[0])
    again = TileModel(network.for_inference(), settings).posterior(batch).source.logit
    assert torch.equal(model.posterior(batch).source.logit, again)

    monkeypatch.setattr(loop, "fit_encoder", None)  # a call would fail
    best = (one / BEST).read_bytes()
    train("one")
    assert (one / BEST).read_bytes() == best
