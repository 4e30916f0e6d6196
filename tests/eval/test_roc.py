"""ROC curves and areas against the counting that defines them."""

import numpy as np
import pytest

from npecat_eval.metrics.roc import GRID, resampled_roc


def test_area_counts_pairs_and_ties_half():
    generator = np.random.default_rng(1)
    score = np.round(generator.random(60), 1)  # many ties
    galaxy = generator.random(60) < 0.5
    area, _ = resampled_roc(np.arange(60), score, is_galaxy=galaxy, n_images=60)
    above = score[galaxy][:, None] - score[~galaxy]
    assert area[0] == pytest.approx(np.mean((above > 0) + 0.5 * (above == 0)))


def test_curve_of_a_known_separation():
    """Stars uniform, galaxies the square root of it: 1 - (1 - rate)^2 of them lie above."""
    generator = np.random.default_rng(2)
    galaxy = np.arange(40_000) % 2 == 0
    score = generator.random(40_000)
    score[galaxy] **= 0.5
    area, curve = resampled_roc(np.arange(40_000) // 400, score, is_galaxy=galaxy, n_images=100)
    np.testing.assert_allclose(curve[0], 1 - (1 - GRID) ** 2, atol=0.015)
    assert area[0] == pytest.approx(2 / 3, abs=0.01)
    assert 0 < area[1:].std() < 0.01


@pytest.mark.parametrize(("flip", "area"), [(False, 1.0), (True, 0.0)])
def test_perfect_and_perverse(flip, area):
    galaxy = np.arange(10) < 4
    found, curve = resampled_roc(
        np.arange(10), (galaxy != flip) * 1.0, is_galaxy=galaxy, n_images=10
    )
    assert found[0] == area
    assert curve[0, 0] == area


@pytest.mark.filterwarnings("error")
def test_one_kind_alone_has_no_area():
    for galaxy in (np.zeros(0, dtype=bool), np.ones(3, dtype=bool)):
        area, curve = resampled_roc(
            np.arange(len(galaxy)), 0.5 * galaxy, is_galaxy=galaxy, n_images=3
        )
        assert np.isnan(area[0])
        assert len(curve) == len(area)
