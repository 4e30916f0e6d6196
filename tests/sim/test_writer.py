"""Stores are written by one process at a time, whole or to be completed, with their provenance."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from npecat.benchmarks.simulate import digests
from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.io.lock import locked
from npecat_sim.model.prior import PAPER_PRIOR
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.provenance import provenance_path, recorded
from npecat_sim.simulation.simulate import Task, prepare, run_task
from npecat_sim.store import reader as store
from npecat_sim.store import writer as store_writer
from tests.helpers.stores import simulate_one, small_settings, write_store

HOLD = """
import sys, time
from pathlib import Path
from npecat_sim.io.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

SIMULATE = [sys.executable, "-m", "npecat", "simulate", "--prior", "one", "--n", "0"]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIMULATE, *options], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_second_writer_is_turned_away_and_a_dead_one_forgotten(tmp_path):
    path = store.store_path(tmp_path / "data" / "one", "test")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        done = run(tmp_path, "--n-test", "10")
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
        who = f"is being written by process {holder.pid} on {socket.gethostname()} since 2"
        assert who in done.stderr and not path.exists()
        holder.send_signal(signal.SIGKILL)
    assert str(holder.pid) in path.with_suffix(".lock").read_text()
    simulate_one(tmp_path / "data" / "one", {"test": 10})
    assert store.is_sealed(path) and path.with_suffix(".lock").read_text() == ""


def test_a_run_holds_its_stores_to_its_end(tmp_path, monkeypatch):
    """While tasks run, and while the store is sealed, the lock cannot be had."""
    refused = []

    def look(path):
        with pytest.raises(NpecatError, match=f"process {os.getpid()} "), locked(path):
            pass
        refused.append(path)
        seal(path)

    seal = store_writer.seal
    monkeypatch.setattr(store_writer, "seal", look)
    counts = {"train": 5, "test": 5}
    assert simulate_one(tmp_path / "one", counts) == refused


def test_every_difference_is_shown_and_overwrite_replaces(tmp_path):
    path = write_store(tmp_path, "test", 10, images_per_chunk=500)
    before = digests(path)
    with pytest.raises(NpecatError) as caught:
        simulate_one(tmp_path / "one", {"train": 20, "test": 20}, seed=1)
    message = str(caught.value)
    assert "seed = 0 instead of 1, n_images = 10 instead of 20; " in message
    assert "replace it" in message and "\n" not in message
    assert digests(path) == before and not (tmp_path / "one" / "train.zarr").exists()
    simulate_one(tmp_path / "one", {"test": 20}, seed=1, overwrite=True)
    fresh = write_store(tmp_path / "fresh", "test", 20, seed=1, images_per_chunk=500)
    assert digests(path) == digests(fresh)
    assert list(path.parent.glob("test.zarr*")) == [path]


def test_overwrite_behind_a_link_replaces_the_store_there(tmp_path):
    """And its lock is that of the store, whatever name it goes by."""
    real, link = tmp_path / "disk" / "big", tmp_path / "one" / "test.zarr"
    real.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to("../disk/big")
    for n_images in (10, 20):
        simulate_one(tmp_path / "one", {"test": n_images}, overwrite=True)
        assert link.is_symlink() and len(store.Store(real)) == n_images
    with locked(link), pytest.raises(NpecatError, match="is being written by"), locked(real):
        pass


def test_overwrite_deletes_nothing_where_the_cluster_does_not_answer(tmp_path):
    path = write_store(tmp_path, "test", 10)
    before = digests(path)
    with pytest.raises(NpecatError, match="scheduler file none is not there"):
        cluster = Cluster(scheduler_file="none")
        simulate_one(tmp_path / "one", {"test": 10}, cluster=cluster, overwrite=True)
    assert digests(path) == before


def test_a_lock_file_of_any_bytes_is_shown_in_one_line(tmp_path):
    path = store.store_path(tmp_path, "test")
    with locked(path):
        path.with_suffix(".lock").write_bytes(b"process \xff\xfe\nof\n" + 9999 * b"x")
        words = r"written by process .* of x*; wait"
        with pytest.raises(NpecatError, match=words) as refused, locked(path):
            pass
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_nested_differences_have_dotted_names(tmp_path):
    path = store.store_path(tmp_path / "one", "test")
    settings = small_settings(10, 500)
    prepare(path, settings)
    settings.catalog_prior["star_flux"]["slope"] = 0.5
    with pytest.raises(NpecatError, match=r"with catalog_prior\.star_flux\.slope = 0.469 instead"):
        prepare(path, settings)


def test_overwrite_spares_what_is_no_store(tmp_path):
    mine = tmp_path / "one" / "test.zarr" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(NpecatError, match="not an npecat store; move it away"):
        simulate_one(tmp_path / "one", {"test": 10}, overwrite=True)
    assert mine.read_text() == "mine"


def test_sealing_clears_what_killed_runs_left(tmp_path):
    """A half-written file, and receipts of a run that died right after the manifest."""
    path = write_store(tmp_path, "test", 10, images_per_chunk=500)
    whole = digests(path)
    (path / store_writer.RECEIPTS).mkdir()
    (path / store_writer.RECEIPTS / "0.json").write_text("{}")
    simulate_one(tmp_path / "one", {"test": 10})
    assert digests(path) == whole
    unfinished = store.store_path(tmp_path / "unfinished" / "one", "test")
    prepare(unfinished, small_settings(10, 500))
    (unfinished / "images" / "0.1234.partial").write_text("half")
    simulate_one(tmp_path / "unfinished" / "one", {"test": 10})
    assert digests(unfinished) == whole


def unfinished_store(data: Path) -> tuple[Path, list[Task]]:
    """A store with one of its two chunks, and the tasks of both."""
    path = store.store_path(data / "one", "test")
    tasks = prepare(path, small_settings(20, 10))
    run_task(tasks[0], SINGLE_FIELD)
    return path, tasks


@pytest.mark.parametrize("harm", ["cut", "change", "remove"])
@pytest.mark.parametrize("name", ["images/zarr.json", "catalog/zarr.json"])
def test_damaged_layout_is_healed_when_a_run_goes_on(tmp_path, name, harm):
    path, _ = unfinished_store(tmp_path)
    content = (path / name).read_text()
    if harm == "remove":
        (path / name).unlink()
    else:
        changed = content[:50] if harm == "cut" else content.replace("3", "2")
        (path / name).write_text(changed)
    write_store(tmp_path, "test", 20, images_per_chunk=10)
    whole = write_store(tmp_path / "whole", "test", 20, images_per_chunk=10)
    assert digests(path) == digests(whole)


def test_interrupted_layout_is_completed(tmp_path):
    """Killed after each of the files that lay_out writes, and before any is whole."""
    whole = write_store(tmp_path / "whole", "test", 20, images_per_chunk=10)
    written = store_writer.layout(store.settings(whole)).metadata
    for n_written in (0, 1, 7):
        path = store.store_path(tmp_path / str(n_written) / "one", "test")
        for name, content in list(written.items())[:n_written]:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        path.mkdir(parents=True, exist_ok=True)
        (path / ".zarr.json.123.partial").write_text("half")
        write_store(tmp_path / str(n_written), "test", 20, images_per_chunk=10)
        assert digests(path) == digests(whole)


def test_task_of_an_earlier_run_writes_nothing_into_the_store_that_replaced_it(tmp_path):
    """The client of a cluster was killed; its task still runs when --overwrite follows."""
    path, tasks = unfinished_store(tmp_path)
    store_writer.remove(path)
    write_store(tmp_path, "test", 20, seed=1, images_per_chunk=10)
    before = digests(path)
    shutil.rmtree(path / "fwhm" / "c")  # so that the task does not take its chunk for finished
    with pytest.raises(NpecatError, match="is not the store of this run: it was replaced"):
        run_task(tasks[1], SINGLE_FIELD)
    store_writer.remove(path)
    with pytest.raises(NpecatError, match="is not the store of this run: it was replaced"):
        run_task(tasks[1], SINGLE_FIELD)
    assert not store.exists(path)
    write_store(tmp_path, "test", 20, seed=1, images_per_chunk=10)
    assert digests(path) == before


def test_chunk_without_any_source_is_written(tmp_path):
    """All its catalog is padding, which Zarr would leave out by default."""
    seed = next(
        seed
        for seed in itertools.count()
        if PAPER_PRIOR.draw(seed, "test", indices=range(1)).count == 0
    )
    path = write_store(tmp_path, "test", 1, seed=seed, images_per_chunk=1)
    assert store.Store(path).catalog().count == 0


def test_full_disk_is_said_in_one_line_and_the_run_completes_later(tmp_path, small_disk):
    """Two of three chunks of 14 MB fit; more space comes, and the same command goes on."""
    options = ["--n-test", "1500", "--workers", "1"]
    path = small_disk / "data" / "one" / "test.zarr"
    done = run(small_disk, *options)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(f"npecat: {path}")
    assert "No space left on device); free space and run the same command again" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("npecat:") == 1
    finished = store_writer.finished_chunks(path)
    written = {chunk: (path / f"images/c/{chunk}/0/0").stat().st_mtime_ns for chunk in finished}
    assert 0 < len(finished) < 3
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert run(small_disk, *options).returncode == 0
    for chunk, changed in written.items():
        assert (path / f"images/c/{chunk}/0/0").stat().st_mtime_ns == changed
    assert digests(path) == digests(write_store(tmp_path, "test", 1500, images_per_chunk=500))


def test_provenance_says_when_and_with_what_but_not_who(tmp_path):
    path = store.store_path(tmp_path / "one", "test")
    prepare(path, small_settings(10, 500))
    provenance_path(path).write_text(json.dumps({"runs": [{"end": None}]}))
    simulate_one(tmp_path / "one", {"test": 10}, cluster=Cluster(workers=3))
    killed, run = json.loads(provenance_path(path).read_text())["runs"]
    assert killed["end"] is None and run["end"] >= run["start"]
    assert run["versions"]["galsim"] == version("galsim") and run["cluster"]["workers"] == 3
    assert run.keys() == {"versions", "cluster", "start", "end"}
    text = provenance_path(path).read_text()
    assert socket.gethostname() not in text and str(tmp_path) not in text
    before = provenance_path(path).read_bytes()
    simulate_one(tmp_path / "one", {"test": 10})
    assert provenance_path(path).read_bytes() == before, "a run that made nothing is on record"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("tls://me:pa55word@head:8786", "tls://head:8786"),
        ("tls://me:pa@55://word@head:8786?token=pa55word", "tls://head:8786"),
        ("me:pa55word@head:8786", "head:8786"),
        ("head:8786", "head:8786"),
    ],
)
def test_provenance_keeps_no_password_and_no_folder(tmp_path, given, kept):
    path = tmp_path / "test.zarr"
    cluster = Cluster(scheduler=given, scheduler_file="/home/me/secret/dask.json")
    with recorded(path, cluster, new=True):
        text = provenance_path(path).read_text()
    [run] = json.loads(text)["runs"]
    assert run["cluster"]["scheduler"] == kept and "secret" not in text and "word" not in text
    assert run["cluster"]["scheduler_file"] == "dask.json"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"runs": 3}', b"\xff\xfe", b"[" * 100_000]
)
def test_damaged_provenance_blocks_no_run_and_is_kept(tmp_path, content, caplog):
    path = tmp_path / "test.zarr"
    provenance_path(path).write_bytes(content)
    with recorded(path, Cluster(), new=False):
        pass
    [run] = json.loads(provenance_path(path).read_text())["runs"]
    assert run["end"] is not None
    assert (tmp_path / "test.provenance.damaged.json").read_bytes() == content
    [warning] = [one.getMessage() for one in caplog.records if one.name.startswith("npecat")]
    assert "test.provenance.json is damaged: it is kept as" in warning
