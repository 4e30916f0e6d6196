"""Planted posteriors, exact and wrong, as coverage and PIT see them."""

import numpy as np
import pytest
from scipy.special import ndtr

from npecat_eval.metrics.binned_means import resample
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST
from npecat_eval.metrics.bootstrap import value_and_sigma
from npecat_eval.metrics.calibration import (
    BY_TRUTH,
    EXPECTED_COUNT,
    LEVELS,
    TRUE_COUNT,
    Counts,
    Pits,
    calibration_means,
    count_means,
    count_slopes,
    p_values,
)

SPANS = {ALL: (-np.inf, 22.0), BRIGHTEST: (-np.inf, 18.0), FAINTEST: (21.5, 22.0)}


def toy_pits(seed: int, bias: float = 0.0, width: float = 1.0, n: int = 3000) -> np.ndarray:
    """Log fluxes Normal(0, 1) seen with unit noise: the posterior is Normal(data / 2, 1 / 2).

    bias: added to its mean, width: times its standard deviation, both in standard deviations.
    """
    generator = np.random.default_rng((41, seed))
    truth = generator.standard_normal(n)
    data = truth + generator.standard_normal(n)
    sigma = np.sqrt(0.5)
    return ndtr((truth - (data / 2 + bias * sigma)) / (width * sigma))


@pytest.mark.parametrize(
    ("fault", "seen_by"),
    [
        ({"bias": 0.15}, ("pit",)),
        ({"bias": 0.6}, ("pit", "coverage")),
        ({"width": 0.85}, ("pit", "coverage")),
        ({"width": 1.2}, ("pit", "coverage")),
    ],
    ids=str,
)
def test_wrong_posterior_is_always_flagged(fault, seen_by):
    for trial in range(20):
        p_value = p_values(toy_pits(trial, **fault))
        for name in seen_by:
            assert p_value[name] < 0.01, (trial, name)


def test_a_slight_bias_leaves_the_coverage():
    """It moves the truth off centre to one side, which coverage sees in second order only."""
    verdicts = [p_values(toy_pits(trial, bias=0.1)) for trial in range(20)]
    assert np.median([verdict["coverage"] for verdict in verdicts]) > 0.1
    assert np.median([verdict["pit"] for verdict in verdicts]) < 0.01


def test_exact_posterior_is_never_flagged():
    for trial in range(20):
        assert min(p_values(toy_pits(trial)).values()) > 0.01, trial


def test_no_source_no_verdict():
    assert np.isnan(list(p_values(np.empty(0)).values())).all()


def some_pits(pit: np.ndarray) -> Pits:
    n = len(pit)
    estimated = np.linspace(17, 23, n)
    return Pits("flux", "matched", np.arange(n) % 50, pit, estimated, estimated[::-1])


def test_coverage_and_histogram_of_known_pits():
    """PITs 0.03, 0.13 ... 0.93 in turn: a central interval of 50 % holds 0.33 to 0.73."""
    pits = some_pits(np.tile(np.arange(10) / 10 + 0.03, 600))
    series = {
        (s.label.metric, s.label.selection): s
        for s in resample(calibration_means(pits, SPANS, n_images=50))
    }
    overall = series["flux_coverage", ALL]
    np.testing.assert_array_equal(overall.low, LEVELS)
    held = [np.mean(abs(2 * np.arange(10) / 10 - 0.94) <= level) for level in LEVELS]
    np.testing.assert_allclose(overall.samples[0], held, atol=0.002)
    histogram = series["flux_pit", ALL]
    np.testing.assert_allclose(histogram.samples[0], [0.1, 0] * 10, atol=0.002)
    assert histogram.samples[0].sum() == pytest.approx(1)
    assert {s for _, s in series} == {ALL, BRIGHTEST, FAINTEST, *BY_TRUTH.values()}


def test_selections_are_by_estimate_and_by_truth():
    pits = some_pits(np.full(6000, 0.5))
    chosen = pits.select(SPANS)
    assert (pits.estimated[chosen[BRIGHTEST]] < 18).all()
    assert (pits.true[chosen[BY_TRUTH[BRIGHTEST]]] < 18).all()
    assert chosen[BRIGHTEST].sum() == pytest.approx(1000, abs=2)
    assert chosen[FAINTEST].sum() == pytest.approx(500, abs=2)
    assert not (chosen[FAINTEST] & chosen[BY_TRUTH[FAINTEST]]).any()


@pytest.fixture(scope="module")
def half_seen() -> Counts:
    """Poisson(2) sources that every image shows, and Poisson(1) that it does not."""
    generator = np.random.default_rng(43)
    seen, unseen = generator.poisson(2.0, 4000), generator.poisson(1.0, 4000)
    true = (seen + unseen).astype(np.float64)
    return Counts(FAINTEST, SPANS[FAINTEST], expected=seen + 1.0, true=true, countable=true)


def test_counts_of_an_exact_posterior(half_seen):
    """Of N sources 2/3 are seen on average, so N are expected to be 1 + 2 N / 3."""
    found = {(s.label.metric, s.label.axis): s for s in resample(count_means(half_seen))}
    for metric, axis, number, exact in (
        (EXPECTED_COUNT, TRUE_COUNT, np.arange(10), 1 + 2 * np.arange(10) / 3),
        (TRUE_COUNT, EXPECTED_COUNT, np.arange(2, 8), np.arange(2, 8)),
    ):
        means, numbers = found[metric, axis], found[axis, axis]
        rows = np.searchsorted(means.low, number, side="right") - 1
        np.testing.assert_array_equal(numbers.samples[0, rows], number)
        value, sigma = value_and_sigma(means.samples[:, rows])
        assert (np.abs(value - exact) <= 4 * sigma).all()
        assert (sigma < 0.5).all()
        assert means.count.sum() == 4000
    assert found["count_ratio", "none"].samples[0] == pytest.approx(1, abs=0.02)


def test_crowded_images_share_bins():
    true = np.arange(61.0)
    crowded = Counts(ALL, SPANS[ALL], expected=true + 0.2, true=true, countable=true)
    means = {(m.label.metric, m.label.axis): m for m in count_means(crowded)}
    for axis, width in ((TRUE_COUNT, 3.0), (EXPECTED_COUNT, 1.5)):
        of_axis = means[axis, axis]
        np.testing.assert_allclose(of_axis.high - of_axis.low, width)
        assert of_axis.count.sum() == len(true)
        at = of_axis.total.sum(axis=0) / of_axis.count.sum(axis=0)
        assert ((of_axis.low <= at) & (at < of_axis.high)).all()


def test_slopes_of_an_exact_posterior(half_seen):
    exact = {"expected_count_slope": 2 / 3, "true_count_slope": 1.0}
    for series in count_slopes(half_seen):
        value, sigma = value_and_sigma(series.samples)
        assert value == pytest.approx(exact.pop(series.label.metric), abs=3 * sigma[0])
        assert 0.003 < sigma < 0.03
        assert series.label.selection == FAINTEST
    assert not exact
