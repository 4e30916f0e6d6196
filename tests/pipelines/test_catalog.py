"""``npecat catalog`` as a user types it, on a frame in SDSS's layout and on any FITS image."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from npecat.benchmarks.catalog import bench_catalog, cut
from npecat.commands.catalog import catalog
from npecat_eval.real_images.photoobj import read_photoobj
from npecat_eval.real_images.sdss_comparison import Comparison
from npecat_eval.real_images.sdss_tables import summary
from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from npecat_train.weights import DEFAULT_WEIGHTS, digest
from tests.helpers.survey_images import ELECTRONS, SKY, survey_image

READING = ("--zeropoint", "22.5", "--gain", f"{ELECTRONS}", "--sky", f"{SKY}", "--fwhm", "1.43")
"""A count of the written image is a nanomaggy."""


@pytest.fixture
def image_path(tmp_path) -> Path:
    image = survey_image(150, 170)
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(image.image, image.wcs.to_header()).writeto(path)
    return path


def run(*words: object) -> str:
    done = CliRunner().invoke(catalog, [str(word) for word in words])
    if done.exception:
        raise done.exception
    return done.output


def test_catalog_and_samples_of_an_image_with_the_weights_of_the_package(image_path):
    out = image_path.with_name("catalog.fits")
    said = run(image_path, *READING, "-o", out, "--samples", "20")
    table = Table.read(out)
    draws = Table.read(out.with_name("catalog.samples.fits"))
    assert f"{len(table)} sources" in said and "catalog.samples.fits" in said
    assert 20 <= len(table) <= 45  # of 30 stars
    assert table.meta["WEIGHTS"] == digest(DEFAULT_WEIGHTS) and table.meta["INPUT"] == str(
        image_path
    )
    assert set(draws["draw"]) == set(range(20)) and draws["source"].max() == len(table) - 1
    before = {path: path.read_bytes() for path in (out, out.with_name("catalog.samples.fits"))}
    run(image_path, *READING, "-o", out, "--samples", "20")
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-o", "catalog.txt"), "choose one of .fits"),
        (("-o", "no/folder/catalog.fits"), "no/folder/catalog.fits: cannot be written"),
        (("-o", "catalog.reg", "--samples", "2"), "regions hold no samples"),
        (("-o", "catalog.fits", "--checkpoint", "image.fits"), "not a whole npecat checkpoint"),
        (("-o", "catalog.fits", "--checkpoint", "none.safetensors"), "none.safetensors"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(image_path, monkeypatch, words, problem):
    monkeypatch.chdir(image_path.parent)
    with pytest.raises(NpecatError) as error:
        run("image.fits", *READING, *words)
    assert problem in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in Path().iterdir()] == ["image.fits"]


def test_bench_prints_time_memory_and_the_ratio_to_sep(image_path):
    done = CliRunner().invoke(bench_catalog, [str(image_path), *READING, "--rounds", "1"])
    assert done.exit_code == 0, done.output
    assert "SEP as scored" in done.output and "times as long" in done.output
    assert done.output.rstrip().endswith("GB")


def test_image_is_cut_into_pieces_in_order():
    array = np.arange(100 * 170).reshape(100, 170)
    pieces = cut(array)
    assert pieces.shape == (6, 80, 80)
    assert np.array_equal(pieces[1], array[:80, 80:160])
    assert np.array_equal(pieces[3][:20], array[80:, :80]) and not pieces[3][20:].any()


def test_real_frame(sdss_dir, tmp_path):
    """The whole field, as in the README, in a process of its own, beside SDSS's own catalog."""
    out = tmp_path / "catalog.fits"
    frame = sdss_dir / "frame-r-000094-1-0012.fits.bz2"
    command = [sys.executable, "-m", "npecat", "catalog", str(frame), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    table = Table.read(out)
    assert 500 < len(table) < 1500 and (table["dec"] > -1.1).all() and (table["ra"] < 337).all()
    assert 0 < (table["flags"] > 0).sum() < 0.3 * len(table)
    sdss = read_photoobj(sdss_dir / "photoObj-000094-1-0012.fits")
    rows = {
        (row["mag_low"], row["mag_high"]): row
        for row in summary(Comparison.of(read_catalog(out), sdss))
    }
    assert rows[-np.inf, 21]["complete"] >= 0.97
    assert rows[15, 20]["star_ratio"] == pytest.approx(1, abs=0.01)
    assert rows[15, 20]["agree"] >= 0.98 and rows[20, 21]["agree"] >= 0.94
    assert rows[15, 21]["alone_unflagged"] <= 0.02
