"""Libraries of one's own images: what was measured comes back, and images are drawn from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from npecat.cli import npecat
from npecat_sim.errors import NpecatError
from npecat_sim.fields.image_library import load_image_library, save_image_library
from npecat_sim.fields.images import ImageTable, sampled
from npecat_sim.fields.library import load_library, save_library
from npecat_sim.fields.sdss_statistics import draw_fields
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.render.noise import correlated_noise, noise_correlation
from npecat_sim.store.reader import Store
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_sim.wide.draws import draw_conditions
from npecat_sim.wide.survey import WIDE, Survey
from npecat_sim.wide.telescope import WIDTH_SPREAD
from tests.helpers.bit_flips import flip_bits
from tests.helpers.stores import write_store

SIDE, SPACING = 360, 60

PSFS = {
    "a.fits": ParametricPsf("moffat", 3.0, 0.1, -0.05, 3.2),
    "b.fits": ParametricPsf("moffat", 3.6, -0.06, 0.08, 2.8),
    "c.fits": ParametricPsf("moffat", 3.0, 0.0, 0.1, 4.0),
}
"""Name of an image -> the PSF of its stars, in its middle."""

WIDENING = {"a.fits": 0.0, "b.fits": 0.2, "c.fits": 0.0}
"""Change of the width of the PSF across each image, as a share of it."""

CAMERAS = {"a.fits": (26.0, 2.0, 300.0, 0.3), "b.fits": (25.5, 4.0, 150.0, 0.5)}
CAMERAS["c.fits"] = CAMERAS["a.fits"]
"""Zero point, electrons per count, sky in counts and pixel scale of each image."""

SPREAD = {"a.fits": 0.0, "b.fits": 0.0, "c.fits": 0.7}
"""Pixels over which the noise of each image is spread."""


def write_image(path: Path, *, with_zero_point: bool = True) -> Path:
    """An image of PSFS, CAMERAS and SPREAD: 36 stars near the nodes of a grid."""
    psf, (zero_point, gain, sky, scale) = PSFS[path.name], CAMERAS[path.name]
    generator = np.random.default_rng(sorted(PSFS).index(path.name))
    light = np.zeros((SIDE, SIDE))
    row, column = np.mgrid[:SIDE, :SIDE]
    for node in np.ndindex(SIDE // SPACING, SIDE // SPACING):
        y, x = (np.array(node) + 0.5) * SPACING + generator.uniform(-8, 8, 2)
        at = np.s_[max(int(y) - 30, 0) : int(y) + 31, max(int(x) - 30, 0) : int(x) + 31]
        star = psf.scaled(1 + WIDENING[path.name] * (x / SIDE - 0.5))
        light[at] += np.exp(generator.uniform(8, 11)) * star.shares(column[at] - x, row[at] - y)
    noise = correlated_noise(SIDE, SPREAD[path.name], generator=generator)
    counts = light + sky + np.sqrt((light + sky) / gain) * noise
    header = fits.Header({"GAIN": gain, "FILTER": "r"})
    for axis, kind in ((1, "RA---TAN"), (2, "DEC--TAN")):
        header.update({f"CTYPE{axis}": kind, f"CRVAL{axis}": 10.0, f"CRPIX{axis}": 1.0})
        header[f"CDELT{axis}"] = (-1) ** axis * scale / 3600
    if with_zero_point:
        header["MAGZERO"] = zero_point
    fits.writeto(path, counts.astype(np.float32), header)
    return path


def run(*words: object) -> str:
    result = CliRunner().invoke(npecat, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three images, one that is none and one without a zero point."""
    place = tmp_path_factory.mktemp("night")
    for name in PSFS:
        write_image(place / name)
    (place / "broken.fits").write_text("no image")
    (place / "notes.txt").write_text("clear all night")
    (place / "other").mkdir()
    write_image(place / "other" / "b.fits", with_zero_point=False).rename(place / "d.fits")
    return place


def test_images_of_a_folder_are_measured(folder, tmp_path, caplog):
    path = tmp_path / "library.fits"
    text = run("fields", "import", folder, "-o", path)
    left_out = [r.getMessage() for r in caplog.records if r.getMessage().startswith("left out")]
    assert len(left_out) == 2 and "broken.fits: " in left_out[0]
    assert "d.fits: " in left_out[1] and "give zeropoint" in left_out[1]
    images = load_image_library(path)
    assert images.name == tuple(PSFS) and f"{path}: 3 images" in text
    for row, name in enumerate(images.name):
        true, (zero_point, gain, sky, scale) = PSFS[name], CAMERAS[name]
        nmgy = float(flux_of_magnitude(zero_point))
        assert images.pixel_scale[row] == pytest.approx(scale, rel=1e-3)
        assert images.electrons_per_nmgy[row] == pytest.approx(gain / nmgy, rel=1e-6)
        assert images.sky[row] == pytest.approx(sky * nmgy / scale**2, rel=0.05)
        assert images.noise(row) == pytest.approx(np.sqrt(sky / gain) * nmgy, rel=0.03)
        of_noise = noise_correlation(true.stamp(PSF_SIDE), SPREAD[name])
        assert images.correlation[row] == pytest.approx(of_noise, rel=0.06)
        stamp, found = true.stamp(PSF_SIDE), images.psf_of(row).stamp(PSF_SIDE)
        assert np.abs(found - stamp).max() < 0.02 * stamp.max()
        assert images.ellipticity(row) == pytest.approx((true.g1, true.g2), abs=0.012)
        widths = [images.psf_of(row, place=place).fwhm for place in range(len(images.psf[row]))]
        if WIDENING[name]:  # at 3 x 3 places, the middles of thirds
            ratio = (1 + WIDENING[name] / 3) / (1 - WIDENING[name] / 3)
            np.testing.assert_allclose(np.divide(widths[2::3], widths[::3]), ratio, rtol=0.02)
        else:
            assert len(widths) == 1
        depth = magnitude(5 * nmgy * np.sqrt(sky / gain) * of_noise / np.sqrt(np.sum(stamp**2)))
        assert images.depth(row) == pytest.approx(depth, abs=0.08)
    shown = run("fields", "show", path)
    assert shown.splitlines()[:-1] == text.splitlines()[-5:]  # a header, three images, medians
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_options_of_the_reader_hold_for_every_image(folder, tmp_path):
    path = tmp_path / "library.fits"
    options = ["--zeropoint", "24", "--gain", "3", "--psf", "1.2,2.6,2.6,3.2,0.04,0.01"]
    run("fields", "import", folder / "d.fits", folder / "b.fits", "-o", path, *options)
    images = load_image_library(path)
    assert images.name == ("d.fits", "b.fits")
    assert images.electrons_per_nmgy == pytest.approx(3 / flux_of_magnitude(24.0))


def a_table(**changes) -> ImageTable:
    """Two images: one PSF, white noise; and PSFs at two places, correlated noise."""
    places = [[ParametricPsf("moffat", 2.5, 0.1, 0.0, 3.0)]]
    places += [[ParametricPsf("gaussian", width, 0.0, 0.1) for width in (4.0, 4.4)]]
    psf, step = zip(*map(sampled, places), strict=True)
    table = ImageTable(
        name=("one.fits", "two.fits"),
        band=("r", "z"),
        pixel_scale=np.array([0.2, 0.5]),
        sky=np.array([2.0, 10.0]),
        electrons_per_nmgy=np.array([900.0, 300.0]),
        correlation=np.array([1.0, 1.4]),
        step=np.array(step),
        psf=psf,
    )
    return replace(table, **changes)


def test_a_library_comes_back_with_the_same_bytes(tmp_path):
    first, second = tmp_path / "one.fits", tmp_path / "two.fits"
    save_image_library(a_table(), first)
    save_image_library(load_image_library(first), second)
    assert first.read_bytes() == second.read_bytes()
    assert load_image_library(first).digest == a_table().digest
    for changes in ({"sky": np.array([2.0, 9.0])}, {"psf": a_table().psf[::-1]}):
        assert a_table(**changes).digest != a_table().digest


def test_images_have_psf_pixels_and_noise_of_the_library(tmp_path):
    """Whatever chunks they are made in; sources and defects are those of the survey."""
    images = a_table()
    survey = WIDE.of_images(images, "library")
    stores = [
        Store(write_store(tmp_path / str(n), "train", 20, "wide", 1, images, n, survey=survey))
        for n in (9, 20)
    ]
    batches = [store.batch(slice(0, 20)) for store in stores]
    for name, values in batches[0].arrays().items():
        np.testing.assert_array_equal(values, batches[1].arrays()[name], err_msg=name)
    settings, told = stores[0].settings, batches[0]
    assert settings.fields_sha256 == images.digest
    assert (settings.fields, settings.n_fields, settings.n_sky_maps) == ("images", 2, 0)
    rows = (told.pixel_scale == 0.5).astype(int)
    assert 4 < rows.sum() < 16
    np.testing.assert_array_equal(told.pixel_scale, images.pixel_scale[rows])
    np.testing.assert_array_equal(told.electrons_per_nmgy, images.electrons_per_nmgy[rows])
    assert told.noise_correlation == pytest.approx(images.correlation[rows], rel=1e-3)
    factors = []
    for row, stamp, background in zip(rows, told.psf, told.backgrounds, strict=True):
        misfit = [
            (np.abs(images.psf_of(row, place=place).scaled(f).stamp(PSF_SIDE) - stamp).max(), f)
            for place in range(len(images.psf[row]))
            for f in np.exp(np.arange(-0.1, 0.1, 0.002))
        ]
        least, factor = min(misfit)
        assert least < 0.005 * stamp.max()
        factors.append(np.log(factor))
        level = images.sky[row] * images.pixel_scale[row] ** 2
        assert np.quantile(background, 0.05) == pytest.approx(level, rel=0.06)
    assert 0.5 * WIDTH_SPREAD < np.std(factors) < 1.5 * WIDTH_SPREAD
    noise = np.array([images.noise_under_psf(row) for row in rows]) / images.correlation[rows]
    depth = noise / told.faint_flux
    assert 0.025 < depth.min() < 0.2 and 0.5 < depth.max() < 3.3


def test_survey_tells_how_faint_sources_are():
    images = a_table()
    survey = Survey(sources=replace(WIDE.sources, faint_magnitude=23.0)).of_images(images, "mine")
    drawn = [draw_conditions(survey, images, 0, split="test", index=index) for index in range(30)]
    assert [one.faint_flux for one in drawn] == pytest.approx([flux_of_magnitude(23.0)] * 30)
    for changes, words in (
        ({"faint_magnitude": 28.0}, "mine, one.fits: .* give .sources. faint_magnitude from"),
        ({"per_arcmin2": (1.0, 2e3)}, "mine: .sources. per_arcmin2 makes .* give at most 288"),
    ):
        with pytest.raises(NpecatError, match=words) as refused:
            Survey(sources=replace(WIDE.sources, **changes)).of_images(images, "mine")
        assert "\n" not in str(refused.value)


def test_command_simulates_and_refuses_to_go_on_with_other_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image_library(a_table(), Path("mine.fits"))
    save_image_library(a_table(sky=np.array([2.0, 9.0])), Path("other.fits"))
    words = ["simulate", "--prior", "wide", "--n", "0", "--n-validation", "0", "--n-test", "6"]
    words += ["--workers", "1", "--fields"]
    assert "6 images over survey wide as seen in 2 images" in run(*words, "mine.fits")
    assert "6 images" in run(*words, "mine.fits")
    with pytest.raises(NpecatError, match=r"test\.zarr was made with fields_sha256 = "):
        run(*words, "other.fits")


def refusal(path: Path) -> str:
    with pytest.raises(NpecatError) as refused:
        load_image_library(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and "npecat fields import" in message
    assert "\n" not in message
    return message


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "library.fits"
    save_image_library(a_table(), path)
    before, n_refused = load_image_library(path).digest, 0
    for _ in flip_bits(path, 100):
        try:
            assert load_image_library(path).digest == before
        except NpecatError as error:
            n_refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert n_refused > 60
    content = path.read_bytes()
    for kept in (0, 3000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        refusal(path)


def test_libraries_of_another_kind_and_unphysical_ones_are_refused(tmp_path):
    fields, images = tmp_path / "fields.fits", tmp_path / "images.fits"
    save_library(draw_fields(3, 0), fields)
    save_image_library(a_table(), images)
    assert "a library of SDSS's fields, for priors many and held_out" in refusal(fields)
    with pytest.raises(NpecatError, match="a library of images, for prior wide"):
        load_library(images)
    assert "no such library of images" in refusal(tmp_path / "none.fits")
    for changes, words in (
        ({"sky": np.array([1.0, np.nan])}, "row 1: sky is nan"),
        ({"psf": tuple(-one for one in a_table().psf)}, "row 0, PSF 0: .* no positive flux"),
        ({"name": ()}, "holds no image"),
    ):
        with pytest.raises(NpecatError, match=words):
            save_image_library(a_table(**changes), tmp_path / "bad.fits")
    assert not (tmp_path / "bad.fits").exists()


def test_import_refuses_what_it_cannot_use(folder, tmp_path):
    out = ["-o", str(tmp_path / "library.fits")]
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, named in (
        ([folder / "broken.fits", folder / "d.fits"], "none of 2 images can be read; the first: "),
        ([empty], "no file of this folder ends with .fits"),
        (["photoField-000094-1.fits", "--zeropoint", "25"], "zeropoint is for images"),
        ([folder, "-o", folder / "library.fits"], "would change what is read"),
    ):
        result = CliRunner().invoke(npecat, ["fields", "import", *out, *map(str, words)])
        assert isinstance(result.exception, NpecatError)
        assert named in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "library.fits").exists()
