"""Evaluation of images of prior wide: limits, masks, SEP, the bound, and metrics by condition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.table import Table

from npecat_eval.baselines.recipe import Recipe
from npecat_eval.baselines.sep import measure_batch
from npecat_eval.baselines.star_image import StarImage, _best_moffat
from npecat_eval.catalog.store_catalog import images_for
from npecat_eval.metrics.bins import ALL, BRIGHTEST, FAINTEST, NONE
from npecat_eval.metrics.bound import relative_flux_sigma
from npecat_eval.metrics.conditions import CONDITIONS, ImageConditions
from npecat_eval.metrics.depth import AtOneDepth, depth_factors, is_of_one_depth, noise_under_psf
from npecat_eval.metrics.matched import MatchedCatalog
from npecat_eval.report import metric_figures
from npecat_eval.report.evaluate_store import Evaluation, evaluate_store
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render import RENDERERS
from npecat_sim.simulation.wide_images import batch_of, simulate_wide
from npecat_sim.store.reader import Batch, Store
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_sim.wide.conditions import BrightStar, Conditions, regular_stamp
from npecat_sim.wide.image import draw_image
from npecat_sim.wide.survey import WIDE
from npecat_sim.wide.survey_file import load_survey
from npecat_train.model import TileModel
from npecat_train.training.defaults import run_settings
from npecat_train.weights import DEFAULT_WEIGHTS
from tests.helpers.stores import write_store
from tests.sim.test_wide import conditions as quiet


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("data")
    return Store(write_store(folder, "test", 60, "wide", fields=default_fields(), survey=WIDE))


@pytest.fixture(scope="module")
def evaluation(store, tmp_path_factory) -> Evaluation:
    """Of SEP and the paper's network."""
    models = {"psf_aware": TileModel.load(DEFAULT_WEIGHTS)}
    cache = tmp_path_factory.mktemp("results") / "kept.npz"
    return evaluate_store(store, models, name="wide", cache=cache, workers=1)


def stars(psf, n: int, **changes) -> tuple[Batch, np.ndarray]:
    """Images of one star each, of SNR 100, at known places; float64 (n, 2): its x and y."""
    generator = np.random.default_rng(4)
    places = generator.uniform(30, 50, (n, 2))
    drawn = []
    for index, (x, y) in enumerate(places):
        star = BrightStar(float(x), float(y), flux=1.0, halo=0.0)
        given: Conditions = quiet(psf, **changes)
        flux = 100 * given.sigma / np.sqrt(np.sum(given.stamp**2))
        given = replace(given, bright_star=replace(star, flux=flux))
        image = draw_image(given, 0, split="test", index=index, draw=RENDERERS["compiled"])
        drawn.append((given, image))
    return batch_of(drawn, 5), places


@pytest.mark.parametrize("width", [1.5, 3.0, 7.0])
def test_sep_measures_stars_of_any_psf(width):
    """Elliptical ones, with half of the image masked and correlated noise in half of the cases."""
    psf = ParametricPsf("moffat", width, 0.1, -0.06, 3.0)
    for changes in ({}, {"correlation": 0.6}):
        batch, places = stars(psf, 30, **changes)
        batch.mask[:, :, :20] = 1
        batch.images[:, :, :20] = 50  # is not looked at
        found = measure_batch(batch)
        near = np.hypot(*(np.stack([found.x, found.y]) - places[found.image].T)) < 1
        assert np.array_equal(np.unique(found.image[near]), np.arange(30))
        assert (~near).sum() <= 5  # of 30 images of blank sky
        assert (found.x > 18).all()
        true = batch.catalog.flat()["flux"][found.image[near]]
        ratio = found.psf_flux[near] / true
        assert ratio.std() < (0.05 if changes else 0.025)
        assert np.median(ratio) == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(30))


def test_threshold_is_that_many_sigmas_of_the_filtered_noise(store):
    """A blank image filtered with the PSF has the noise that the threshold is stated in."""
    batch, _ = stars(ParametricPsf("gaussian", 4.0), 1, correlation=0.7)
    recipe = Recipe.wide(batch, 0)
    blank = quiet(ParametricPsf("gaussian", 4.0), correlation=0.7)
    images = np.array(
        [
            draw_image(blank, 1, split="test", index=index, draw=RENDERERS["compiled"]).pixels
            for index in range(20)
        ]
    )
    kernel = recipe.kernel / recipe.kernel.sum()
    side = len(kernel)
    filtered = [
        (image[y : y + side, x : x + side] * kernel).sum()
        for image in images
        for y in range(0, 80 - side, 6)
        for x in range(0, 80 - side, 6)
    ]
    assert 4 * np.std(filtered) == pytest.approx(recipe.threshold * recipe.noise[0, 0], rel=0.07)


@pytest.mark.parametrize(
    ("psf", "limit"),
    [
        (ParametricPsf("kolmogorov", 1.5, 0.1, 0.05), 0.001),
        (default_fields().psf_of(7).scaled(0.5), 0.01),  # of six numbers, fitted by a Moffat
    ],
)
def test_stars_are_right_between_the_pixels(psf, limit):
    told = regular_stamp(psf)
    is_parametric = isinstance(psf, ParametricPsf)
    stars = StarImage(told, psf if is_parametric else _best_moffat(told))
    x, y = np.random.default_rng(0).uniform(-6, 6, (2, 400))
    wrong = stars.shares(x, y) - psf.shares(x, y)
    assert np.abs(wrong).max() < limit * told.max()
    np.testing.assert_allclose(stars.shares(np.arange(-5, 6), np.zeros(11)), told[20, 15:26])
    assert stars.shares(np.array([50.0]), np.zeros(1)) == 0


def test_bound_knows_mask_pixel_scale_and_correlation():
    batch = simulate_wide(default_fields(), 2, split="test", indices=range(3))
    row = int(batch.catalog.count.argmax())
    plain = replace(batch, mask=np.zeros_like(batch.mask), noise_correlation=np.ones(3))
    bound = relative_flux_sigma(plain, row)
    noisy = relative_flux_sigma(replace(plain, noise_correlation=np.full(3, 2.0)), row)
    np.testing.assert_allclose(noisy, 2 * bound)
    masked = relative_flux_sigma(replace(plain, mask=np.ones_like(batch.mask)), row)
    assert np.isinf(masked).all()
    small = relative_flux_sigma(replace(plain, pixel_scale=10 * batch.pixel_scale), row)
    galaxy = batch.catalog.sources(row)["is_galaxy"]
    assert galaxy.any() and (small < 0.9 * bound)[galaxy].any()  # as if they were point-like


def test_unit_of_depth_makes_ten_sigma_r_22_and_changes_nothing_else(store):
    noise = noise_under_psf(store)
    deep = AtOneDepth(store.path, depth_factors(noise))
    np.testing.assert_allclose(
        magnitude(10 * noise_under_psf(deep)), np.full(len(store), 22), rtol=1e-6
    )
    assert not is_of_one_depth(noise) and is_of_one_depth(noise_under_psf(deep))
    assert deep.digest == store.digest
    plain, scaled = store.batch(slice(3, 5)), deep.batch(slice(3, 5))
    np.testing.assert_allclose(scaled.faint_flux, plain.faint_flux * deep.factors[3:5])
    np.testing.assert_allclose(scaled.images[1], plain.images[1] * deep.factors[4], rtol=1e-5)
    first, second = measure_batch(plain), measure_batch(scaled)
    np.testing.assert_allclose(first.x, second.x, atol=1e-3)
    np.testing.assert_allclose(first.times(deep.factors[3:5]).psf_flux, second.psf_flux, rtol=1e-3)


def test_survey_as_deep_as_sdss_is_counted_to_r_22(tmp_path):
    survey = load_survey("sdss")
    made = Store(write_store(tmp_path, "test", 20, "wide", survey=survey))
    assert is_of_one_depth(noise_under_psf(made))


def test_bins_of_each_condition_add_up_to_the_whole(evaluation):
    table = evaluation.conditions
    for metric, selection in (
        ("recall", ALL),
        ("precision", ALL),
        ("flux_error_percent", ALL),
        ("star_flux_bias_percent", ALL),
        ("bright_star_recall", ALL),
        ("flux_coverage_80", FAINTEST),
        ("flux_coverage_80", BRIGHTEST),
    ):
        rows = table[
            (table["method"] == "psf_aware")
            & (table["metric"] == metric)
            & (table["selection"] == selection)
        ]
        (whole,) = rows[rows["axis"] == NONE]
        assert whole["n"] > 0
        for axis in CONDITIONS:
            bins = rows[rows["axis"] == axis]
            assert bins["n"].sum() == whole["n"]
            if metric != "star_flux_bias_percent":  # a median
                total = np.nansum(bins["value"] * bins["n"])
                assert total == pytest.approx(whole["value"] * whole["n"])
    overall = evaluation.table[evaluation.table["axis"] == NONE]
    for metric in ("f1", "recall", "star_galaxy_accuracy"):
        for method in ("SEP", "psf_aware"):
            same = [
                one[(one["metric"] == metric) & (one["method"] == method)]["value"][0]
                for one in (overall, table[table["axis"] == NONE])
            ]
            assert same[0] == same[1]


def test_bins_hold_the_images_whose_condition_they_name(store, evaluation):
    conditions = ImageConditions.of(store)
    table = evaluation.conditions
    rows = table[(table["metric"] == "recall") & (table["method"] == "SEP")]
    for axis, values in conditions.values.items():
        for row in rows[rows["axis"] == axis]:
            inside = (values >= row["low"]) & (values < row["high"])
            assert inside.any()
    batch = store.batch(slice(None))
    np.testing.assert_array_equal(conditions.values["masked_share"], batch.mask.mean(axis=(1, 2)))
    assert conditions.values["fwhm"] == pytest.approx(batch.fwhm / batch.pixel_scale)


def test_masked_sources_are_in_no_metric_by_truth(store, evaluation):
    hidden, catalog = ImageConditions.of(store).hidden, store.catalog()
    table = catalog.flat()
    batch = store.batch(slice(None))
    at = np.rint(table["y"]).astype(int), np.rint(table["x"]).astype(int)
    assert 0 < hidden.sum() < len(hidden)
    np.testing.assert_array_equal(hidden, batch.mask[table["image"], *at] == 1)
    matched = MatchedCatalog.of(catalog, evaluation.predictions["SEP"].detections, hidden=hidden)
    assert np.isnan(matched.true_magnitude[hidden]).all()
    assert np.isfinite(matched.true_magnitude[~hidden]).all()


def test_everything_is_written(evaluation, tmp_path, monkeypatch):
    monkeypatch.setattr(metric_figures, "FIGURES", ())  # those of any store take long
    files = {path.name for path in evaluation.write(tmp_path)}
    assert {"conditions.ecsv", "conditions_wide.png", "conditions_wide.pdf"} < files
    written = Table.read(tmp_path / "conditions.ecsv", format="ascii.ecsv")
    assert len(written) == len(evaluation.conditions)
    report = (tmp_path / "report.html").read_text()
    for words in ("conditions.ecsv", "ten sigma of the noise", "By noise correlation"):
        assert words in report
    assert "ten sigma" in evaluation.counted


def test_limit_of_depth_is_for_stores_of_prior_wide(tmp_path):
    store = Store(write_store(tmp_path, "test", 10))
    with pytest.raises(NpecatError, match=r"test\.zarr is not of prior wide.*take limit r22"):
        evaluate_store(store, {}, name="one", cache=tmp_path / "a.npz", workers=1, limit="depth")


def test_networks_are_given_images_of_the_other_kind_in_their_own_terms(store, tmp_path):
    """The PSF of SDSS as an image and back; the network for any telescope has the rest as well."""
    one = Store(write_store(tmp_path, "test", 10))
    settings = [run_settings("wide", store, epochs=1), run_settings("psf_aware", one, epochs=1)]
    for_any, six_numbers = [TileModel(each.build_network(), each) for each in settings]
    (told,) = images_for(for_any, one)
    wanted = SINGLE_FIELD.psf_of(0).stamp(PSF_SIDE)
    np.testing.assert_allclose(told.psf[0], wanted, rtol=1e-4, atol=1e-9)
    assert not told.mask.any() and told.density.unique().item() == pytest.approx(6.25e-4)
    assert told.faint_flux[0] == pytest.approx(flux_of_magnitude(23), rel=0.01)
    (given,) = images_for(six_numbers, store)
    for row in range(5):
        fwhm = store.batch(slice(row, row + 1)).psf_of(0).fwhm
        found = SixNumberPsf.of(given.psf_parameters[row]).fwhm
        assert found == pytest.approx(fwhm, rel=0.01)
    for model, batch in ((for_any, told), (six_numbers, given)):
        assert torch.isfinite(model.posterior(batch).source.logit).all()
