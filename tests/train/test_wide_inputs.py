"""What a network for any telescope is given: matched filters, apertures and numbers of the PSF."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from npecat_sim.errors import NpecatError
from npecat_sim.psf.parametric import ParametricPsf
from npecat_train.data.batch import CONDITIONS
from npecat_train.model import TileModel, inputs_of
from npecat_train.network import wide_inputs
from npecat_train.network.psf_encoding import CHANNELS, SCALING, psf_numbers
from npecat_train.network.symmetry import SYMMETRIES
from npecat_train.network.tile_network import NetworkSize
from tests.helpers.wide_images import SIDE, odd_psf, wide_batch, wide_settings

SETTINGS = wide_settings(NetworkSize((4,), (4,), 8, 4, (1, 1), (1, 2)))


def stamps(*psfs):
    """PSFs as the network takes them."""
    return torch.tensor(np.stack(psfs), dtype=torch.float32)


def random_network():
    """A network that says something before any training."""
    torch.manual_seed(0)
    network = SETTINGS.build_network().eval()
    torch.nn.init.normal_(network.head.weight)
    return network


def family(n=200):
    """Gaussian to Moffat 2, FWHM of 1.5 to 7 pixels, |g| below 0.15."""
    generator = np.random.default_rng(0)
    for _ in range(n):
        width = np.exp(generator.uniform(np.log(1.5), np.log(7)))
        shape = 0.15 * np.sqrt(generator.random()) * np.exp(2j * np.pi * generator.random())
        beta = 1 / generator.uniform(0.02, 0.5)
        yield ParametricPsf("moffat", width, shape.real, shape.imag, beta).stamp(SIDE)


def test_numbers_of_a_psf_have_about_unit_spread():
    numbers = psf_numbers(stamps(*family()))
    assert numbers.dtype == torch.float32 and numbers.isfinite().all()
    vary = list(SCALING).index("offset x")
    assert numbers[:, :vary].mean(dim=0).abs().max() < 0.2
    spread = numbers[:, :vary].std(dim=0)
    assert spread.min() > 0.8 and spread.max() < 1.2
    assert numbers.abs().max() < 4


def test_numbers_tell_what_a_gaussian_is():
    """A wide one, on which the pixels have no effect."""
    sigma = 2.5
    psf = ParametricPsf("gaussian", 2.3548 * sigma, 0.1, 0.05).stamp(SIDE)
    raw = {
        name: float(value) * scale + centre
        for (name, (centre, scale)), value in zip(
            SCALING.items(), psf_numbers(stamps(psf))[0], strict=True
        )
    }
    variance = sigma**2 + 1 / 12
    g2 = 0.1**2 + 0.05**2
    assert raw["log area"] == pytest.approx(np.log(4 * np.pi * variance), abs=0.02)
    assert raw["log peak"] == pytest.approx(np.log(2), abs=0.02)
    assert raw["logit within 3"] == pytest.approx(np.log(np.expm1(9 / 2 / variance)), abs=0.1)
    assert raw["log kurtosis"] == pytest.approx(np.log(2), abs=0.05)
    assert raw["e1"] == pytest.approx(2 * 0.1 / (1 + g2), abs=0.01)
    assert raw["e2"] == pytest.approx(2 * 0.05 / (1 + g2), abs=0.01)
    assert all(abs(raw[f"{name} x"]) < 1e-3 for name in ("offset", "coma", "trefoil"))


def test_numbers_turn_by_their_spins():
    generator = np.random.default_rng(1)
    psf = odd_psf(3.0) * generator.uniform(0.5, 1.5, (SIDE, SIDE))
    numbers = psf_numbers(stamps(psf))[0]
    assert (numbers[-8:].abs() > 1e-3).all()  # all that turn are there
    row, column = np.indices((SIDE, SIDE))
    for index, symmetry in enumerate(SYMMETRIES):
        x, y = np.tensordot(symmetry, np.stack([column, row]) - SIDE // 2, axes=1) + SIDE // 2
        turned = np.empty_like(psf)
        turned[y, x] = psf
        expected = torch.empty_like(numbers)
        signs = torch.tensor(CHANNELS.sign[index], dtype=torch.float32)
        expected[CHANNELS.to[index]] = signs * numbers
        torch.testing.assert_close(psf_numbers(stamps(turned))[0], expected, rtol=0, atol=1e-4)


def test_matched_filter_is_the_sum_over_the_good_pixels():
    batch = wide_batch(3, size=48)
    filtered = inputs_of(batch, SETTINGS).pixel_maps[:, 2]
    precision = batch.electrons_per_nmgy.float()[:, None, None] / batch.backgrounds
    precision = precision * (batch.mask == 0)
    reach = SIDE // 2
    padded = [
        torch.nn.functional.pad(one, [reach] * 4) for one in (precision * batch.images, precision)
    ]
    for row, column in ((0, 0), (47, 3), (20, 30), (53 - 20, 11), (24, 47)):
        signal, weight = [one[:, row : row + SIDE, column : column + SIDE] for one in padded]
        total = (batch.psf * signal).sum(dim=(1, 2))
        noise = (batch.psf**2 * weight).sum(dim=(1, 2)).sqrt()
        expected = torch.asinh(total / noise / batch.noise_correlation / 3).float()
        torch.testing.assert_close(filtered[:, row, column], expected, rtol=1e-3, atol=1e-3)


def test_wider_filter_tells_galaxies_from_stars():
    psf = ParametricPsf("moffat", 3.0).stamp(SIDE)
    wide = ParametricPsf("moffat", 4.0).stamp(SIDE)
    batch = wide_batch(2, size=48)
    images = torch.zeros_like(batch.images)
    images[:, 4 : 4 + SIDE, 4 : 4 + SIDE] = 1e3 * batch.backgrounds.max() * stamps(psf, wide)
    batch = replace(batch, images=images, mask=0 * batch.mask, psf=stamps(psf, psf))
    star, galaxy = inputs_of(batch, SETTINGS).pixel_maps[:, 3, 24, 24]
    assert star < -0.1 and galaxy > star + 0.2


@pytest.mark.parametrize("width", [1.5, 3.0, 7.0])
def test_reference_is_the_flux_of_a_star(width):
    """Within some percent wherever the star is in its tile, and never less than about its noise."""
    batch = wide_batch(16, size=80)
    psf = ParametricPsf("moffat", width, beta=3.5).stamp(SIDE)
    images = torch.zeros_like(batch.images)
    for place in range(16):
        top, left = 40 + place // 4 - SIDE // 2, 40 + place % 4 - SIDE // 2
        images[place, top : top + SIDE, left : left + SIDE] = torch.tensor(1e5 * psf)
    batch = replace(batch, images=images, mask=0 * batch.mask, psf=stamps(*[psf] * 16))
    inputs = inputs_of(batch, SETTINGS)
    found = inputs.aperture_flux[:, 10, 10] / 1e5
    assert abs(found.mean() - 1) < 0.005 and found.std() < 0.06
    assert wide_inputs.aperture_shares(batch.psf).max() <= 1
    assert (inputs.aperture_flux[:, 0, 0] > 0).all()
    # In bfloat16, too, an isolated star has the same flux in every aperture: ratios tell it.
    names = list(wide_inputs.SCALING)
    for name in ("growth 3", "growth 5", "growth 7"):
        centre, scale = wide_inputs.SCALING[name]
        ratio = inputs.tile_maps[:, names.index(name), 10, 10] * scale + centre
        assert ratio.mean().abs() < 0.02


def test_wider_psf_has_a_wider_reference():
    chosen = []
    for width in (2.0, 5.0, 7.0):
        psf = stamps(ParametricPsf("moffat", width, beta=2.5).stamp(SIDE))
        fluxes = torch.arange(4.0)[None, :, None, None]
        chosen.append(float(wide_inputs._reference(fluxes, wide_inputs.aperture_shares(psf))))
    assert chosen[0] == 1 and chosen == sorted(chosen) and chosen[-1] == 3


def test_unit_of_flux_has_no_effect():
    batch = wide_batch(4)
    tenths = replace(
        batch,
        images=10 * batch.images,
        backgrounds=10 * batch.backgrounds,
        electrons_per_nmgy=batch.electrons_per_nmgy / 10,
        faint_flux=10 * batch.faint_flux,
    )
    model = TileModel(random_network(), SETTINGS)
    here, there = [model.posterior(one, in_float32=True) for one in (batch, tenths)]
    torch.testing.assert_close(here.source.logit, there.source.logit, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(10 * here.flux.median(), there.flux.median(), rtol=1e-3, atol=0)


def test_an_empty_sky_says_how_loud_it_is():
    """Correlated noise raises the level at which fluxes end, and its own map."""
    batch = wide_batch(2)
    batch = replace(batch, images=0 * batch.images)
    twice = replace(batch, noise_correlation=2 * batch.noise_correlation)
    quiet, loud = [inputs_of(one, SETTINGS) for one in (batch, twice)]
    torch.testing.assert_close(2 * quiet.aperture_flux, loud.aperture_flux)
    for name in ("log depth", "log noise correlation"):
        at = list(wide_inputs.SCALING).index(name)
        rise = (loud.tile_maps - quiet.tile_maps)[:, at] * wide_inputs.SCALING[name][1]
        torch.testing.assert_close(rise, torch.full_like(rise, 2.0).log())


def test_conditions_may_vary_from_tile_to_tile():
    batch = wide_batch(2)
    spread = {
        name: getattr(batch, name)[:, None, None].expand(-1, 20, 20)
        for name in CONDITIONS
        if getattr(batch, name).ndim == 1
    }
    plain, mapped = [inputs_of(one, SETTINGS) for one in (batch, replace(batch, **spread))]
    for name, tensor in vars(plain).items():
        torch.testing.assert_close(tensor, getattr(mapped, name))
    half = batch.noise_correlation[:, None, None] * torch.ones(2, 20, 20)
    half[:, :, 10:] *= 2
    louder = inputs_of(replace(batch, noise_correlation=half), SETTINGS)
    same, other = [(one.pixel_maps[:, 2, :, 40:].sinh()) for one in (plain, louder)]
    torch.testing.assert_close(same, 2 * other, rtol=1e-3, atol=1e-3)
    assert torch.equal(plain.pixel_maps[:, 2, :, :40], louder.pixel_maps[:, 2, :, :40])


def test_masked_pixels_tell_nothing():
    """Neither their light nor, where all are masked, their absence."""
    batch = wide_batch(2)
    strange = torch.where(batch.mask == 1, torch.full_like(batch.images, np.nan), batch.images)
    one, other = [inputs_of(b, SETTINGS) for b in (batch, replace(batch, images=strange))]
    for name, tensor in vars(one).items():
        assert torch.equal(tensor, getattr(other, name)), name
    nothing = inputs_of(replace(batch, mask=torch.ones_like(batch.mask)), SETTINGS)
    assert all(tensor.isfinite().all() for tensor in vars(nothing).values())
    assert nothing.pixel_maps[:, :4].abs().max() < 1e-3


def test_images_without_conditions_are_refused():
    batch = replace(wide_batch(2), density=None, mask=None)
    with pytest.raises(NpecatError, match="these images have no mask, density, which the network"):
        inputs_of(batch, SETTINGS)


def test_a_tile_sees_no_farther_than_stated():
    batch = wide_batch(1, size=4 * (2 * SETTINGS.reach + 7))
    batch = replace(batch, psf=torch.full((1, SIDE, SIDE), SIDE**-2.0))  # sees to its corners
    middle = SETTINGS.reach + 3
    model = TileModel(random_network(), SETTINGS)
    images = batch.images.clone()
    cut = 4 * (2 * SETTINGS.reach + 4)
    images[:, cut:] += 100
    changed = [
        model.posterior(one, in_float32=True).source.logit[0]
        for one in (batch, replace(batch, images=images))
    ]
    difference = (changed[0] - changed[1]).abs().amax(dim=1)
    assert difference[: middle + 1].max() < 1e-4 < difference[middle + SETTINGS.reach :].max()
    assert 4 * wide_inputs.FILTER_REACH >= SIDE // 2
