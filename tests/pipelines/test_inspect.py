"""``npecat info`` and ``npecat show`` say and draw what a store holds."""

from contextlib import suppress

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from npecat.cli import npecat
from npecat.commands.info import describe
from npecat_eval.pictures import contact_sheet as sheet
from npecat_eval.pictures.image_panels import draw_panels
from npecat_eval.pictures.style import COLOURS
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.simulation.simulate import prepare, run_task
from npecat_sim.store import reader as store
from tests.helpers.stores import small_settings, write_store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    fields = default_fields()
    return write_store(folder, "test", 25, "many", seed=3, fields=fields, images_per_chunk=10)


@pytest.fixture
def unfinished(tmp_path):
    """A store with chunks 0 and 2 of three: 15 of 25 images."""
    path = store.store_path(tmp_path / "one", "test")
    wanted = small_settings(25, 10)
    for task in prepare(path, wanted)[::2]:
        run_task(task, SINGLE_FIELD)
    return path


def run(*words):
    return CliRunner().invoke(npecat, [str(word) for word in words])


def test_info_agrees_with_the_arrays(whole):
    held = store.Store(whole)
    truth, fwhm = held.catalog().flat(), held.array("fwhm")
    sky = held.array("backgrounds").mean(axis=(1, 2)) / 0.396**2
    said = describe(whole)
    n_galaxies = truth["is_galaxy"].sum()
    n_stars = len(truth["x"]) - n_galaxies
    assert said["state"] == "finished" and said["images"] == "25 of 80 x 80 pixels"
    assert said["true sources"] == f"{len(truth['x'])}: {n_stars} stars, {n_galaxies} galaxies"
    assert said["an image"].startswith(f"{len(truth['x']) / 25:.2f} on average")
    assert f"({fwhm.min():.2f} to {fwhm.max():.2f}) arcsec" in said["FWHM"]
    assert f"({sky.min():.2f} to {sky.max():.2f}) nmgy/arcsec2" in said["sky"]
    assert said["fields"] == "500, source: embedded"
    assert [said[name] for name in ("prior", "split", "seed", "renderer")] == [
        *("many", "test", "3", "compiled")
    ]
    size = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    assert said["size"] == f"{size / 1e6:.1f} MB, {size / 25e3:.1f} kB an image"
    assert said["digest"] == held.digest


def test_info_is_printed_in_two_aligned_columns(whole):
    done = run("info", whole)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    rows = describe(whole)
    assert len(lines) == len(rows) and max(map(len, lines)) <= 120
    start = max(map(len, rows)) + 2
    for line, (name, value) in zip(lines, rows.items(), strict=True):
        assert line[:start].rstrip() == name and line[start:] == value


def test_info_of_an_unfinished_store_counts_what_is_there(unfinished):
    said = describe(unfinished)
    assert said["state"] == "unfinished: 2 of 3 chunks done" and "digest" not in said
    chunks = [store.Contents(unfinished).catalog(slice(*ends)) for ends in ((0, 10), (20, 25))]
    n_sources = sum(chunk.count.sum() for chunk in chunks)
    assert said["true sources"].startswith(f"{n_sources}:")
    assert said["an image"].startswith(f"{n_sources / 15:.2f} on average")


def test_info_of_a_store_with_no_chunk_yet(tmp_path):
    path = store.store_path(tmp_path / "one", "test")
    prepare(path, small_settings(25, 10))
    said = describe(path)
    assert said["state"] == "unfinished: 0 of 3 chunks done" and "true sources" not in said


def test_info_of_a_store_that_is_not_whole(tmp_path):
    path = write_store(tmp_path, "test", 10)
    (path / "images/c/0/0/0").unlink()
    said = describe(path)
    assert said["state"].startswith("not whole: images/c/0/0/0 is missing")
    assert said["seed"] == "0" and "true sources" not in said


def test_damaged_metadata_of_an_unfinished_store_ends_in_one_line(unfinished):
    generator = np.random.default_rng(0)
    for name in ("zarr.json", "fwhm/zarr.json", "catalog/zarr.json", "backgrounds/zarr.json"):
        content = (unfinished / name).read_bytes()
        for _ in range(50):
            harmed = bytearray(content)
            harmed[generator.integers(len(harmed))] ^= generator.integers(1, 256)
            (unfinished / name).write_bytes(harmed)
            with suppress(NpecatError):
                describe(unfinished)
        (unfinished / name).write_bytes(content)


def test_show_draws_beside_the_store_the_same_each_time(whole):
    done = run("show", whole, "-n", "5")
    assert done.exit_code == 0, done.exception
    picture = whole.with_suffix(".png")
    assert done.stdout == f"5 of 25 images: {picture}\n"
    first = picture.read_bytes()
    pixels = np.rint(imread(picture)[..., :3] * 255)
    for colour in COLOURS[:2]:
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        assert np.all(pixels == wanted, axis=-1).sum() > 50
    picture.unlink()
    run("show", whole, "-n", "5")
    assert picture.read_bytes() == first


def test_marks_stand_at_the_true_sources(whole):
    batch = store.Store(whole).batch(slice(0, 20))
    _, panels = draw_panels(batch.images, batch.catalog)
    assert len(panels) == 20
    for image, axes in enumerate(panels):
        sources = batch.catalog.sources(image)
        for marks, chosen in zip(
            axes.collections, (~sources["is_galaxy"], sources["is_galaxy"]), strict=True
        ):
            expected = np.stack([sources["x"][chosen], sources["y"][chosen]], axis=1)
            np.testing.assert_array_equal(marks.get_offsets(), expected)


def test_scale_bar_is_as_long_as_it_says(whole):
    batch = store.Store(whole).batch(slice(0, 1))
    _, (axes,) = draw_panels(batch.images, batch.catalog)
    before = axes.get_xlim(), axes.get_ylim()
    sheet._draw_scale_bar(axes)
    assert (axes.get_xlim(), axes.get_ylim()) == before
    left, right = axes.lines[0].get_xdata()
    assert (right - left) * 0.396 == pytest.approx(10) and axes.texts[0].get_text() == "10 arcsec"


@pytest.mark.parametrize(
    ("name", "words"), [("x.gif", "ends in .png or .pdf"), ("no/x.png", "cannot be written")]
)
def test_show_refuses_a_picture_that_it_cannot_write(whole, tmp_path, name, words):
    refused = run("show", whole, "-o", tmp_path / name).exception
    assert isinstance(refused, NpecatError) and words in str(refused)


def test_show_refuses_an_unfinished_store(unfinished):
    refused = run("show", unfinished).exception
    assert isinstance(refused, NpecatError) and "not finished" in str(refused)
