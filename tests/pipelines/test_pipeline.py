"""The three commands in a row as a user types them, and what they say when an input is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.table import Table

from npecat_eval.report.metric_figures import FIGURES
from npecat_sim.store.reader import Store
from tests.helpers.stores import write_store
from tests.helpers.survey_files import write_frame, write_photofield

SIZES = ["--n", "400", "--n-validation", "80", "--n-test", "80"]


def npecat(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "npecat", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_all(folder: Path) -> str:
    """Simulate, train and evaluate; returns what evaluate printed."""
    for words in (
        ("simulate", "--prior", "many", *SIZES),
        ("train", "--variant", "psf_aware", "--epochs", "1"),
        ("evaluate", "--test-prior", "many"),
    ):
        done = npecat(folder, *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_all(folder)


def test_three_commands_end_in_tables_and_figures(finished):
    folder, said = finished
    results = folder / "results" / "many"
    table = Table.read(results / "metrics.ecsv", format="ascii.ecsv")
    assert set(table["method"]) == {"SEP", "psf_aware", "bound"}
    assert table.meta["test_store"] == Store(folder / "data/many/test.zarr").digest
    sep = table[(table["method"] == "SEP") & (table["axis"] == "none")]
    values = dict(zip(sep["metric"], sep["value"], strict=True))
    assert values["precision"] > 0.9 and values["recall"] > 0.75
    written = {path.name for path in results.iterdir()}
    for kind in FIGURES:
        assert {f"{kind.name}_many.png", f"{kind.name}_many.pdf"} <= written
    assert {"metrics.md", "metrics.tex", "examples_psf_aware.png", "report.html"} <= written
    assert "SEP" in said and "psf_aware" in said and "Recall" in said


def test_evaluating_again_gives_the_same_bytes(finished):
    folder, _ = finished
    results = folder / "results" / "many"
    before = {path: path.read_bytes() for path in results.iterdir()}
    assert npecat(folder, "evaluate", "--test-prior", "many").returncode == 0
    for path, content in before.items():
        assert path.read_bytes() == content, path.name


def test_any_store_and_fields_that_no_network_saw(finished, tmp_path):
    """A network of prior many on held-out fields; the folder names the test set."""
    made = npecat(tmp_path, "simulate", "--prior", "held_out", "--n", "0", "--n-test", "40")
    assert made.returncode == 0, made.stderr
    store = Store(tmp_path / "data/held_out/test.zarr")
    assert set(store.array("field")[:, 1]) == {1}
    runs = ("--runs", str(finished[0] / "runs"))
    done = npecat(tmp_path, "evaluate", "--store", "data/held_out/test.zarr", *runs)
    assert done.returncode == 0, done.stderr
    table = Table.read(tmp_path / "results/held_out/metrics.ecsv", format="ascii.ecsv")
    assert set(table["test_set"]) == {"held_out"}
    assert table.meta["test_store"] == store.digest


def test_library_of_survey_files_takes_precedence(tmp_path):
    files = [write_photofield(tmp_path), write_frame(tmp_path)]
    made = npecat(tmp_path, "fields", "import", *map(str, files), "-o", "lib.fits")
    assert made.returncode == 0, made.stderr
    assert npecat(tmp_path, "fields", "show", "lib.fits").returncode == 0
    made = npecat(tmp_path, "simulate", "--prior", "many", *SIZES, "--fields", "lib.fits")
    assert made.returncode == 0, made.stderr
    store = Store(tmp_path / "data/many/test.zarr")
    assert set(store.array("field")[:, 0]) == {94} and store.settings.n_sky_maps == 1


def test_real_survey_files(tmp_path, sdss_dir):
    files = [*sdss_dir.glob("photoField-*.fits"), sdss_dir / "frame-r-000094-1-0012.fits.bz2"]
    made = npecat(tmp_path, "fields", "import", *map(str, files), "-o", "lib.fits")
    assert made.returncode == 0, made.stderr
    made = npecat(tmp_path, "simulate", "--prior", "many", *SIZES, "--fields", "lib.fits")
    assert made.returncode == 0, made.stderr
    assert set(Store(tmp_path / "data/many/test.zarr").array("field")[:, 0]) <= {94, 2583, 3900}


@pytest.mark.parametrize(
    ("words", "missing", "remedy"),
    [
        (("train", "--variant", "psf_aware"), "data/many/train.zarr", "simulate --prior many"),
        (("train", "--variant", "single_field"), "data/one/train.zarr", "simulate --prior one"),
        (("evaluate", "--test-prior", "one"), "no trained network in runs", "npecat train"),
        (("evaluate",), "--test-prior", "--store"),
        (("fields", "show", "lib.fits"), "lib.fits", "npecat fields import"),
    ],
)
def test_missing_input_is_named_with_its_remedy(tmp_path, words, missing, remedy):
    done = npecat(tmp_path, *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert missing in done.stderr and remedy in done.stderr


def test_missing_test_store_is_named(finished, tmp_path):
    folder, _ = finished
    done = npecat(folder, "evaluate", "--test-prior", "one")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "data/one/test.zarr" in done.stderr and "simulate --prior one" in done.stderr


def test_store_of_another_version_is_refused(finished, tmp_path):
    shutil.copytree(finished[0] / "data", tmp_path / "data")
    metadata = tmp_path / "data/many/train.zarr/zarr.json"
    metadata.write_text(metadata.read_text().replace('"format_version": 1', '"format_version": 9'))
    done = npecat(tmp_path, "train", "--variant", "psf_aware")
    assert done.returncode == 1 and "store format 9" in done.stderr


def test_run_without_training_left_says_so(finished):
    folder, _ = finished
    done = npecat(folder, "train", "--variant", "psf_aware", "--epochs", "1")
    assert done.returncode == 0 and "best validation loss" in done.stdout
    other = npecat(folder, "train", "--variant", "psf_aware", "--epochs", "2")
    assert other.returncode == 1 and "holds a run with epochs = 1, not 2" in other.stderr


def test_missing_crowded_images_name_the_command_that_makes_them(tmp_path):
    for split in ("train", "validation"):
        write_store(tmp_path / "data", split, 20, prior="many")
    done = npecat(tmp_path, "train", "--variant", "psf_aware", "--first", "crowded")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "npecat simulate --prior many --n 900000 --density 0.0025 --seed 1" in done.stderr
    assert done.stderr.endswith("--n-validation 0 --n-test 0 --out crowded/many\n")
