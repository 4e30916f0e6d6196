"""Files that the evaluation writes: complete, readable and the same on every run."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from matplotlib.image import imread

from npecat_eval.catalog.decode import decode
from npecat_eval.catalog.detections import Detections
from npecat_eval.metrics.bins import MAGNITUDE, N_BINS, NONE, SNR
from npecat_eval.metrics.calibration import EXPECTED_COUNT, TRUE_COUNT
from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.table import TRUTH, evaluate
from npecat_eval.pictures.examples import example_figure
from npecat_eval.pictures.style import COLOURS
from npecat_eval.report import metric_figures as figures
from npecat_eval.report import tables
from npecat_eval.report.evaluate_store import Evaluation
from npecat_eval.report.metric_panels import MIN_IMAGES, SELECTIONS
from npecat_eval.report.wide_tables import TITLES, cell
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.catalog import Catalog
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.simulation.simulate import simulate_images
from tests.eval.test_tile_scores import drawn, scores_in_batches

SETTINGS = {"store_digest": "0123abcd", "resamples": 1000, "classes": {"SEP": 0.14}}


def noisy(truth: Catalog, seed: int, kept: float) -> Detections:
    """A catalog that finds the given share of sources, with errors."""
    generator = np.random.default_rng(seed)
    table = truth.flat()
    found = generator.random(len(table["x"])) < kept
    n = found.sum()
    return Detections(
        image=table["image"][found],
        x=table["x"][found] + generator.normal(0, 0.3, n),
        y=table["y"][found] + generator.normal(0, 0.3, n),
        flux=table["flux"][found] * np.exp(generator.normal(0, 0.1, n)),
        prob_source=np.ones(n),
        prob_located=np.ones(n),
        prob_galaxy=np.clip(table["is_galaxy"][found] + generator.normal(0, 0.3, n), 0, 1),
    )


@pytest.fixture(scope="module")
def truth() -> Catalog:
    truth = CatalogPrior().draw(1, "test", indices=range(120))
    truth["snr"][:] = truth["flux"]
    return truth


@pytest.fixture(scope="module")
def table(truth) -> Table:
    """Two methods on two test sets."""
    methods = {"SEP": noisy(truth, 1, 0.7), "psf_aware": noisy(truth, 2, 0.9)}
    predictions = {name: Prediction(found) for name, found in methods.items()}
    return vstack(
        [evaluate(Truth(truth), predictions, bound=None, test_set=n) for n in ("one", "many")]
    )


def written_bytes(paths: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


def test_ecsv_reads_back(table, tmp_path):
    ecsv, *_ = tables.write(table, tmp_path, settings=SETTINGS)
    back = Table.read(ecsv, format="ascii.ecsv")
    assert back.colnames == table.colnames
    assert back.meta == SETTINGS
    for name in ("test_set", "method", "metric", "reference", "sources", "selection", "axis", "n"):
        np.testing.assert_array_equal(np.array(back[name]), np.array(table[name]))
    for name in ("low", "high", "value", "sigma"):
        np.testing.assert_allclose(back[name], table[name], rtol=1e-5)
    assert tables.markdown(back) == tables.markdown(table)


MEASURED = 7  # recall, type, flux error, position error, bias and scatter; precision has no SNR


def test_long_form_is_complete(table):
    keys = ("test_set", "method", "reference", "metric", "sources", "selection", "axis", "low")
    assert len(np.unique(table[keys])) == len(table)
    for axis, n_metrics in ((MAGNITUDE, MEASURED), (SNR, MEASURED - 1)):
        assert np.sum(table["axis"] == axis) == 2 * 2 * N_BINS * n_metrics
    differences = table[table["reference"] != TRUTH]
    assert len(differences) == 2 * (MEASURED + 1 + 3)  # F1, and AUC of three selections
    assert set(differences["axis"]) == {NONE}


def test_every_number_has_its_unit(table):
    units = {str(row["metric"]): str(row["unit"]) for row in table}
    assert units["flux_error_percent"] == "%" and units["position_error_pixel"] == "pix"
    assert units["recall"] == "1"
    of_axis = {str(row["axis"]): str(row["axis_unit"]) for row in table}
    assert of_axis == {"none": "mag", "magnitude": "mag", "snr": "1", "false_positive_rate": "1"}


def test_written_table_is_the_same_on_rerun(table, tmp_path):
    (tmp_path / "again").mkdir()
    first = written_bytes(tables.write(table, tmp_path, settings=SETTINGS))
    second = written_bytes(tables.write(table, tmp_path / "again", settings=SETTINGS))
    assert first == second
    assert first == written_bytes(
        tables.write(table, tmp_path, settings=SETTINGS)
    )  # over the old files


def test_an_evaluation_that_fails_half_way_leaves_the_old_one_whole(truth, table, tmp_path):
    """Tables and figures are done when the picture of the examples fails: there are none."""
    old = [tmp_path / name for name in ("metrics.md", "f1_one.png", "report.html")]
    for path in old:
        path.write_text("old")
    evaluation = Evaluation(table, SETTINGS, {"SEP": Prediction(noisy(truth, 1, 0.7))}, None)
    with pytest.raises(AttributeError, match="NoneType"):
        evaluation.write(tmp_path)
    assert written_bytes(list(tmp_path.iterdir())) == {path.name: b"old" for path in old}


def test_wide_tables_have_every_number(table):
    text, source = tables.markdown(table), tables.latex(table)
    shown = (table["reference"] == TRUTH) | (table["selection"] == "all")
    for row in table[shown & (table["axis"] != "false_positive_rate")]:
        words = cell(row["value"], row["sigma"])
        assert f"| {words} |" in text
        assert words.replace("±", r"$\pm$") in source
    assert text.count("\n## Test set") == 2
    assert text.count("\n| psf_aware - SEP |") == 2 * 2
    assert text.count(" to 22.00 |") == 2 * MEASURED
    assert source.count(r"\begin{table}") == source.count(r"\end{table}") > 20


def test_latex_has_no_bare_special_characters(table):
    for line in tables.latex(table).splitlines():
        bare = line.removeprefix("% ").replace("\\%", "").replace("\\_", "")
        assert "%" not in bare and "_" not in bare, line


@pytest.mark.parametrize(
    ("value", "sigma", "words"),
    [
        (0.98314, 0.00226, "0.9831 ± 0.0023"),
        (10.33, 0.284, "10.33 ± 0.28"),
        (83.1, 12.4, "83 ± 12"),
        (1.0, 0.0, "1.000 ± 0.000"),
        (0.5, np.nan, "0.500"),
        (np.nan, np.nan, "-"),
    ],
)
def test_cell_shows_two_digits_of_sigma(value, sigma, words):
    assert cell(value, sigma) == words


def test_overall_text(table):
    lines = tables.overall_text(table).splitlines()
    assert lines[0].startswith("test set one") and "Recall" in lines[0]
    assert [line.split()[0] for line in lines if line] == ["test", "SEP", "psf_aware"] * 2
    assert max(map(len, lines)) <= 120


def test_figures_are_complete_and_the_same_on_rerun(table, tmp_path):
    (tmp_path / "again").mkdir()
    first = written_bytes(figures.draw(table, tmp_path))
    of_catalogs = ("figure4_detection", "figure5_measurement", "figure7_roc", "figure9_snr")
    assert set(first) == {
        f"{name}_{test_set}.{kind}"
        for name in of_catalogs  # the others need posteriors
        for test_set in ("one", "many")
        for kind in ("png", "pdf")
    }
    assert first == written_bytes(figures.draw(table, tmp_path / "again"))
    for name in first:
        if name.endswith(".png"):
            assert_not_blank(tmp_path / name, COLOURS[:2])


def test_figure_shows_the_numbers_of_the_table(table):
    of_set = table[(table["test_set"] == "many") & (table["reference"] == TRUTH)]
    drawn = {kind.name: figure for kind, figure in figures.drawn_figures(of_set)}
    for name, metrics in (
        ("figure4_detection", ("precision", "recall")),
        ("figure5_measurement", ("star_galaxy_accuracy", "flux_error_percent")),
    ):
        for axes, metric in zip(drawn[name].axes, metrics, strict=True):
            assert axes.get_ylabel() == TITLES[metric]
            for line, method in zip(axes.lines, ("SEP", "psf_aware"), strict=True):
                assert line.get_label() == method
                rows = of_set[
                    (of_set["metric"] == metric)
                    & (of_set["method"] == method)
                    & (of_set["axis"] == MAGNITUDE)
                ]
                magnitude, value = line.get_data()
                np.testing.assert_array_equal(value, rows["value"])
                assert np.all((rows["low"] < magnitude) & (magnitude < rows["high"]))


@pytest.fixture(scope="module")
def of_posterior() -> Table:
    """The metrics of a posterior on images that are drawn from it."""
    posterior, batch = drawn("mixture")
    names = "x", "y", "flux", "is_galaxy"
    columns = {name: getattr(batch, name).numpy() for name in names}
    truth = Truth(Catalog(batch.count.numpy(), {**columns, "snr": columns["flux"]}))
    found = decode(posterior)
    tiles = scores_in_batches(posterior, batch, truth.spans)
    return evaluate(
        truth, {"exact": Prediction(found.detections, found, tiles)}, bound=None, test_set="toy"
    )


def test_figures_of_a_posterior_are_complete(of_posterior, tmp_path):
    written = figures.draw(of_posterior, tmp_path)
    assert {path.stem for path in written} == {f"{kind.name}_toy" for kind in figures.FIGURES}
    for path in written:
        if path.suffix == ".png":
            assert_not_blank(path, COLOURS[:1])


def test_figure_of_numbers_shows_the_table(of_posterior):
    drawn = {kind.name: figure for kind, figure in figures.drawn_figures(of_posterior)}
    panels = iter(drawn["figure6_numbers"].axes)
    for axis, metric in ((TRUE_COUNT, EXPECTED_COUNT), (EXPECTED_COUNT, TRUE_COUNT)):
        for selection in SELECTIONS:
            axes = next(panels)
            assert axes.get_xlim() == axes.get_ylim()
            rows = of_posterior[
                (of_posterior["axis"] == axis)
                & (of_posterior["selection"] == selection)
                & (of_posterior["n"] >= MIN_IMAGES)
            ]
            assert len(rows) > 2
            across, upward = axes.lines[0].get_data()
            np.testing.assert_array_equal(across, rows["value"][rows["metric"] == axis])
            np.testing.assert_array_equal(upward, rows["value"][rows["metric"] == metric])
    assert next(panels, None) is None


def test_figure_bears_an_empty_bin(truth, tmp_path):
    few = Catalog(truth.count[:2], {name: column[:2] for name, column in truth.columns.items()})
    nothing = Detections(np.empty(0, np.int64), *np.empty((6, 0)))
    sparse = evaluate(Truth(few), {"blind": Prediction(nothing)}, bound=None, test_set="tiny")
    assert figures.draw(sparse, tmp_path)
    assert "| blind | - |" in tables.markdown(sparse)


def test_example_figure(tmp_path):
    batch = simulate_images(SINGLE_FIELD, 3, split="test", indices=range(6))
    assert batch.catalog.flat()["is_galaxy"].any()
    found = noisy(batch.catalog, 4, 0.8)
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path in paths:
        example_figure(batch, found, path=path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert_not_blank(paths[0], COLOURS[:2])
    bare = tmp_path / "bare.png"
    example_figure(batch, noisy(batch.catalog, 4, 0.0), path=bare)
    assert coloured(bare, COLOURS[0]) < coloured(paths[0], COLOURS[0])


def coloured(path: Path, colour: str) -> int:
    """Number of pixels of exactly one colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    pixels = np.rint(imread(path)[..., :3] * 255)
    return int(np.sum(np.all(pixels == wanted, axis=-1)))


def assert_not_blank(path: Path, colours: tuple[str, ...]) -> None:
    for colour in colours:
        assert coloured(path, colour) > 50, f"{path.name} shows nothing in {colour}"
