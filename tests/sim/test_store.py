"""The store contract: self-describing, and refused by name when unfinished or not whole."""

import json
import os
import shutil

import numpy as np
import pytest
import zarr

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.simulation.simulate import prepare, run_task, simulate_images
from npecat_sim.store import reader as store
from npecat_sim.store import schema
from npecat_sim.store import writer as store_writer
from tests.helpers.stores import small_settings, write_store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("data"), "test", 50, images_per_chunk=20)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "one" / "test.zarr")


def opened(path):
    return store.Store(path)


def test_store_gives_back_what_was_simulated(whole):
    found = opened(whole).batch(slice(0, 50)).arrays()
    made = simulate_images(SINGLE_FIELD, 0, split="test", indices=range(50)).arrays()
    assert found.keys() == made.keys()
    for name, values in made.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_store_describes_itself(whole):
    group = zarr.open_group(whole, mode="r")
    for spec in schema.arrays(30):
        array = group[spec.name]
        assert array.metadata.dimension_names == spec.axes
        assert array.attrs["unit"] == spec.unit and array.attrs["description"] == spec.description
    assert group.attrs["catalog_prior"]["star_flux"]["slope"] == 0.469
    assert group.attrs["seed"] == 0 and group.attrs["prior"] == "one"


def test_layout_of_the_papers_stores_stays(whole):
    """Names and order of the settings are part of the bytes; prior wide adds none."""
    root = json.loads((whole / "zarr.json").read_text())
    names = """format format_version npecat_version prior split seed renderer n_images
    images_per_chunk image_size_pixel pixel_scale_arcsec catalog_prior fields n_fields n_sky_maps
    fields_sha256 psf_irregularity"""
    assert list(root["attributes"]) == names.split()
    assert root["attributes"]["format_version"] == 1
    assert opened(whole).names[:7] == (
        "images",
        "backgrounds",
        "psf_parameters",
        "fwhm",
        "field",
        "electrons_per_nmgy",
        "catalog/count",
    )
    batch = opened(whole).batch(slice(0, 2))
    assert batch.psf is None and batch.mask is None and batch.psf_of(0).sigma1 == 1.4899639


def test_missing_store_names_the_command(tmp_path):
    with pytest.raises(NpecatError, match=r"there is no store at .*"):
        opened(tmp_path / "one" / "test.zarr")


def test_unfinished_store_is_refused(tmp_path):
    path = store.store_path(tmp_path / "one", "test")
    tasks = prepare(path, small_settings(50, 20))
    run_task(tasks[0], SINGLE_FIELD)
    with pytest.raises(NpecatError, match="is not finished; complete it"):
        opened(path)
    assert store_writer.finished_chunks(path) == {0}


@pytest.mark.parametrize("name", ["images/c/1/0/0", "catalog/flux/c/0/0", "images/zarr.json"])
def test_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(NpecatError, match=f"{name} is missing"):
        opened(copy)


def test_cut_file_is_named(copy):
    os.truncate(copy / "backgrounds/c/2/0/0", 100)
    with pytest.raises(NpecatError, match="backgrounds/c/2/0/0 is cut short: 100 bytes instead"):
        opened(copy)


def test_flipped_bit_is_found_when_read(copy):
    chunk = copy / "images/c/0/0/0"
    content = bytearray(chunk.read_bytes())
    content[1000] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(NpecatError, match="array images is damaged"):
        opened(copy).array("images")


def test_other_format_version_is_refused(copy):
    metadata = json.loads((copy / "zarr.json").read_text())
    metadata["attributes"]["format_version"] = 99
    (copy / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(
        NpecatError, match=f"store format 99, and this npecat reads {schema.FORMAT_VERSION}"
    ):
        opened(copy)


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(NpecatError, match="not an npecat store"):
        opened(tmp_path)


def test_unknown_array_is_named_with_those_there_are(whole):
    with pytest.raises(NpecatError, match="has no array image; it has images, backgrounds, "):
        opened(whole).array("image")


def test_digest_names_the_content(whole, tmp_path):
    assert (
        opened(whole).digest
        == opened(write_store(tmp_path / "a", "test", 50, images_per_chunk=20)).digest
    )
    assert (
        opened(whole).digest
        != opened(write_store(tmp_path / "b", "test", 50, seed=1, images_per_chunk=20)).digest
    )


DEEP = (b"[" * 100_000, b'{"a":' * 600 + b"1" + b"}" * 600, b"\xff\xfe", b"")
"""JSON that no parser follows, that one follows and nobody can print, and what is no JSON."""


@pytest.mark.parametrize("content", DEEP)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zarr.json", "is not an npecat store"),
        ("manifest.json", "manifest.json is damaged"),
        ("images/zarr.json", "images/zarr.json is cut short|images/zarr.json is too long"),
    ],
)
def test_deep_json_is_refused_in_one_line(copy, name, message, content):
    (copy / name).write_bytes(content)
    with pytest.raises(NpecatError, match=message) as error:
        opened(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", DEEP)
def test_damaged_array_of_an_unfinished_store_is_refused_in_one_line(copy, content):
    (copy / store.MANIFEST).unlink()
    (copy / "images/zarr.json").write_bytes(content)
    unfinished = store.Contents(copy)
    for read in (unfinished.array, unfinished.about):
        with pytest.raises(NpecatError, match="array images is damaged") as error:
            read("images")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_images", 10**18),
        ("n_images", True),
        ("images_per_chunk", -1),
        ("seed", 10**30),
        ("catalog_prior", None),
        ("pixel_scale_arcsec", "wide"),
        ("n_sky_maps", [1]),
        ("fields_sha256", {}),
        ("psf_irregularity", [[0.1]]),
        ("format_version", "1\n2"),
    ],
)
def test_settings_of_odd_types_are_refused_in_one_line(copy, name, value):
    metadata = json.loads((copy / "zarr.json").read_text())
    metadata["attributes"][name] = value
    (copy / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(NpecatError, match=rf"{name} is|store format") as error:
        opened(copy)
    assert "\n" not in str(error.value)
