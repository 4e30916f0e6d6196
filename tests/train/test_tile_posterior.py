"""The posterior of the tiles: its width, its likelihood, its draws."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from npecat_train.data.batch import TrainingBatch
from npecat_train.model import image_losses, tile_posterior
from npecat_train.network.inputs import Standardisation, network_inputs
from npecat_train.network.tile_network import NetworkSize
from npecat_train.posterior.factors import FLUX, POSITION, SOURCE, TYPE
from npecat_train.posterior.tile_catalog import tile_catalog
from npecat_train.posterior.tile_posterior import TilePosterior, initial_outputs
from npecat_train.settings import RunSettings
from tests.helpers.survey_images import ENCODING


def empty_outputs(n_tiles=3):
    """Raw outputs of two images in which no tile holds a source."""
    out = torch.zeros(2, 8, n_tiles, n_tiles)
    out[:, 0] = -5.0
    return out


@pytest.mark.parametrize("flux", FLUX)
def test_output_is_as_wide_as_the_factors_declare(flux):
    factors = (SOURCE, POSITION, TYPE, FLUX[flux])
    width = len(initial_outputs(flux))
    assert width == sum(factor.n_outputs for factor in factors)
    raw = torch.randn(2, width, 3, 3, dtype=torch.float64, requires_grad=True)
    posterior = TilePosterior.from_raw(raw, flux)
    assert posterior.source.logit.shape == posterior.flux.median().shape == (2, 3, 3)
    one = torch.ones(2, 1)
    truth = tile_catalog(one, one, flux=one, is_galaxy=one.bool(), present=one.bool(), n_tiles=3)
    sum(posterior.negative_log_likelihood(truth).values()).sum().backward()
    assert raw.grad is not None and raw.grad[:, :, 0, 0].ne(0).all()  # every output is used
    for wrong in (width - 1, width + 1):
        with pytest.raises(RuntimeError):
            TilePosterior.from_raw(torch.zeros(2, wrong, 3, 3), flux)


def test_likelihood_counts_position_type_and_flux_only_where_a_source_is():
    posterior = TilePosterior.from_raw(empty_outputs(), "lognormal")
    nothing = torch.zeros(2, 1)
    empty = tile_catalog(
        nothing, nothing, flux=nothing, is_galaxy=nothing.bool(), present=nothing.bool(), n_tiles=3
    )
    loss = posterior.negative_log_likelihood(empty)
    assert loss["position"].eq(0).all() and loss["type"].eq(0).all() and loss["flux"].eq(0).all()
    assert loss["source"] == pytest.approx([9 * 0.006715] * 2, rel=1e-3)

    one = torch.ones(2, 1)
    full = tile_catalog(
        3 * one, 3 * one, flux=5 * one, is_galaxy=one.bool(), present=one.bool(), n_tiles=3
    )
    loss = posterior.negative_log_likelihood(full)
    tile = {
        name: value[:, 0, 0]
        for name, value in {
            "position": posterior.position.log_prob(full.x, full.y),
            "flux": posterior.flux.log_prob(full.flux),
        }.items()
    }
    assert torch.allclose(loss["position"], -tile["position"])
    assert torch.allclose(loss["flux"], -tile["flux"])
    assert torch.allclose(loss["type"], torch.tensor(2.0).log())


@pytest.mark.parametrize("flux", FLUX)
def test_likelihood_is_computed_in_single_precision_under_autocast(flux):
    standardisation = Standardisation((0.0,) * 6, (1.0,) * 6, 6.8, 0.2)
    size = NetworkSize((4,), (4,), 8, 4, (2,), (1,))
    settings = RunSettings(
        "psf_aware", "", ENCODING, standardisation, size, flux, 1, 16, "cosine", 1e-3, 0
    )
    torch.manual_seed(0)
    network = settings.build_network().eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    raw = []
    network.register_forward_hook(lambda _, __, output: raw.append(output))
    place = 40 * torch.rand(4, 1)
    batch = TrainingBatch(
        images=torch.randn(4, 40, 40),
        backgrounds=torch.full((4, 40, 40), 0.9),
        electrons_per_nmgy=torch.full((4,), 990.0),
        psf_parameters=torch.randn(4, 6),
        x=place - 0.5,
        y=place.flip(0) - 0.5,
        flux=torch.full((4, 1), 1000.0),
        is_galaxy=torch.zeros(4, 1, dtype=torch.bool),
        count=torch.ones(4),
    )
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        losses = image_losses(tile_posterior(network, batch, settings=settings), batch)
    inputs = network_inputs(
        batch.images,
        batch.backgrounds,
        electrons_per_nmgy=batch.electrons_per_nmgy,
        psf_parameters=batch.psf_parameters,
        standardisation=standardisation,
        use_psf=True,
    )
    posterior = TilePosterior.from_raw(raw[0].double(), flux)
    located = replace(posterior, flux=posterior.flux.times(inputs.aperture_flux.double()))
    exact = image_losses(located, batch)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert torch.allclose(loss.double(), exact[name], rtol=1e-5), name


@pytest.mark.parametrize("flux", FLUX)
def test_draws_follow_the_posterior(flux):
    torch.manual_seed(1)
    raw = torch.randn(2, len(initial_outputs(flux)), 2, 2, dtype=torch.float64)
    posterior = TilePosterior.from_raw(raw, flux)
    n = 4000
    draws = posterior.sample(n, torch.Generator().manual_seed(2))
    assert draws.present.shape == draws.flux.shape == (n, 2, 2, 2)

    def off(share, probability, number):
        """By how many standard deviations a share of so many draws misses its probability."""
        return (share - probability).abs() / (probability * (1 - probability) / number).sqrt()

    present = draws.present.double()
    assert off(present.mean(dim=0), posterior.source.probability, n).max() < 4
    galaxies = (draws.is_galaxy & draws.present).sum(dim=0) / present.sum(dim=0)
    assert off(galaxies, posterior.galaxy.probability, present.sum(dim=0)).max() < 4
    shares = {
        "x": posterior.position.x.cdf(draws.x),
        "y": posterior.position.y.cdf(draws.y),
        "flux": posterior.flux.cdf(draws.flux),
    }
    for name, share in shares.items():
        for tile in ((0, 0, 0), (1, 0, 1), (1, 1, 1)):
            of_tile = share[:, *tile][draws.present[:, *tile]].numpy()
            assert stats.kstest(of_tile, "uniform").pvalue > 1e-4, name


def test_draws_repeat_with_their_generator():
    posterior = TilePosterior.from_raw(torch.randn(1, 16, 3, 3), "mixture")
    first, again = [posterior.sample(5, torch.Generator().manual_seed(4)) for _ in range(2)]
    assert all(torch.equal(getattr(first, n), getattr(again, n)) for n in vars(first))
