"""Every fault of a store is found and named: planted at random places, one at a time."""

import json
import os
import shutil
from contextlib import suppress

import numpy as np
import pytest
from click.testing import CliRunner

from npecat.cli import npecat
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.simulation.simulate import prepare, run_task
from npecat_sim.store import manifest
from npecat_sim.store import reader as store
from npecat_sim.store import writer as store_writer
from npecat_sim.store.verify import verify
from tests.helpers.stores import simulate_one, small_settings, write_store

MAKE = "npecat simulate --prior many --n 0"
N_PLACES = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store of three chunks: the last is smaller, and the others' FWHM have one size."""
    folder = tmp_path_factory.mktemp("data")
    return write_store(folder, "test", 25, "many", fields=default_fields(), images_per_chunk=10)


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "many" / "test.zarr")


@pytest.fixture
def unfinished(tmp_path):
    """A store with two of its three chunks."""
    path = store.store_path(tmp_path / "one", "test")
    for task in prepare(path, small_settings(25, 10))[:2]:
        run_task(task, SINGLE_FIELD)
    return path


def files_of(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def read_all(path):
    """Every array of a store, as the trainer and the evaluation read them."""
    return store.Store(path).batch(slice(None)).arrays()


def refusal(path):
    """The one line with which opening or reading is refused."""
    with pytest.raises(NpecatError) as refused:
        read_all(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    return str(refused.value)


def flip(path, generator):
    """Change one byte of a file to another."""
    content = bytearray(path.read_bytes())
    content[generator.integers(len(content))] ^= generator.integers(1, 256)
    path.write_bytes(content)


def test_clean_store_has_no_fault(whole):
    assert verify(whole) == []
    assert len(read_all(whole)["images"]) == 25


def test_flipped_byte_is_found_in_whichever_file(copy):
    generator = np.random.default_rng(0)
    names = generator.permutation(files_of(copy))
    assert len(names) > N_PLACES and store.MANIFEST in names
    for name in [*names[:N_PLACES], store.MANIFEST, manifest.METADATA, "fwhm/zarr.json"]:
        content = (copy / name).read_bytes()
        flip(copy / name, generator)
        faults = verify(copy)
        assert len(faults) == 1 and faults[0].startswith(f"{name} "), (name, faults)
        refusal(copy)
        (copy / name).write_bytes(content)
    assert verify(copy) == [] and read_all(copy)


def test_flipped_byte_of_a_chunk_is_named_when_read(copy):
    generator = np.random.default_rng(1)
    chunks = [name for name in files_of(copy) if "/c/" in name]
    for name in generator.choice(chunks, 20, replace=False):
        content = (copy / name).read_bytes()
        flip(copy / name, generator)
        assert name.partition("/c/")[0] in refusal(copy)
        (copy / name).write_bytes(content)


def test_flipped_byte_of_metadata_is_named_when_opened(copy):
    generator = np.random.default_rng(2)
    for name in [name for name in files_of(copy) if name.endswith(".json")]:
        content = (copy / name).read_bytes()
        flip(copy / name, generator)
        assert name in refusal(copy) or name == manifest.METADATA  # then perhaps "no store"
        (copy / name).write_bytes(content)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_cut_file_is_named(copy, kept):
    generator = np.random.default_rng(3)
    for name in generator.choice(files_of(copy), 15, replace=False):
        content = (copy / name).read_bytes()
        os.truncate(copy / name, int(kept * len(content)))
        fault = verify(copy)
        if name != store.MANIFEST:
            left = f"{int(kept * len(content))} bytes instead of {len(content)}"
            assert fault == [f"{name} is cut short: {left}"]
        refusal(copy)
        (copy / name).write_bytes(content)


def test_missing_file_is_named(copy):
    for name in set(files_of(copy)) - {store.MANIFEST}:
        (copy / name).rename(copy.parent / "aside")
        assert verify(copy) == [f"{name} is missing"]
        assert name in refusal(copy) or name == manifest.METADATA
        (copy.parent / "aside").rename(copy / name)


def test_exchanged_chunks_are_both_named(copy):
    """Chunks 0 and 1 of the FWHM are of one size: only their endings tell them apart."""
    generator = np.random.default_rng(4)
    chunks = [name for name in files_of(copy) if "/c/" in name]
    pairs = [("fwhm/c/0", "fwhm/c/1"), *generator.choice(chunks, (20, 2))]
    assert (copy / pairs[0][0]).stat().st_size == (copy / pairs[0][1]).stat().st_size
    for first, second in pairs:
        exchange(copy / first, copy / second)
        if (copy / first).read_bytes() != (copy / second).read_bytes():
            assert {fault.split()[0] for fault in verify(copy)} == {first, second}
            with pytest.raises(NpecatError, match="is not whole"):
                store.Store(copy)
        exchange(copy / first, copy / second)
    assert verify(copy) == []


def exchange(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def test_every_fault_is_reported(copy):
    os.truncate(copy / "images/c/0/0/0", 10)
    (copy / "catalog/x/c/1/0").unlink()
    (copy / "images/c/7").write_text("mine")
    shutil.rmtree(copy / "fwhm/c")
    (copy / "fwhm/c").write_text("a file where a folder was")
    assert {fault.split()[0] for fault in verify(copy)} == {
        "images/c/0/0/0",
        "catalog/x/c/1/0",
        "images/c/7",
        "fwhm/c",
        *(f"fwhm/c/{chunk}" for chunk in range(3)),
    }
    refusal(copy)


def test_manifest_of_another_store_is_noticed(copy, tmp_path):
    other = write_store(tmp_path / "other", "test", 25, "one", seed=1, images_per_chunk=10)
    shutil.copy(other / store.MANIFEST, copy / store.MANIFEST)
    assert len(verify(copy)) > len([name for name in files_of(copy) if "/c/" in name]) / 2
    refusal(copy)


def test_unfinished_store_is_refused_by_name(unfinished):
    with pytest.raises(NpecatError, match=rf"{unfinished} is not finished; complete it"):
        verify(unfinished)


@pytest.mark.parametrize("harm", ["flip", "cut", "exchange", "remove"])
def test_damaged_receipt_means_that_the_chunk_is_made_again(unfinished, tmp_path, harm):
    generator = np.random.default_rng(5)
    receipts = [unfinished / store_writer.RECEIPTS / f"{chunk}.json" for chunk in range(2)]
    if harm == "flip":
        flip(receipts[1], generator)
    elif harm == "cut":
        os.truncate(receipts[1], 100)
    elif harm == "exchange":
        exchange(*receipts)
    else:
        receipts[1].unlink()
    assert store_writer.finished_chunks(unfinished) == (set() if harm == "exchange" else {0})
    with pytest.raises(NpecatError, match=r"chunk \d is not finished"):
        store_writer.seal(unfinished)
    for task in prepare(unfinished, store.settings(unfinished)):
        run_task(task, SINGLE_FIELD)
    store_writer.seal(unfinished)
    assert verify(unfinished) == []


def test_interrupted_seal_is_completed(copy):
    (copy / store_writer.RECEIPTS).mkdir()
    (copy / store_writer.RECEIPTS / "2.json").write_text("{}")
    store_writer.seal(copy)
    assert verify(copy) == []


def test_store_without_its_manifest_is_completed_by_simulate(tmp_path):
    path = write_store(tmp_path, "test", 10)
    (path / store.MANIFEST).unlink()
    assert "is not finished" in refusal(path)
    chunk = json.loads((path / manifest.METADATA).read_text())["attributes"]["images_per_chunk"]
    simulate_one(tmp_path / "one", {"test": 10}, images_per_chunk=chunk)
    assert verify(path) == []


def test_damaged_settings_of_an_unfinished_store_end_in_one_line(unfinished):
    """Whatever a random byte makes of the root's metadata, nothing but NpecatError comes out."""
    generator = np.random.default_rng(6)
    metadata = unfinished / manifest.METADATA
    content = metadata.read_bytes()
    for _ in range(300):
        flip(metadata, generator)
        with suppress(NpecatError):
            store_writer.finished_chunks(unfinished)
        with pytest.raises(NpecatError):
            store.Store(unfinished)
        metadata.write_bytes(content)


def test_command_names_faults_and_fails(copy, whole):
    clean = CliRunner().invoke(npecat, ["verify", str(whole)])
    assert clean.exit_code == 0 and clean.stdout == f"{whole}: whole\n"
    (copy / "images/c/1/0/0").unlink()
    (copy / "stray").write_text("")
    harmed = CliRunner().invoke(npecat, ["verify", str(whole), str(copy)])
    assert harmed.exit_code == 1
    assert harmed.stdout.splitlines() == [
        f"{whole}: whole",
        f"{copy}: images/c/1/0/0 is missing",
        f"{copy}: stray is not in the manifest",
        f"{copy}: 2 faults",
    ]
    assert "files" in harmed.stderr


@pytest.mark.parametrize("command", ["verify", "info", "show"])
def test_commands_refuse_what_is_no_store(tmp_path, command):
    (tmp_path / "file.txt").write_text("mine")
    for path, words in ((tmp_path, "not an npecat store"), (tmp_path / "no", "no store at")):
        refused = CliRunner().invoke(npecat, [command, str(path)]).exception
        assert isinstance(refused, NpecatError) and words in str(refused)
