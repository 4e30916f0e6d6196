"""Where a command will write is checked before any work, by the identity of files."""

import os
from pathlib import Path

import pytest
from upath import UPath

from npecat_sim.errors import OutputError
from npecat_sim.io.outputs import check_output_folder, check_outputs

READ = "would change what is read as IMAGE"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The present folder: in.fits under three names, a store, and what cannot be written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fits").write_text("precious")
    (tmp_path / "soft.fits").symlink_to("in.fits")
    (tmp_path / "hard.fits").hardlink_to("in.fits")
    (tmp_path / "store.zarr" / "images").mkdir(parents=True)
    (tmp_path / "folder").symlink_to(".")
    (tmp_path / "dangling.fits").symlink_to("new.fits")
    (tmp_path / "locked.fits").write_text("precious")
    (tmp_path / "locked.fits").chmod(0o444)
    (tmp_path / "locked").mkdir(mode=0o555)
    os.mkfifo(tmp_path / "pipe.fits")
    return tmp_path


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("in.fits", READ),
        ("soft.fits", READ),
        ("hard.fits", READ),
        ("folder/folder/in.fits", READ),
        ("store.zarr/picture.png", "read as STORE"),
        ("folder/store.zarr/images/picture.png", "read as STORE"),
        ("absent.fits", "read as mask; name"),
        ("none/out.fits", "there is no folder"),
        ("in.fits/out.fits", READ),
        ("locked/out.fits", "is read-only"),
        ("locked.fits", "it is read-only"),
        ("folder", "it is no file"),
        ("pipe.fits", "it is no file"),
    ],
)
def test_a_file_that_is_read_or_cannot_be_written_is_refused(folder, output, words):
    reads = {"IMAGE": "in.fits", "STORE": Path("store.zarr"), "mask": Path("absent.fits")}
    with pytest.raises(OutputError, match=words) as refused:
        check_outputs({"plot": None, "output": Path(output)}, reads)
    assert str(refused.value).startswith(f"{output}: ") and "\n" not in str(refused.value)
    assert refused.value.parameters == ("output",)


@pytest.mark.parametrize(
    ("first", "second"),
    [("x.fits", "x.fits"), ("x.fits", "folder/x.fits"), ("new.fits", "dangling.fits")],
)
def test_two_outputs_may_not_be_one_file(folder, first, second):
    with pytest.raises(OutputError, match="would be written twice") as refused:
        check_outputs({"output": Path(first), "residual": Path(second)}, {})
    assert refused.value.parameters == ("output", "residual")


def test_all_else_is_allowed(folder):
    (folder / "old.fits").write_text("old")
    names = ("new.fits", "old.fits", "folder/other.fits")
    reads = {"IMAGE": Path("in.fits"), "psf": "1.4,3,2.6,3.2,0.04,0.01", "mask": None}
    check_outputs({name: Path(name) for name in names}, reads)
    check_outputs({"output": UPath("memory://a/b.fits")}, reads)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("in.fits/deep/inside", "in.fits is no folder"),
        ("locked/deep/inside", "is read-only"),
        ("store.zarr", "read as STORE"),
        ("store.zarr/new", "read as STORE"),
        ("new/deep/inside", None),
        (".", None),
    ],
)
def test_a_folder_need_not_exist_but_files_can_be_made_in_it(folder, output, words):
    if words is None:
        check_output_folder("out", Path(output), {"STORE": "store.zarr"})
        return
    with pytest.raises(OutputError, match=words) as refused:
        check_output_folder("out", Path(output), {"STORE": "store.zarr"})
    assert refused.value.parameters == ("out",) and "\n" not in str(refused.value)
    assert not (folder / "new").exists()
