"""The exact posterior of single sources: as wide as the Cramer-Rao bound allows, and right."""

import numpy as np
import pytest

from npecat_eval.baselines import nested_sampling as exact_posterior
from npecat_eval.baselines.nested_sampling import ExactPosterior
from npecat_eval.metrics.bound import relative_flux_sigma
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.store.reader import Batch


def test_quantiles_are_weighted():
    exact = ExactPosterior(np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.5, 0.3]), 0.5)
    assert [exact.flux_quantile(q) for q in (0.1, 0.49, 0.6, 0.95, 1.0)] == [1, 1, 2, 3, 3]


def find_source(galaxy: bool) -> tuple[Batch, int]:
    """An image whose source of 10 to 50 nanomaggies is of a type and far from its neighbours."""
    for index in range(200):
        one = simulate_images(SINGLE_FIELD, 3, split="test", indices=range(index, index + 1))
        sources = one.catalog.sources(0)
        place = np.column_stack([sources["x"], sources["y"]])
        apart = np.linalg.norm(place[:, None] - place, axis=2) + 99 * np.eye(len(place))
        inside = (np.abs(place - 39.5) < 25).all(axis=1)
        good = inside & (sources["flux"] > 10) & (sources["flux"] < 50)
        good &= (sources["is_galaxy"] == galaxy) & (apart.min(axis=1, initial=99) > 15)
        if good.any():
            return one, int(np.flatnonzero(good)[0])
    raise AssertionError("no such source")


@pytest.mark.parametrize("galaxy", [False, True])
def test_posterior_holds_the_truth_and_is_no_wider_than_need_be(monkeypatch, galaxy):
    monkeypatch.setattr(exact_posterior, "LIVE_POINTS", 60)
    one, source = find_source(galaxy)
    exact = exact_posterior.exact_posterior(one, source, seed=0)
    assert exact.weight.sum() == pytest.approx(1)
    assert (exact.prob_galaxy > 0.9) == galaxy and (exact.prob_galaxy < 0.1) != galaxy
    low, middle, high = [exact.flux_quantile(q) for q in (0.16, 0.5, 0.84)]
    width, least = np.log(high / low) / 2, relative_flux_sigma(one, 0)[source]
    true = one.catalog.sources(0)["flux"][source]
    assert abs(np.log(middle / true)) < 3 * width
    # A star's place and flux hardly depend on each other; a galaxy's shape and flux do.
    limits = (1.0, 15.0) if galaxy else (0.85, 1.25)
    assert limits[0] < width / least < limits[1]
