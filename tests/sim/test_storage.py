"""Files are replaced whole; killed processes lose nothing and leave nothing for long."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.io.file_set import replacing_set
from npecat_sim.io.leftovers import DAY, abandoned, mark
from npecat_sim.io.storage import PARTIAL, replacing, writing

KILLED = """
import os, signal, sys
from pathlib import Path
from npecat_sim.io.file_set import replacing_set
from npecat_sim.io.storage import replacing
folder = Path(sys.argv[1])
with replacing(folder / "a.fits") as partial, replacing_set(folder) as files:
    partial.write_text("half")
    (files / "tables.md").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def content(folder: Path) -> dict[str, str]:
    """Name -> text of every file in a folder."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    old = {"a.fits": "old", "tables.md": "old", "figure.png": "old", "mine.txt": "mine"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == -9
    left = {path.name for path in tmp_path.iterdir()} - old.keys()
    assert len(left) == 2 and all(name.endswith(PARTIAL) for name in left)
    assert {name: (tmp_path / name).read_text() for name in old} == old
    with replacing(tmp_path / "a.fits") as partial:
        partial.write_text("new")
    with replacing_set(tmp_path) as files:
        for name in ("tables.md", "figure.png"):
            (files / name).write_text("new")
    assert content(tmp_path) == dict.fromkeys(old, "new") | {"mine.txt": "mine"}


def test_nothing_of_a_process_that_may_live_is_removed(tmp_path):
    """The parent of this process lives; what another machine does is not known."""
    machine, own = mark().split(".")
    other = f"{int(machine, 16) ^ 1:08x}"
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {
        "living": f".a.{machine}.{os.getppid()}.partial",
        "own": f".a.{machine}.{own}.partial",
        "dead": f".a.{machine}.{dead.pid}.partial",
        "elsewhere": f".a.{other}.{dead.pid}.partial",
        "long ago elsewhere": f".a.{other}.1.partial",
        "of another name": f".a.b.{machine}.{dead.pid}.partial",
        "no mark": ".a.1234.partial",
    }
    for name in names.values():
        (tmp_path / name).touch()
    past = time.time() - 1.1 * DAY
    for key in ("living", "own", "long ago elsewhere"):
        os.utime(tmp_path / names[key], (past, past))
    found = {path.name for path in abandoned(tmp_path, ".a.", seconds=DAY)}
    assert found == {names["dead"], names["long ago elsewhere"]}
    assert [path.name for path in abandoned(tmp_path, ".a.")] == [names["dead"]]
    assert not list(abandoned(tmp_path / "none", ".a."))


def test_a_failed_set_leaves_the_old_one(tmp_path):
    (tmp_path / "tables.md").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_set(tmp_path) as files:
        (files / "tables.md").write_text("new")
        raise ZeroDivisionError
    assert content(tmp_path) == {"tables.md": "old"}


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.fits"
    link.symlink_to("disk/b.fits")
    for text in ("new", "newer"):
        with replacing(link) as partial:
            partial.write_text(text)
        assert link.is_symlink() and content(tmp_path / "disk") == {"b.fits": text}


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        OSError("Not enough space on disk: requested 6480000, available 0. "),  # astropy
        OSError("810000 requested and 261784 written"),  # NumPy
    ],
)
def test_a_full_disk_is_known_in_every_disguise(error):
    words = r"x: cannot be written \(No space left.*free space"
    with pytest.raises(NpecatError, match=words), writing(Path("x")):
        try:
            raise error
        finally:
            raise ValueError("inconsistent stream state")  # zlib, under Matplotlib


def test_other_failures_keep_their_reason():
    words = r"\(Permission denied\); name another path"
    with pytest.raises(NpecatError, match=words), writing(Path("x")):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(ValueError, match="a fault of the program"), writing(Path("x")):
        raise ValueError("a fault of the program")
