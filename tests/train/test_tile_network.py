"""The network: what it is made of, what it sees and what it says before training."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from npecat.experiments.networks import CANDIDATES
from npecat_train.network.inputs import Standardisation, asinh, network_inputs
from npecat_train.network.tile_network import NETWORKS, ConvBlock
from npecat_train.posterior.tile_posterior import TilePosterior, initial_outputs
from npecat_train.settings import RunSettings
from tests.helpers.survey_images import ENCODING

STANDARD = Standardisation((1.0,) * 6, (2.0,) * 6, 6.8, 0.2)


def settings(variant="psf_aware", flux="lognormal", network="default") -> RunSettings:
    return RunSettings(
        variant,
        "digest",
        ENCODING,
        STANDARD,
        NETWORKS[network],
        flux,
        1,
        32,
        schedule="paper",
        learning_rate=1e-3,
        seed=0,
    )


@pytest.mark.parametrize(("name", "n_at_tiles"), [("default", 45), ("ancestor", 42)])
def test_48_blocks_most_at_tile_resolution_and_a_last_convolution(name, n_at_tiles):
    network = settings(network=name).build_network()
    blocks = [module for module in network.modules() if isinstance(module, ConvBlock)]
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(blocks) == 48 and len(convolutions) == 49
    sizes = []
    for block in blocks:
        block.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    network.eval()(torch.zeros(1, 2, 80, 80), torch.zeros(1, 10, 20, 20))
    assert sizes.count(20) == n_at_tiles


def test_wide_network_has_the_proportions_of_the_ancestor():
    """7.3 M parameters and 5.9 GMAC an image, 57 % of it in six full-resolution 5 x 5 layers."""
    network = settings(network="ancestor").build_network().eval()
    n_parameters = sum(weights.numel() for weights in network.parameters())
    assert n_parameters == pytest.approx(7.3e6, rel=0.02)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 2, 80, 80), torch.zeros(1, 10, 20, 20))
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    total = flops["Global"]
    assert total / 2e9 == pytest.approx(5.9, rel=0.03)
    full_resolution = sum(flops[f"TileNetwork.stem.{layer}"] for layer in range(6))
    assert full_resolution / total == pytest.approx(0.57, abs=0.03)


def test_context_reaches_forty_pixels():
    network = settings().build_network().eval()
    torch.nn.init.normal_(network.head.weight)
    pixels = torch.randn(1, 2, 160, 160, requires_grad=True)
    network(pixels, torch.zeros(1, 10, 40, 40))[0, :, 20, 20].sum().backward()
    assert pixels.grad is not None
    reached = pixels.grad[0].abs().sum(dim=0).nonzero()
    assert reached.min() <= 80 - 40 and reached.max() >= 84 + 40


@pytest.mark.parametrize(("flux", "n_outputs"), [("lognormal", 8), ("mixture", 16)])
def test_untrained_posterior_is_the_stated_one(flux, n_outputs):
    network = settings(flux=flux).build_network().requires_grad_(False)
    raw = network(torch.randn(2, 2, 80, 80), torch.randn(2, 10, 20, 20))
    assert raw.shape == (2, n_outputs, 20, 20)
    assert torch.allclose(raw[1, :, 3, 4], torch.tensor(initial_outputs(flux)))
    posterior = TilePosterior.from_raw(raw, flux)
    assert 3 < float(posterior.source.probability[0].sum()) < 5
    assert torch.allclose(posterior.position.x.mean(), torch.tensor(2.0), atol=1e-4)
    assert torch.allclose(posterior.flux.median(), torch.tensor(1.0), atol=1e-5)


def test_only_psf_aware_sees_the_psf():
    image = torch.randn(3, 80, 80)
    background = torch.full((3, 80, 80), 0.9)
    electrons, psf = torch.full((3,), 990.0), torch.rand(3, 6)
    for variant, n_maps in (("psf_aware", 10), ("psf_unaware", 4), ("single_field", 4)):
        run = settings(variant)
        inputs = network_inputs(
            image,
            background,
            electrons_per_nmgy=electrons,
            psf_parameters=psf,
            standardisation=STANDARD,
            use_psf=run.use_psf,
        )
        assert inputs.tile_maps.shape == (3, n_maps, 20, 20)
    inputs = network_inputs(
        image,
        background,
        electrons_per_nmgy=electrons,
        psf_parameters=psf,
        standardisation=STANDARD,
        use_psf=True,
    )
    assert torch.allclose(inputs.tile_maps[:, 4:, 7, 7], (psf - 1) / 2)


def test_inputs_are_in_noise_units():
    """The same sky noise in electrons gives the same input whatever the flux calibration."""
    electrons = torch.tensor([500.0, 2000.0])
    sky = torch.full((2, 80, 80), 900.0)  # electrons per pixel: sigma is 30 electrons
    signal = torch.full((2, 80, 80), 60.0)
    scale = electrons[:, None, None]
    inputs = network_inputs(
        signal / scale,
        sky / scale,
        electrons_per_nmgy=electrons,
        psf_parameters=torch.zeros(2, 6),
        standardisation=STANDARD,
        use_psf=False,
    )
    pixels, sky_maps = inputs.pixel_maps, inputs.tile_maps[:, 0]
    assert torch.allclose(pixels[0], pixels[1]) and torch.allclose(sky_maps[0], sky_maps[1])
    assert torch.allclose(pixels[0, 0], torch.asinh(torch.tensor(2.0)))
    assert torch.allclose(sky_maps[0], (torch.tensor(900.0).log() - 6.8) / 0.2, atol=1e-4)


def test_stretch_is_asinh_from_the_faintest_pixel_to_the_brightest():
    sizes = torch.logspace(-8, 6, 57)
    values = torch.cat([-sizes, torch.zeros(1), sizes])
    expected = torch.asinh(values.double()).float()
    torch.testing.assert_close(asinh(values), expected, rtol=3e-7, atol=0)


def test_apertures_hold_the_flux_around_each_tile():
    """Sums over boxes of 1, 3 and 5 tiles; at least about the noise where there is nothing."""
    images, background = torch.zeros(1, 80, 80), torch.full((1, 80, 80), 0.9)
    images[0, 33, 41] = 500.0  # in tile (8, 10)
    images[0, 60:64, 60:64] = -3.0  # tile (15, 15)
    electrons = torch.tensor([990.0])
    inputs = network_inputs(
        images,
        background,
        electrons_per_nmgy=electrons,
        psf_parameters=torch.zeros(1, 6),
        standardisation=STANDARD,
        use_psf=False,
    )
    fluxes = inputs.tile_maps[0, 1:].exp()
    assert torch.allclose(inputs.aperture_flux[0], fluxes[1])
    for aperture, reach in enumerate((0, 1, 2)):
        holds = fluxes[aperture] > 499
        rows, columns = holds.nonzero(as_tuple=True)
        assert (rows.min(), rows.max()) == (8 - reach, 8 + reach)
        assert (columns.min(), columns.max()) == (10 - reach, 10 + reach)
        assert torch.allclose(fluxes[aperture][holds], torch.tensor(500.0), rtol=1e-4)
        noise = (0.9 / 990 * (4 * (2 * reach + 1)) ** 2) ** 0.5
        assert torch.allclose(fluxes[aperture, 3, 3], torch.tensor(noise))
    assert 0 < fluxes[0, 15, 15] < 0.01 * (0.9 / 990 * 16) ** 0.5


@pytest.mark.parametrize("name", CANDIDATES)
def test_candidates_of_the_experiment_have_48_blocks_and_few_multiplications(name):
    size = CANDIDATES[name]
    assert size.n_blocks == 48
    run = replace(settings(), network=size)
    network = run.build_network().eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 2, 80, 80), torch.zeros(1, 10, 20, 20))
    assert counter.get_total_flops() / 2e9 < 0.6


def test_folded_network_says_the_same():
    torch.manual_seed(0)
    network = settings().build_network()
    torch.nn.init.normal_(network.head.weight)
    pixels, tiles = torch.randn(4, 2, 80, 80), torch.randn(4, 10, 20, 20)
    with torch.no_grad():
        for _ in range(3):
            network(pixels, tiles)  # statistics other than the initial ones
        expected = network.eval()(pixels, tiles)
        folded = network.for_inference()
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
        assert torch.allclose(folded(pixels, tiles), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kernel", [{"kernel": 3, "padding": 1}, {"kernel": 4, "stride": 2}])
def test_block_with_held_norm_is_convolution_norm_and_activation(kernel):
    """To the same gradients as when the three work one after another."""
    torch.manual_seed(0)
    block = ConvBlock(3, 5, **kernel)
    norm = block[1]
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            tensor.uniform_(0.5, 2)
        for tensor in (norm.bias, norm.running_mean):
            tensor.normal_()
    norm.eval()
    features = torch.randn(2, 3, 9, 9)
    weights = tuple(block.parameters())
    results = []
    for block.training in (True, False):
        out = block(features)
        results.append((out, *torch.autograd.grad(out.square().sum(), weights)))
    assert len(results[0]) == 4
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
