"""Densities of the tile posterior: normalised, stable in the tails, with the right gradients."""

import pytest
import torch
from scipy import stats

from npecat_train.distributions import LogNormal, TruncatedNormal
from npecat_train.network import TILE_SIZE

LOCS = (-6.0, -0.2, 1.9, 4.0, 9.0)
SCALES = (0.02, 0.5, 3.0)


def truncated(loc: float, scale: float) -> TruncatedNormal:
    return TruncatedNormal(
        torch.tensor(loc, dtype=torch.float64),
        torch.tensor(scale, dtype=torch.float64),
        0.0,
        TILE_SIZE,
    )


@pytest.mark.parametrize("loc", LOCS)
@pytest.mark.parametrize("scale", SCALES)
def test_truncated_normal_integrates_to_one_over_the_tile(loc, scale):
    edges = torch.linspace(0, TILE_SIZE, 4_000_001, dtype=torch.float64)
    density = truncated(loc, scale).log_prob(edges).exp()
    assert torch.trapezoid(density, edges).item() == pytest.approx(1, abs=5e-5)


@pytest.mark.parametrize("loc", LOCS)
@pytest.mark.parametrize("scale", SCALES[1:])
def test_truncated_normal_agrees_with_scipy(loc, scale):
    reference = stats.truncnorm(-loc / scale, (TILE_SIZE - loc) / scale, loc, scale)
    ours = truncated(loc, scale)
    value = torch.tensor([0.01, 1.0, 3.9], dtype=torch.float64)
    assert ours.log_prob(value).numpy() == pytest.approx(reference.logpdf(value), rel=1e-9)
    assert ours.mean().item() == pytest.approx(reference.mean(), abs=1e-6)


def test_far_tails_stay_finite_in_single_precision():
    distribution = TruncatedNormal(
        torch.tensor([-4.0, 8.0], requires_grad=True), torch.tensor([0.03, 0.03]), 0.0, TILE_SIZE
    )
    log_prob = distribution.log_prob(torch.tensor([0.001, 3.999]))
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and (log_prob > 0).all()
    assert distribution.loc.grad is not None and distribution.loc.grad.isfinite().all()


def test_gradients_of_the_densities():
    loc = torch.tensor([-1.0, 2.0, 6.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.3, 0.7, 1.5], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([0.1, 2.2, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda m, s: TruncatedNormal(m, s, 0.0, TILE_SIZE).log_prob(value), (loc, scale)
    )
    assert torch.autograd.gradcheck(lambda m, s: LogNormal(m, s).log_prob(value), (loc, scale))


def test_log_normal_agrees_with_scipy():
    reference = stats.lognorm(0.3, scale=2.0)
    ours = LogNormal(torch.tensor(2.0, dtype=torch.float64).log(), torch.tensor(0.3).double())
    value = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    assert ours.log_prob(value).numpy() == pytest.approx(reference.logpdf(value), rel=1e-6)
    assert ours.median().item() == pytest.approx(reference.median())
