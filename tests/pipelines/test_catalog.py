"""``npecat catalog`` and ``npecat inspect`` as a user types them, on SDSS's frames and others."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from npecat.benchmarks.catalog import bench_catalog, cut
from npecat.cli import main
from npecat.commands.catalog import catalog
from npecat_eval.real_images.photoobj import read_photoobj
from npecat_eval.real_images.sdss_comparison import Comparison
from npecat_eval.real_images.sdss_tables import summary
from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import PixelFlag
from npecat_train.weights import DEFAULT_WEIGHTS, digest
from tests.helpers.counts import CAMERA, flux_of, noisy, starlight
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
        (("-o", "no/catalog.fits"), "no/catalog.fits: cannot be written (there is no folder"),
        (("-o", "catalog.reg", "--samples", "2"), "regions hold no samples"),
        (("-o", "catalog.fits", "--density", "5"), "variant psf_aware takes no density"),
        (("-o", "catalog.fits", "--star-share", "2"), "star_share is 2.0; it must be between"),
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


def typed(capfd, monkeypatch, *words: object) -> tuple[int, str, str]:
    """The exit status of a command line, what it prints, and its errors."""
    monkeypatch.setattr(sys, "argv", ["npecat", *(str(word) for word in words)])
    with pytest.raises(SystemExit) as end:
        main()
    return (end.value.code or 0, *capfd.readouterr())


def write_stars(path: Path, *, fwhm: float, clip: float = np.inf) -> int:
    """Write an image of bright stars so many pixels wide; their number."""
    grid = np.array([(x, y) for x in range(40, 200, 60) for y in range(40, 200, 60)]) + 0.3
    magnitudes = np.linspace(15, 18, len(grid))
    light = starlight(grid, flux_of(magnitudes), size=200, shape="psf", fwhm=fwhm, stamp=80)
    fits.writeto(path, np.minimum(noisy(light), np.float32(clip)), overwrite=True)
    return len(grid)


def test_bright_stars_without_a_row_are_told_and_listed(tmp_path, capfd, caplog, monkeypatch):
    """Stars of 6 pixels are unlike those in training: none is found."""
    image, out = tmp_path / "image.fits", tmp_path / "catalog.fits"
    n = write_stars(image, fwhm=6.0)
    words = ("catalog", image, *CAMERA, "--fwhm", "2.4", "-o")
    status, said, errors = typed(capfd, monkeypatch, *words, out)
    missed = tmp_path / "catalog.missed.fits"
    fact = f"{n} of {n} bright detections of SEP (SNR > 20) have no row"
    told = [line for line in errors.splitlines() if line.startswith("npecat: ")]
    assert status == 1 and len(told) == 1
    assert told[0].startswith(f"npecat: {image}: {fact}, listed in {missed}; ")
    assert told[0].endswith("(--force)") and "stars 6 pixels wide" in caplog.text
    assert f"{missed}: {fact}" in said and len(Table.read(out)) == 0
    table = Table.read(missed)
    assert len(table) == n and table["snr"].min() > 20 and table.meta["INPUT"] == str(image)
    assert Table.read(out).meta["NMISSED"] == n

    status, said, errors = typed(capfd, monkeypatch, *words, tmp_path / "catalog.reg", "--force")
    assert status == 0 and fact in said and "npecat: " not in errors
    assert len(Table.read(tmp_path / "catalog.missed.ecsv")) == n

    # A good catalog of the same name leaves no table of missed stars behind.
    write_stars(image, fwhm=3.5)
    status, said, _ = typed(capfd, monkeypatch, *words, out)
    assert status == 0 and not missed.exists()
    assert f"0 of {n} bright detections of SEP (SNR > 20) have no row" in said


def test_page_of_findings_is_printed_drawn_and_kept(tmp_path, capfd, caplog, monkeypatch):
    image = tmp_path / "image.fits"
    write_stars(image, fwhm=3.5, clip=6000)
    words = (image, *CAMERA, "--fwhm", "2")
    status, page, _ = typed(capfd, monkeypatch, "inspect", *words)
    assert status == 0 and "the PSF is that of the stars: " in caplog.text
    rows = dict(line.split(maxsplit=1) for line in page.splitlines() if line)
    names = ["image", "sky", "noise", "gain", "PSF", "saturation", "light", "zero"]
    assert list(rows) == names
    assert rows["image"].startswith("200 x 200 pixels, 0.00% without data")
    assert rows["sky"].startswith("183") and "where the brightest pixels pile" in rows["saturation"]
    outputs = [tmp_path / f"inspected.{kind}" for kind in ("png", "pdf")]
    for output in outputs:
        status, said, _ = typed(capfd, monkeypatch, "inspect", *words, "--plot", output)
        assert status == 0 and said == f"{page}{output}\n"
        assert output.stat().st_size > 10_000

    names = ("plot", "residual", "footprint")
    files = [tmp_path / name for name in ("field.png", "residual.png", "footprint.fits")]
    chosen = [word for name, file in zip(names, files, strict=True) for word in (f"--{name}", file)]
    out = tmp_path / "catalog.fits"
    words = ("catalog", *words, "-o", out, "--samples", 3, *chosen)
    status, said, _ = typed(capfd, monkeypatch, *words)
    assert status == 0 and said.startswith(page)
    assert all(str(file) in said and file.exists() for file in files)
    table, draws = Table.read(out), Table.read(tmp_path / "catalog.samples.fits")
    assert table.meta["SKYLEVEL"] == pytest.approx(183, abs=1)
    assert table.meta["NOISE"] == pytest.approx(6.23, rel=0.02)
    assert "stars are 1.38" in table.meta["PSFWIDTH"] and "not 2.000" in table.meta["WARN1"]
    saturated = table["flags"] & PixelFlag.SATURATED != 0
    assert saturated.sum() > 0 and set(draws["source"]) >= set(np.flatnonzero(saturated))
    mask = fits.getdata(tmp_path / "footprint.fits")
    assert np.array_equal(mask & PixelFlag.SATURATED != 0, fits.getdata(image) >= 5900)
    before = {file: file.read_bytes() for file in (out, *files)}
    typed(capfd, monkeypatch, *words)
    assert all(file.read_bytes() == content for file, content in before.items())


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
