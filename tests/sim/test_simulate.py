"""The command ``npecat simulate``: same arrays whatever happens, errors that a user can act on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from npecat.benchmarks.simulate import digests
from npecat.cli import in_words_of_the_command_line, npecat
from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.prior import PAPER_PRIOR
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.simulate import RENDERERS, simulate, simulate_images
from npecat_sim.store.reader import Store
from npecat_sim.store.writer import RECEIPTS
from npecat_sim.wide.survey_file import load_survey
from tests.helpers.stores import simulate_one, write_store

COMMAND = [sys.executable, "-m", "npecat", "simulate"]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_command_makes_stores_of_all_splits(tmp_path):
    done = run(tmp_path, "--prior", "many", "--n", "210", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "282 images over 500 fields" in done.stdout
    for split, n_images in (("train", 210), ("validation", 30), ("test", 42)):
        assert len(Store(tmp_path / f"data/many/{split}.zarr")) == n_images


def test_command_makes_stores_of_a_survey(tmp_path):
    """Workers make the bytes of this process; info says what is in them."""
    (tmp_path / "mine.toml").write_text("name = 'my telescope'\npixel_scale = 0.6\n")
    options = ["--prior", "wide", "--survey", "mine.toml", "--n", "0", "--n-test", "12"]
    done = run(tmp_path, *options, "--n-validation", "0", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "12 images over survey my telescope" in done.stdout
    store = tmp_path / "data/wide/test.zarr"
    survey = load_survey(tmp_path / "mine.toml")
    whole = write_store(tmp_path, "test", 12, "w", 0, default_fields(), 500, survey=survey)
    named = {k: v for k, v in digests(whole).items() if "/c/" in k}
    assert named == {k: v for k, v in digests(store).items() if "/c/" in k}
    told = CliRunner().invoke(npecat, ["info", str(store)], catch_exceptions=False).output
    for row in (r"pixel scale +0.60 ", r"survey +my telescope", r"format +2, ", r"masked +\d"):
        assert re.search(row, told)
    shutil.rmtree(store / "images")
    with pytest.raises(StoreError) as error:
        Store(store)
    assert "--prior wide" in in_words_of_the_command_line(error.value)
    assert "--survey FILE" in in_words_of_the_command_line(error.value)


def test_run_killed_twice_is_completed_to_the_same_bytes(tmp_path):
    options = ["--prior", "one", "--n", "4000", "--n-validation", "0", "--n-test", "0"]
    store = tmp_path / "data" / "one" / "train.zarr"
    written: dict[Path, int] = {}
    for n_finished in (2, 5):
        with subprocess.Popen(
            [*COMMAND, *options], cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + 120
            while len(list((store / RECEIPTS).glob("*.json"))) < n_finished:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
        with pytest.raises(NpecatError, match="not finished"):
            Store(store)
        finished = [receipt.stem for receipt in (store / RECEIPTS).glob("*.json")]
        images = [store / f"images/c/{chunk}/0/0" for chunk in finished]
        written = {path: written.get(path, path.stat().st_mtime_ns) for path in images}
    assert run(tmp_path, *options).returncode == 0
    whole = write_store(tmp_path / "whole", "train", 4000, images_per_chunk=500)
    assert digests(store) == digests(whole)
    for path, changed in written.items():
        assert path.stat().st_mtime_ns == changed, "a finished chunk was made again"


def test_noise_and_sky_of_a_store_follow_the_forward_model():
    """Where no source is, the image is noise of variance background / electrons per nanomaggy."""
    batch = simulate_images(SINGLE_FIELD, 1, split="train", indices=range(300))
    empty = batch.catalog.count == 0
    electrons = SINGLE_FIELD.electrons_per_nmgy[0]
    assert electrons == pytest.approx(989.4, abs=0.1)
    assert batch.backgrounds.mean() == pytest.approx(0.878, rel=0.01)
    in_sigma = batch.images[empty] * np.sqrt(electrons / batch.backgrounds[empty])
    assert empty.sum() >= 3 and in_sigma.std() == pytest.approx(1, abs=0.02)
    assert in_sigma.mean() == pytest.approx(0, abs=0.03)


def test_bright_star_carries_its_catalogued_flux():
    batch = simulate_images(SINGLE_FIELD, 2, split="train", indices=range(2000))
    table = batch.catalog.flat()
    y, x = np.mgrid[:80, :80]
    checked = 0
    for row in np.flatnonzero(~table["is_galaxy"] & (table["flux"] > 200)):
        image, position = table["image"][row], (table["x"][row], table["y"][row])
        alone = batch.catalog.count[image] == 1
        if alone and all(20 < value < 59 for value in position):
            aperture = np.hypot(x - position[0], y - position[1]) < 7.43 / 0.396
            assert batch.images[image][aperture].sum() == pytest.approx(
                table["flux"][row], rel=0.01
            )
            checked += 1
    assert checked > 0


def test_both_renderers_give_the_same_image():
    compiled, galsim = [
        simulate_images(SINGLE_FIELD, 3, split="test", indices=range(12), draw=RENDERERS[renderer])
        for renderer in ("compiled", "galsim")
    ]
    sky_sigma = np.sqrt(compiled.backgrounds / compiled.electrons_per_nmgy[:, None, None])
    assert (np.abs(compiled.images - galsim.images) / sky_sigma).max() < 0.05
    assert compiled.catalog["snr"] == pytest.approx(galsim.catalog["snr"], rel=0.02, nan_ok=True)


def test_other_settings_under_the_same_name_are_refused(tmp_path):
    counts = {"test": 10}
    simulate_one(tmp_path / "one", counts)
    with pytest.raises(NpecatError, match=r"with seed = 0 instead of 1, renderer = .* instead of "):
        simulate_one(tmp_path / "one", counts, seed=1, renderer="galsim")


def test_density_is_of_the_store(tmp_path):
    crowded = replace(PAPER_PRIOR, density=3 * PAPER_PRIOR.density)
    options = {"fields": SINGLE_FIELD, "counts": {"test": 60}, "seed": 0, "cluster": Cluster()}
    store = Store(simulate(tmp_path / "one", "one", **options, catalog_prior=crowded)[0])
    assert store.settings.catalog_prior == crowded.to_dict()
    count = store.catalog().count
    assert abs(count.mean() - 12) < 4 * np.sqrt(12 / 60)
    with pytest.raises(NpecatError, match=r"catalog_prior.density = 0.001875 instead of 0.000625"):
        simulate(tmp_path / "one", "one", **options)


def test_finished_store_is_left_alone(tmp_path):
    path = simulate_one(tmp_path / "one", {"test": 10})[0]
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    simulate_one(tmp_path / "one", {"test": 10})
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prior", "one", "--n", "10", "--fields", "lib.fits"], "takes no field library"),
        (["--prior", "many", "--n", "10", "--fields", "lib.fits"], "lib.fits"),
        (["--prior", "one", "--n", "10", "--seed", "-4"], "the seed -4"),
        (["--prior", "one", "--n", "0"], "nothing to simulate"),
        (["--prior", "many", "--n", "10", "--survey", "sdss"], "prior many takes no survey"),
        (["--prior", "wide", "--n", "10", "--density", "1e-3"], "prior wide takes no density"),
        (["--prior", "wide", "--n", "10", "--survey", "no.toml"], "no.toml: No such file"),
        (["--prior", "wide", "--n", "10", "--fields", "lib.fits"], "no such library of images"),
    ],
)
def test_bad_options_end_in_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(npecat, ["simulate", *options])
    assert isinstance(result.exception, NpecatError)
    assert message in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "data").exists()


def test_command_line_prints_one_line_and_fails(tmp_path):
    done = run(tmp_path, "--prior", "many", "--n", "10", "--fields", "nowhere.fits")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("npecat: nowhere.fits") and done.stderr.count("\n") == 1
