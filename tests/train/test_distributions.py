"""Densities of the tile posterior: normalised, stable in the tails, consistent with themselves."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import Bernoulli, concatenate
from npecat_train.posterior.factors import FLUX_SCALE, POSITION_SCALE
from npecat_train.posterior.log_normal import LogNormal, LogNormalMixture
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal, TruncatedNormal

LOCS = (-4.0, -0.2, 0.0, 1.9, 2.0, 4.1, 8.0)
SCALES = (POSITION_SCALE[0], 0.02, 0.5, 3.0, POSITION_SCALE[1])
LEVELS = (1e-3, 0.025, 0.16, 0.5, 0.84, 0.975, 0.999)


def truncated(loc, scale, dtype=torch.float64) -> TruncatedNormal:
    loc, scale = torch.broadcast_tensors(
        torch.as_tensor(loc, dtype=dtype), torch.as_tensor(scale, dtype=dtype)
    )
    return TruncatedNormal(loc, scale, torch.zeros_like(loc), torch.full_like(loc, TILE_SIZE))


def log_normal(loc, scale) -> LogNormal:
    return LogNormal(torch.tensor(loc, dtype=torch.float64), torch.tensor(scale).double())


def mixture(logit, loc, scale) -> LogNormalMixture:
    return LogNormalMixture(*(torch.tensor(part).double() for part in (logit, loc, scale)))


POSITIONS = {f"truncated {loc} {s}": truncated(loc, s) for loc in LOCS for s in SCALES}
FLUXES = {
    "log-normal": log_normal(2.0, 0.3),
    "narrowest log-normal": log_normal(7.0, FLUX_SCALE[0]),
    "wide log-normal": log_normal(-1.0, 2.0),
    "core and tails": mixture([1.0, 0.0, -2.0], [2.0, 2.1, 2.5], [0.01, 0.2, 0.8]),
    "far apart": mixture([0.0, 0.0], [0.0, 6.0], [0.1, 0.1]),
    "one of three": mixture([0.0, -60.0, -60.0], [1.0, 1.0, 9.0], [FLUX_SCALE[0], 0.1, 5.0]),
}
ALL = POSITIONS | FLUXES


NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def expectation(distribution, function, upto=math.inf) -> float:
    """The integral of a function times the density over values up to a limit.

    Quadrature over pieces that end where the density changes its pace; of fluxes over their log.
    """
    of_flux = not isinstance(distribution, TruncatedNormal)
    if of_flux:
        in_scales = np.array([-8, -3, -1, 0, 1, 3, 8, 12])[:, None]
        at = np.exp(distribution.loc.numpy() + in_scales * distribution.scale.numpy()).ravel()
    else:
        # Beyond its edge a tail falls as an exponential of this length.
        loc, scale = float(distribution.loc), float(distribution.scale)
        outside = max(-loc, loc - TILE_SIZE, 0.0)
        length = scale / max(outside / scale, 1.0)
        at = float(distribution.mode()) + length * np.array([-40, -8, -3, 0, 3, 8, 40])
        at = np.clip([0.0, *at, TILE_SIZE], 0.0, TILE_SIZE)
    at = np.unique([*at[at < upto], min(upto, at.max())])
    edges = torch.tensor(np.log(at) if of_flux else at)
    half = edges.diff()[:, None] / 2
    variable = edges[:-1, None] + half * (1 + torch.tensor(NODES))
    value = variable.exp() if of_flux else variable
    density = distribution.log_prob(value).exp() * (value if of_flux else 1.0)
    return float((half * torch.tensor(WEIGHTS) * density * function(value)).sum())


@pytest.mark.parametrize("name", ALL)
def test_density_integrates_to_one_and_to_its_mean(name):
    distribution = ALL[name]
    assert expectation(distribution, torch.ones_like) == pytest.approx(1, abs=1e-6)
    mean = float(distribution.mean())
    assert expectation(distribution, lambda value: value) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_cdf_is_the_integral_of_the_density_and_the_inverse_of_the_quantile(name):
    distribution = ALL[name]
    values = distribution[None].quantile(torch.tensor(LEVELS, dtype=torch.float64))
    assert distribution[None].cdf(values).numpy() == pytest.approx(LEVELS, abs=1e-4)
    assert float(distribution.median()) == pytest.approx(float(values[LEVELS.index(0.5)]))
    for level, value in zip(LEVELS, values, strict=True):
        below = expectation(distribution, torch.ones_like, upto=float(value))
        assert below == pytest.approx(level, abs=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_density_is_highest_at_the_mode(name):
    distribution = ALL[name]
    levels = torch.linspace(1e-6, 1 - 1e-6, 2001, dtype=torch.float64)
    density = distribution[None].log_prob(distribution[None].quantile(levels))
    assert float(distribution.log_prob(distribution.mode())) >= float(density.max()) - 1e-4


@pytest.mark.parametrize("name", ALL)
def test_samples_follow_the_cdf(name):
    generator = torch.Generator().manual_seed(3)
    draws = ALL[name].sample(4000, generator)
    share = ALL[name].cdf(draws).numpy()
    assert stats.kstest(share, "uniform").pvalue > 1e-4


def test_samples_of_other_parameters_would_be_noticed():
    draws = FLUXES["core and tails"].sample(4000, torch.Generator().manual_seed(3))
    other = mixture([0.5, 0.0, -2.0], [2.0, 2.1, 2.5], [0.01, 0.2, 0.8])
    assert stats.kstest(other.cdf(draws).numpy(), "uniform").pvalue < 1e-6


@pytest.mark.parametrize("loc", [-1.0, -0.2, 1.9, 4.0, 6.0])
@pytest.mark.parametrize("scale", [0.2, 0.5, 3.0])
def test_truncated_normal_agrees_with_scipy(loc, scale):
    reference = stats.truncnorm(-loc / scale, (TILE_SIZE - loc) / scale, loc, scale)
    ours = truncated(loc, scale)
    value = torch.tensor([0.01, 1.0, 3.9], dtype=torch.float64)
    assert ours.log_prob(value).numpy() == pytest.approx(reference.logpdf(value), rel=1e-9)
    assert float(ours.mean()) == pytest.approx(reference.mean(), abs=1e-7)
    assert float(ours.std()) == pytest.approx(reference.std(), rel=1e-4)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    assert ours.quantile(levels).numpy() == pytest.approx(reference.ppf(LEVELS), abs=1e-7)


def test_log_normal_agrees_with_scipy():
    reference = stats.lognorm(0.3, scale=2.0)
    ours = log_normal(math.log(2.0), 0.3)
    value = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    assert ours.log_prob(value).numpy() == pytest.approx(reference.logpdf(value), rel=1e-6)
    assert float(ours.median()) == pytest.approx(reference.median())
    assert float(ours.mean()) == pytest.approx(reference.mean(), rel=1e-6)


def test_tails_of_the_truncated_normal_are_exact_in_single_precision():
    """Far outside, the density falls as an exponential of length scale^2 / distance."""
    loc = torch.tensor([-4.0, 8.0, -4.0, 8.0], requires_grad=True)
    scale = torch.tensor([0.03, 0.03, 5e-4, 5e-4], requires_grad=True)
    distribution = truncated(loc, scale, torch.float32)
    length = (scale**2 / 4).detach()
    depth = torch.tensor([2.0, 2.0, 2.0, 0.0])  # near 4, a float resolves 1e-7 only
    edge = torch.tensor([0.0, TILE_SIZE, 0.0, TILE_SIZE])
    log_prob = distribution.log_prob(edge - depth * length * torch.tensor([-1, 1, -1, 1]))
    assert torch.allclose(log_prob, -length.log() - depth, atol=2e-3)
    assert torch.allclose(distribution.std(), length, rtol=1e-3)
    assert torch.allclose(distribution.mean(), edge, atol=1e-3)
    log_prob.sum().backward()
    for gradient in (loc.grad, scale.grad):
        assert gradient is not None and gradient.isfinite().all()


@pytest.mark.parametrize("loc", LOCS)
@pytest.mark.parametrize("scale", SCALES)
def test_single_precision_equals_double(loc, scale):
    value = torch.linspace(0, TILE_SIZE, 41, dtype=torch.float64)
    exact = truncated(loc, scale).log_prob(value)
    single = truncated(loc, scale, torch.float32).log_prob(value.float())
    assert torch.allclose(single.double(), exact, rtol=2e-5, atol=2e-3)


def test_losses_and_gradients_of_hopeless_values_stay_finite_in_single_precision():
    raw = torch.tensor([[0.0, 0.0], [0.0, 12.0], [2e-4, 1e-3]], requires_grad=True)
    far = torch.tensor([1184.0, 0.63])
    for flux in (LogNormal(raw[0], raw[2]), LogNormalMixture(raw[:2, None], raw[:2], raw[2:])):
        log_prob = flux.log_prob(far[: flux.loc.shape[0]])
        (gradient,) = torch.autograd.grad(log_prob.sum(), raw)
        assert log_prob.isfinite().all() and gradient.isfinite().all()


def test_gradients_of_the_densities():
    def leaf(*values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    value = torch.tensor([0.1, 2.2, 3.0, 0.3], dtype=torch.float64)
    loc, scale = leaf(-1.0, 2.0, 6.0, 9.0), leaf(0.3, 0.7, 1.5, 0.02)
    assert torch.autograd.gradcheck(lambda m, s: truncated(m, s).log_prob(value), (loc, scale))
    assert torch.autograd.gradcheck(lambda m, s: LogNormal(m, s).log_prob(value), (loc, scale))
    assert torch.autograd.gradcheck(
        lambda w, m, s: LogNormalMixture(w, m, s).log_prob(value),
        (leaf(0.3, -1.0, 0.0), leaf(-1.0, 1.0, 0.5), leaf(0.3, 0.7, 1.5)),
    )
    outcome = value > 1
    assert torch.autograd.gradcheck(lambda logit: Bernoulli(logit).log_prob(outcome), (loc,))


def test_quantile_levels_of_their_own_for_each_element():
    flux = concatenate([FLUXES["core and tails"][None], FLUXES["one of three"][None]])
    levels = torch.tensor([[0.1, 0.9], [0.6, 0.2]], dtype=torch.float64)
    assert torch.allclose(flux.cdf(flux.quantile(levels)), levels, atol=1e-4)


def test_bernoulli():
    coin = Bernoulli(torch.tensor([-2.0, 0.0, 3.0]))
    p = 1 / (1 + math.exp(2))
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    assert torch.allclose(coin.log_prob(yes).exp() + coin.log_prob(no).exp(), torch.ones(3))
    assert float(coin.log_prob(yes)[0]) == pytest.approx(math.log(p))
    assert coin.mode().tolist() == [False, False, True]
    assert coin.cdf(no)[0] == pytest.approx(1 - p) and coin.cdf(yes).eq(1).all()
    assert coin.quantile(1 - p - 0.01)[0].item() is False
    assert coin.quantile(1 - p + 0.01)[0].item() is True
    draws = coin.sample(20_000, torch.Generator().manual_seed(1))
    share = draws.float().mean(dim=0)
    assert (share - coin.probability).abs().max() < 5 * 0.5 / math.sqrt(20_000)


def test_bivariate_normal_is_the_product_of_its_coordinates():
    both = TruncatedBivariateNormal(truncated([1.0, 5.0], 0.5), truncated([2.0, -1.0], 2.0))
    x, y = torch.tensor([0.5, 3.9]), torch.tensor([3.0, 0.1])
    assert torch.equal(both.log_prob(x, y), both.x.log_prob(x) + both.y.log_prob(y))
    assert torch.equal(both[1].y.mean(), both.y.mean()[1])
    joined = concatenate([both[:1], both[1:]])
    assert torch.equal(joined.log_prob(x, y), both.log_prob(x, y))


def test_shifted_position():
    here = truncated([1.0, 5.0], 0.5)
    there = here.shifted(torch.tensor([100.0, 8.0]))
    assert torch.allclose(there.mean() - here.mean(), torch.tensor([100.0, 8.0]).double())
    assert torch.allclose(
        there.cdf(torch.tensor([101.2, 11.0])), here.cdf(torch.tensor([1.2, 3.0]))
    )


@pytest.mark.parametrize("name", FLUXES)
def test_times_a_number(name):
    distribution = FLUXES[name]
    value = distribution.quantile(0.3)
    tripled = distribution.times(torch.tensor(3.0, dtype=torch.float64))
    assert torch.allclose(tripled.cdf(3 * value), distribution.cdf(value))
    assert torch.allclose(tripled.median(), 3 * distribution.median())
