"""Files that the evaluation writes: complete, readable and the same on every run."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from matplotlib.image import imread

from npecat_eval import figures, tables
from npecat_eval.bins import N_BINS
from npecat_eval.evaluate import evaluate
from npecat_eval.example_figure import example_figure
from npecat_eval.metrics import METRICS
from npecat_sim.catalog import Catalog
from npecat_sim.prior import IMAGE_SIZE, CatalogPrior
from npecat_train.detections import Detections

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
        prob_galaxy=np.clip(table["is_galaxy"][found] + generator.normal(0, 0.3, n), 0, 1),
    )


@pytest.fixture(scope="module")
def truth() -> Catalog:
    return CatalogPrior().draw(1, "test", range(120))


@pytest.fixture(scope="module")
def table(truth) -> Table:
    """Two methods on two test sets."""
    methods = {"SEP": noisy(truth, 1, 0.7), "psf_aware": noisy(truth, 2, 0.9)}
    return vstack([evaluate(truth, methods, name) for name in ("one", "many")])


def written_bytes(paths: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


def test_ecsv_reads_back(table, tmp_path):
    ecsv, _ = tables.write(table, tmp_path, SETTINGS)
    back = Table.read(ecsv, format="ascii.ecsv")
    assert back.colnames == table.colnames
    assert back.meta == SETTINGS
    assert back["bin_low"].unit == "mag"
    for name in ("test_set", "method", "metric", "reference", "n"):
        np.testing.assert_array_equal(np.array(back[name]), np.array(table[name]))
    for name in ("bin_low", "bin_high", "value", "sigma"):
        np.testing.assert_allclose(back[name], table[name], rtol=1e-5)
    assert tables.markdown(back) == tables.markdown(table)


def test_long_form_is_complete(table):
    per_method = len(METRICS) * (N_BINS + 1) + 1  # F1 has no bins
    per_pair = len(METRICS) + 1
    assert len(table) == 2 * (2 * per_method + per_pair)
    keys = ("test_set", "method", "reference", "metric", "bin_low")
    assert len(np.unique(table[keys])) == len(table)


def test_written_table_is_the_same_on_rerun(table, tmp_path):
    (tmp_path / "again").mkdir()
    first = written_bytes(tables.write(table, tmp_path, SETTINGS))
    second = written_bytes(tables.write(table, tmp_path / "again", SETTINGS))
    assert first == second
    assert first == written_bytes(tables.write(table, tmp_path, SETTINGS))  # over the old files


def test_markdown_has_every_number(table):
    text = tables.markdown(table)
    for row in table:
        assert f"| {tables._cell(row['value'], row['sigma'])} |" in text
    assert text.count("\n| SEP |") == 2
    assert text.count("\n| psf_aware - SEP |") == 2
    assert text.count(" to 22.00 |") == 2 * len(METRICS)


@pytest.mark.parametrize(
    ("value", "sigma", "cell"),
    [
        (0.98314, 0.00226, "0.9831 ± 0.0023"),
        (10.33, 0.284, "10.33 ± 0.28"),
        (83.1, 12.4, "83 ± 12"),
        (1.0, 0.0, "1.000 ± 0.000"),
        (0.5, np.nan, "0.500"),
        (np.nan, np.nan, "-"),
    ],
)
def test_cell_shows_two_digits_of_sigma(value, sigma, cell):
    assert tables._cell(value, sigma) == cell


def test_overall_text(table):
    lines = tables.overall_text(table).splitlines()
    assert lines[0].startswith("test set one") and "Recall" in lines[0]
    assert [line.split()[0] for line in lines if line] == ["test", "SEP", "psf_aware"] * 2
    assert max(map(len, lines)) <= 120


def test_figures_are_complete_and_the_same_on_rerun(table, tmp_path):
    (tmp_path / "again").mkdir()
    first = written_bytes(figures.draw(table, tmp_path))
    assert len(first) == 2 * len(figures.PANELS) * 2  # test sets, figures, formats
    assert first == written_bytes(figures.draw(table, tmp_path / "again"))
    for name in first:
        if name.endswith(".png"):
            assert_not_blank(tmp_path / name, figures.COLOURS[:2])


def test_figure_shows_the_numbers_of_the_table(table):
    of_set = table[(table["test_set"] == "many") & np.isfinite(table["bin_low"])]
    for metrics in figures.PANELS.values():
        for axes, metric in zip(figures._metric_figure(of_set, metrics).axes, metrics, strict=True):
            assert axes.get_ylabel() == tables.TITLES[metric]
            for line, method in zip(axes.lines, ("SEP", "psf_aware"), strict=True):
                assert line.get_label() == method
                rows = of_set[(of_set["metric"] == metric) & (of_set["method"] == method)]
                magnitude, value = line.get_data()
                np.testing.assert_array_equal(value, rows["value"])
                assert np.all((rows["bin_low"] < magnitude) & (magnitude < rows["bin_high"]))


def test_figure_bears_an_empty_bin(truth, tmp_path):
    few = Catalog(truth.count[:2], {name: column[:2] for name, column in truth.columns.items()})
    nothing = Detections(np.empty(0, np.int64), *np.empty((5, 0)))
    sparse = evaluate(few, {"blind": nothing}, "tiny")
    assert len(figures.draw(sparse, tmp_path)) == 4
    assert "| blind | - |" in tables.markdown(sparse)


def test_example_figure(truth, tmp_path):
    sources = truth.flat()
    images = np.random.default_rng(3).normal(0, 1, (6, IMAGE_SIZE, IMAGE_SIZE))
    few = Catalog(truth.count[:6], {name: column[:6] for name, column in truth.columns.items()})
    found = noisy(few, 4, 0.8)
    assert np.any(sources["is_galaxy"][sources["image"] < 6])
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path in paths:
        example_figure(images, few, found, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert_not_blank(paths[0], figures.COLOURS[:2])
    bare = tmp_path / "bare.png"
    example_figure(images, few, noisy(few, 4, 0.0), bare)
    assert coloured(bare, figures.COLOURS[0]) < coloured(paths[0], figures.COLOURS[0])


def coloured(path: Path, colour: str) -> int:
    """Number of pixels of exactly one colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    pixels = np.rint(imread(path)[..., :3] * 255)
    return int(np.sum(np.all(pixels == wanted, axis=-1)))


def assert_not_blank(path: Path, colours: tuple[str, ...]) -> None:
    for colour in colours:
        assert coloured(path, colour) > 50, f"{path.name} shows nothing in {colour}"
