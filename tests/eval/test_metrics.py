"""Metrics of catalogs whose right answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from npecat_eval.catalog.detections import Detections
from npecat_eval.metrics.binned_means import Label, mean_of, resample
from npecat_eval.metrics.bins import (
    MAGNITUDE,
    MAGNITUDE_LIMIT,
    N_BINS,
    NONE,
    SNR,
    Bins,
    magnitude_bins,
)
from npecat_eval.metrics.bootstrap import (
    image_weights,
    quotient,
    resampled_quantiles,
    resampled_totals,
    value_and_sigma,
)
from npecat_eval.metrics.matched import MatchedCatalog
from npecat_eval.metrics.point_metrics import f1, flux_ratio_series, measurement_means
from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.reliability import detection_reliability
from npecat_eval.metrics.table import TRUTH, evaluate
from npecat_sim.errors import NpecatError
from npecat_sim.model.catalog import COLUMNS, Catalog
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.units import flux_of_magnitude, magnitude

HALVES = Bins(MAGNITUDE, np.linspace(17.0, 22.0, N_BINS + 1))  # bins of half a magnitude


def catalog(sources: list[list[tuple[float, float, float, bool]]]) -> Catalog:
    """A catalog from rows (x, y, magnitude, is_galaxy), one list an image."""
    count = np.array([len(rows) for rows in sources], dtype=np.int32)
    columns = {column.name: np.zeros((len(count), 20), dtype=column.dtype) for column in COLUMNS}
    for image, rows in enumerate(sources):
        for row, (x, y, mag, is_galaxy) in enumerate(rows):
            values = {"x": x, "y": y, "flux": flux_of_magnitude(mag), "is_galaxy": is_galaxy}
            for name, value in values.items():
                columns[name][image, row] = value
    return Catalog(count, columns)


def detections(rows: list[tuple[int, float, float, float, float]]) -> Detections:
    """Detections from rows (image, x, y, magnitude, prob_galaxy)."""
    image, x, y, mag, prob_galaxy = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    flux = flux_of_magnitude(mag)
    return Detections(image.astype(np.int64), x, y, flux, *np.ones((2, len(x))), prob_galaxy)


def perfect(truth: Catalog) -> Detections:
    table = truth.flat()
    x, y, flux, galaxy = [
        table[name].astype(np.float64) for name in ("x", "y", "flux", "is_galaxy")
    ]
    return Detections(table["image"], x, y, flux, *np.ones((2, len(x))), galaxy)


def binned(name: str, truth: Catalog, found: Detections) -> tuple[np.ndarray, np.ndarray]:
    """(total, count) of a metric in each bin of HALVES, over all images."""
    means = measurement_means(MatchedCatalog.of(truth, found), [HALVES])
    mean = next(m for m in means if m.label.metric == name and m.label.axis == MAGNITUDE)
    return mean.total.sum(axis=0), mean.count.sum(axis=0)


def plain(table: Table) -> dict[str, float]:
    """The overall numbers of a table by metric."""
    rows = table[(table["axis"] == NONE) & (table["selection"] == "all")]
    return dict(zip(rows["metric"], rows["value"], strict=True))


def only(bin_index: int, value: float = 1.0) -> np.ndarray:
    result = np.zeros(N_BINS)
    result[bin_index] = value
    return result


PERFECT = {"precision": 1, "recall": 1, "f1": 1, "star_galaxy_accuracy": 1, "auc": 1}
ZERO = ("flux_error_percent", "position_error_pixel", "flux_bias_percent", "flux_scatter_percent")


def test_perfect_catalog():
    truth = CatalogPrior().draw(3, "test", indices=range(300))
    truth["snr"][:] = truth["flux"]
    table = evaluate(
        Truth(truth), {"perfect": Prediction(perfect(truth))}, bound=None, test_set="planted"
    )
    assert plain(table) == PERFECT | dict.fromkeys(ZERO, 0)
    along = table[(table["axis"] == MAGNITUDE) | (table["axis"] == SNR)]
    expected = np.where(np.isin(along["metric"], ZERO), 0.0, 1.0)
    np.testing.assert_array_equal(along["value"], expected)
    np.testing.assert_array_equal(along["sigma"], 0.0)
    assert set(along["metric"][along["axis"] == SNR]) == (set(PERFECT) | set(ZERO)) - {
        "precision",
        "f1",
        "auc",
    }
    bright = np.sum(magnitude(truth.flat()["flux"]) < MAGNITUDE_LIMIT)
    overall = table[(table["axis"] == NONE) & (table["selection"] == "all")]
    np.testing.assert_array_equal(overall["n"], bright)
    assert along["n"][along["metric"] == "recall"].sum() == 2 * bright


def test_nothing_detected():
    truth = CatalogPrior().draw(3, "test", indices=range(50))
    truth["snr"][:] = truth["flux"]
    values = plain(
        evaluate(
            Truth(truth), {"blind": Prediction(detections([]))}, bound=None, test_set="planted"
        )
    )
    assert values.pop("recall") == 0
    assert set(values) == (set(PERFECT) | set(ZERO)) - {"recall"}
    assert np.isnan(list(values.values())).all()


def test_edges_share_true_sources_equally():
    mag = np.random.default_rng(5).uniform(15, 23, 8000)
    edges = magnitude_bins(mag).edges
    assert edges[0] == mag.min() and edges[-1] == MAGNITUDE_LIMIT
    counts = np.histogram(mag, edges)[0]
    assert counts.sum() == np.sum(mag < MAGNITUDE_LIMIT)
    assert np.ptp(counts) <= 1
    with pytest.raises(NpecatError, match="no source brighter"):
        magnitude_bins(np.array([22.5]))


def test_bin_holds_its_lower_edge():
    at = np.array([17.5, 21.999, 22.0, np.nan])
    mean = mean_of(
        Label("any"), HALVES, image=np.zeros(4, dtype=int), at=at, value=np.ones(4), n_images=1
    )
    np.testing.assert_array_equal(mean.count[0], only(1) + only(9))


def test_precision_by_estimated_magnitude():
    """The truth is in bin 1, the estimate in bin 6; a false detection is in bin 3."""
    truth = catalog([[(10, 10, 17.75, False)]])
    found = detections([(0, 10, 10, 20.25, 0), (0, 50, 50, 18.75, 0)])
    total, count = binned("precision", truth, found)
    np.testing.assert_array_equal(total, only(6))
    np.testing.assert_array_equal(count, only(6) + only(3))


def test_recall_by_true_magnitude():
    truth = catalog([[(10, 10, 17.75, False), (30, 30, 17.6, True)], [(5, 5, 22.3, True)]])
    found = detections([(0, 10, 10, 20.25, 0), (1, 5, 5, 21.9, 0)])
    total, count = binned("recall", truth, found)
    np.testing.assert_array_equal(total, only(1))
    np.testing.assert_array_equal(count, only(1, 2))


def test_match_with_a_source_beyond_the_limit_counts_as_true():
    truth = catalog([[(10, 10, 22.3, False)]])
    total, count = binned("precision", truth, detections([(0, 10.2, 10, 21.9, 0)]))
    np.testing.assert_array_equal(total, only(9))
    np.testing.assert_array_equal(count, only(9))


def test_faint_detection_makes_a_bright_source_recalled():
    truth = catalog([[(10, 10, 21.9, False)]])
    found = detections([(0, 10, 10, 22.2, 0)])
    np.testing.assert_array_equal(binned("recall", truth, found)[0], only(9))
    np.testing.assert_array_equal(binned("precision", truth, found)[1], np.zeros(N_BINS))


def test_estimate_brighter_than_all_truth_is_in_the_first_bin():
    truth = catalog([[(10, 10, 17.2, False)]])
    total, _ = binned("precision", truth, detections([(0, 10, 10, 12.0, 0)]))
    np.testing.assert_array_equal(total, only(0))


def test_accuracy_on_matched_pairs():
    """Right galaxy and wrong star in bin 1, right star in bin 4; the missed one does not count."""
    truth = catalog(
        [[(10, 10, 17.7, True), (30, 30, 17.7, False), (50, 50, 19.2, False), (70, 70, 19.2, True)]]
    )
    found = detections(
        [
            (0, 10, 10, 17.7, 0.51),
            (0, 30, 30, 20.0, 0.9),
            (0, 50, 50, 19.2, 0.49),
            (0, 60, 9, 18, 1),
        ]
    )
    total, count = binned("star_galaxy_accuracy", truth, found)
    np.testing.assert_array_equal(total, only(1) + only(4))
    np.testing.assert_array_equal(count, only(1, 2) + only(4))


def test_flux_error_is_relative_to_the_truth():
    """+50 % and -20 % of the truth in one bin: a mean of 35 %."""
    truth = catalog([[(10, 10, 20.2, True), (30, 30, 20.2, False)]])
    found = perfect(truth)
    found.flux[:] *= [1.5, 0.8]
    total, count = binned("flux_error_percent", truth, found)
    np.testing.assert_allclose(total / np.maximum(count, 1), only(6, 35.0))


def test_f1():
    truth = catalog([[(10, 10, 20.2, True), (30, 30, 20.2, False), (50, 50, 19.9, False)]])
    found = detections([(0, 10, 10, 20.2, 1), (0, 70, 70, 20.2, 1)])  # precision 1/2, recall 1/3
    series = resample(measurement_means(MatchedCatalog.of(truth, found), []))
    assert f1(series).samples[0, 0] == pytest.approx(0.4)


def test_bias_and_scatter_of_flux():
    """A known log-normal error: its median, and half its central 68.3 %."""
    truth = CatalogPrior().draw(4, "test", indices=range(3000))
    found = perfect(truth)
    found.flux[:] *= 1.1 * np.exp(0.2 * np.random.default_rng(4).standard_normal(len(found)))
    series = flux_ratio_series(MatchedCatalog.of(truth, found), [])
    (bias, bias_sigma), (scatter, scatter_sigma) = [value_and_sigma(s.samples) for s in series]
    assert bias[0] == pytest.approx(10, abs=4 * bias_sigma[0])
    assert scatter[0] == pytest.approx(110 * np.sinh(0.2), abs=4 * scatter_sigma[0])
    n = series[0].count[0]
    assert bias_sigma[0] == pytest.approx(110 * 0.2 * np.sqrt(np.pi / 2 / n), rel=0.25)


def test_resampled_quantiles_are_those_of_the_repeated_sources(monkeypatch):
    generator = np.random.default_rng(5)
    image, place = generator.integers(0, 6, 40), generator.integers(0, 3, 40)
    value = generator.normal(size=40)
    weights = generator.integers(0, 4, (5, 6)).astype(np.uint16)
    monkeypatch.setattr("npecat_eval.metrics.bootstrap.image_weights", lambda n: weights)
    monkeypatch.setattr("npecat_eval.metrics.bootstrap.N_RESAMPLES", 4)
    found = resampled_quantiles(image, value, place=place, levels=(0.2, 0.5), n_bins=4, n_images=6)
    for row, weight in enumerate(weights):
        for group in range(4):
            repeated = np.repeat(value[place == group], weight[image[place == group]])
            for index, level in enumerate((0.2, 0.5)):
                if len(repeated):
                    wanted = np.quantile(repeated, level, method="inverted_cdf")
                    assert found[index, row, group] == wanted
                else:
                    assert np.isnan(found[index, row, group])


def test_bootstrap_sigma_is_binomial_for_lone_sources():
    n, p = 4000, 0.9
    hits = (np.random.default_rng(6).random(n) < p).astype(np.float64)
    totals = resampled_totals(np.stack([hits, np.ones(n)], axis=1))
    value, sigma = value_and_sigma(quotient(totals[:, :1], totals[:, 1:]))
    assert value[0] == hits.mean()
    expected = np.sqrt(value[0] * (1 - value[0]) / n)
    assert sigma[0] == pytest.approx(expected, rel=0.1)  # 4.5 sigma of 1,000 resamples


def test_bootstrap_keeps_sources_of_an_image_together():
    """Ten sources that share their fate have the sigma of one."""
    hits = 10.0 * (np.random.default_rng(7).random(1000) < 0.7)
    totals = resampled_totals(np.stack([hits, np.full(1000, 10.0)], axis=1))
    value, sigma = value_and_sigma(quotient(totals[:, :1], totals[:, 1:]))
    assert sigma[0] == pytest.approx(np.sqrt(value[0] * (1 - value[0]) / 1000), rel=0.1)


def test_resamples_do_not_depend_on_the_block(monkeypatch):
    sums = np.random.default_rng(8).integers(0, 5, (70, 3)).astype(np.float64)
    whole = resampled_totals(sums)
    image_weights.cache_clear()
    monkeypatch.setattr("npecat_eval.metrics.bootstrap.BLOCK", 500)
    np.testing.assert_array_equal(resampled_totals(sums), whole)
    image_weights.cache_clear()


def test_sigma_is_the_spread_over_independent_test_sets():
    """Fifty test sets of 150 images against the bootstrap of one of them."""
    truth = CatalogPrior().draw(12, "test", indices=range(50 * 150))
    everything = perfect(truth)
    generator = np.random.default_rng(12)
    flux = truth.flat()["flux"]
    kept = generator.random(len(everything)) < flux / (flux + 0.5)
    found = Detections(*(getattr(everything, column)[kept] for column in vars(everything)))
    found.x[generator.random(len(found)) < 0.05] += 3  # false ones
    found.flux[:] *= np.exp(0.3 * generator.standard_normal(len(found)))
    values: dict[str, list[float]] = {}
    sigmas: dict[str, list[float]] = {}
    for first in range(0, 50 * 150, 150):
        rows = slice(first, first + 150)
        part = Catalog(truth.count[rows], {n: c[rows] for n, c in truth.columns.items()})
        inside = (found.image >= first) & (found.image < first + 150)
        here = Detections(*(getattr(found, column)[inside] for column in vars(found)))
        here.image[:] -= first
        matched = MatchedCatalog.of(part, here)
        for series in (
            *resample(measurement_means(matched, [])),
            *flux_ratio_series(matched, []),
        ):
            value, sigma = value_and_sigma(series.samples)
            values.setdefault(series.label.metric, []).append(value[0])
            sigmas.setdefault(series.label.metric, []).append(sigma[0])
    metrics = ("precision", "recall", "flux_error_percent", "flux_bias_percent")
    # Fifty sets tell a spread to 10 %: each metric is held to three times that, their mean to 20 %.
    ratio = np.array([np.mean(sigmas[name]) / np.std(values[name], ddof=1) for name in metrics])
    assert ratio.mean() == pytest.approx(1, abs=0.2) and abs(ratio - 1).max() < 0.3


def test_empty_bin_is_nan_without_warning(recwarn):
    samples = quotient(np.zeros((1001, 2)), np.array([[0.0, 3.0]]))
    value, sigma = value_and_sigma(samples)
    np.testing.assert_array_equal(value, [np.nan, 0])
    np.testing.assert_array_equal(sigma, [np.nan, 0])
    assert len(recwarn) == 0


def test_paired_difference_is_sharper_than_independent_errors():
    """Two catalogs that miss nearly the same sources."""
    truth = CatalogPrior().draw(9, "test", indices=range(400))
    good = perfect(truth)
    kept = np.random.default_rng(9).random(len(good)) < 0.7
    fewer = kept & (np.arange(len(good)) % 50 > 0)
    methods = {
        name: Detections(*(getattr(good, column)[mask] for column in vars(good)))
        for name, mask in (("a", kept), ("b", fewer))
    }
    truth["snr"][:] = truth["flux"]
    predictions = {name: Prediction(found) for name, found in methods.items()}
    table = evaluate(Truth(truth), predictions, bound=None, test_set="planted")
    recall = table[(table["metric"] == "recall") & (table["axis"] == NONE)]
    a, b = recall[recall["reference"] == TRUTH]
    difference = recall[recall["reference"] == "a"][0]
    assert difference["method"] == "b"
    assert difference["value"] == pytest.approx(b["value"] - a["value"])
    assert 0 < difference["sigma"] < 0.5 * np.hypot(a["sigma"], b["sigma"])


def test_permuting_sources_or_images_changes_nothing():
    truth = CatalogPrior().draw(21, "test", indices=range(200))
    truth["snr"][:] = truth["flux"]
    found = perfect(truth)
    generator = np.random.default_rng(21)
    found.x[:] += generator.normal(0, 0.5, len(found))
    found.flux[:] *= np.exp(0.2 * generator.standard_normal(len(found)))
    found.prob_galaxy[:] = generator.random(len(found))
    plain = evaluate(Truth(truth), {"a": Prediction(found)}, bound=None, test_set="planted")

    shuffled_rows = np.argsort(found.image + generator.random(len(found)))
    sources = Detections(*(getattr(found, column)[shuffled_rows] for column in vars(found)))
    by_source = evaluate(Truth(truth), {"a": Prediction(sources)}, bound=None, test_set="planted")
    for name in ("value", "sigma"):
        np.testing.assert_allclose(by_source[name], plain[name], rtol=1e-9, atol=1e-12)

    place = generator.permutation(200)
    moved_truth = Catalog(
        truth.count[place], {name: column[place] for name, column in truth.columns.items()}
    )
    new_image = np.argsort(place)[found.image]
    order = np.argsort(new_image, kind="stable")
    moved = {name: column[order] for name, column in (vars(found) | {"image": new_image}).items()}
    by_image = evaluate(
        Truth(moved_truth), {"a": Prediction(Detections(**moved))}, bound=None, test_set="planted"
    )
    np.testing.assert_allclose(by_image["value"], plain["value"], rtol=1e-9, atol=1e-12)


def test_refuses_what_is_no_catalog_of_these_images():
    truth = catalog([[(10, 10, 20.0, True)]])
    with pytest.raises(ValueError, match="outside"):
        MatchedCatalog.of(truth, detections([(1, 10, 10, 20.0, 0)]))
    with pytest.raises(ValueError, match="sorted"):
        detections([(1, 10, 10, 20.0, 0), (0, 10, 10, 20.0, 0)])
    with pytest.raises(NpecatError, match="image 3: x is nan"):
        detections([(3, np.nan, 10, 20.0, 0)])


def test_reliability_of_detections_is_that_of_their_place():
    truth = catalog([[(20, 20, 20, False), (60, 60, 20, False)]])
    rows = [(0, 20, 20, 20, 0.0), (0, 40, 40, 20, 0.0), (0, 60, 60, 20, 0.0)]
    located = np.array([0.62, 0.64, 0.97])
    found = replace(detections(rows), prob_located=located)
    means = detection_reliability(MatchedCatalog.of(truth, found))
    values = {m.label.metric: (m.total.sum(axis=0), m.count.sum(axis=0)) for m in means}
    (true, cases), (probability, _) = values["source_share"], values["source_probability"]
    assert cases[cases > 0].tolist() == [2, 1] and true[cases > 0].tolist() == [1, 1]
    assert probability[cases > 0] == pytest.approx([1.26, 0.97])
