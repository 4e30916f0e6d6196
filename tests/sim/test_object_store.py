"""Stores on an object store are those of a folder, byte for byte, and as safe: on a real S3 server.

The server is moto's, on loopback; commands run in processes of their own that speak HTTP to it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from moto.server import ThreadedMotoServer
from upath import UPath

from npecat.benchmarks.simulate import digests
from npecat.cli import npecat
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.io import lease
from npecat_sim.io import storage as files
from npecat_sim.io.lock import locked
from npecat_sim.io.storage import location
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.simulate import prepare, run_task, simulate
from npecat_sim.store import reader as store
from npecat_sim.store import writer as store_writer
from npecat_sim.store.verify import verify
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from tests.helpers.stores import simulate_one, small_settings, write_store

HOLD = """
import sys, time
from npecat_sim.io.storage import location
from npecat_sim.io.lock import locked
with locked(location(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """An S3 server on a free port of this machine, which the environment points to."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "somebody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    running.stop()


@pytest.fixture
def bucket(request) -> UPath:
    """An empty bucket."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60]
    place = location(f"s3://{name}")
    place.fs.mkdir(name)
    return place


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A store of two chunks in a folder."""
    data = tmp_path_factory.mktemp("local")
    return write_store(data, "test", 20, "many", fields=default_fields(), images_per_chunk=10)


@pytest.fixture
def copy(local, bucket):
    """The same store in a bucket."""
    path = bucket / "many" / "test.zarr"
    path.fs.put(str(local), path.path, recursive=True)
    assert digests(path) == digests(local)
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "npecat", *map(str, words)]


def run(*words: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=120, **options)


def test_commands_write_and_read_a_bucket(bucket, tmp_path):
    sizes = ("--n", 0, "--n-validation", 0, "--n-test", 60)
    made = run("simulate", "--prior", "one", *sizes, "--out", bucket / "some", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    path = bucket / "some" / "test.zarr"
    assert f"  {path}  60 images" in made.stdout
    whole = write_store(tmp_path, "test", 60, images_per_chunk=500)
    assert digests(path) == digests(whole)
    beside = {name.partition("/")[0] for name in files.sizes(bucket / "some")}
    assert beside == {"test.zarr", "test.lock", "test.provenance.json"}
    for words in (["info"], ["verify"], ["show", "-o", tmp_path / "sheet.png"]):
        done = CliRunner().invoke(npecat, [*map(str, words), str(path)])
        assert done.exit_code == 0, done.exception
    assert (tmp_path / "sheet.png").exists()


def test_training_reads_a_bucket(copy, local):
    """The loader's batches, drawn ahead in a thread, are those of the folder's store."""
    for ours, theirs in zip(
        *(
            batches(Streamed(store.Store(path), torch.device("cpu")), 8, shuffle=(0, 0))
            for path in (copy, local)
        ),
        strict=True,
    ):
        for name, values in vars(theirs).items():
            np.testing.assert_array_equal(vars(ours)[name], values)


def test_killed_run_is_completed_to_the_same_bytes(bucket, tmp_path, monkeypatch):
    path = bucket / "one" / "test.zarr"
    counts = {"test": 1500}
    words = ("--prior", "one", "--n", 0, "--n-test", 1500, "--workers", 1, "--out", path.parent)
    with subprocess.Popen(
        command("simulate", *words), start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        while len(files.sizes(path / store_writer.RECEIPTS)) < 1:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    finished = store_writer.finished_chunks(path)
    assert 1 <= len(finished) < 3

    def changed() -> list[object]:
        place = path.path
        return [path.fs.info(f"{place}/images/c/{c}/0/0")["LastModified"] for c in finished]

    before = changed()
    with pytest.raises(NpecatError, match=f"by process {process.pid} on .*lapses after 30 s"):
        simulate_one(path.parent, counts)
    monkeypatch.setattr(lease, "LAPSES_AFTER", 6.0)
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_RENEWALS", 0.5)
    time.sleep(7)
    simulate_one(path.parent, counts)
    assert changed() == before, "finished chunks made again"
    whole = write_store(tmp_path, "test", 1500, images_per_chunk=500)
    assert digests(path) == digests(whole)


def test_missing_cut_and_longer_objects_are_named(copy):
    """None: the object is deleted; 1: a byte is appended; else content[:kept] is left."""
    generator = np.random.default_rng(0)
    names = sorted(files.sizes(copy).keys() - {store.MANIFEST, "zarr.json"})
    for kept in (None, 0, 3, -1, 1):
        name = generator.choice(names)
        content = files.read(copy / name)
        if kept is None:
            files.remove(copy, [name])
            words = "is missing"
        elif kept == 1:
            files.write(copy / name, content + b"\0")
            words = f"is too long: {len(content) + 1} bytes instead of {len(content)}"
        else:
            files.write(copy / name, content[:kept])
            words = f"is cut short: {len(content[:kept])} bytes instead of {len(content)}"
        assert verify(copy) == [f"{name} {words}"]
        with pytest.raises(NpecatError, match=f"{copy} is not whole: {name} {words}; delete it"):
            store.Store(copy)
        files.write(copy / name, content)
    assert verify(copy) == []


def test_flipped_bit_and_stranger_are_named(copy):
    content = bytearray(files.read(copy / "images/c/1/0/0"))
    content[1000] ^= 1
    files.write(copy / "images/c/1/0/0", bytes(content))
    files.write(copy / "images/c/7", b"mine")
    assert verify(copy) == [
        "images/c/1/0/0 has other content than was written",
        "images/c/7 is not in the manifest",
    ]
    with pytest.raises(NpecatError, match="array images is damaged"):
        store.Store(copy).array("images")


def test_other_settings_are_refused_and_overwritten_on_request(copy, tmp_path):
    before = digests(copy)
    options = {"fields": SINGLE_FIELD, "counts": {"test": 10}, "seed": 0, "cluster": Cluster()}
    with pytest.raises(NpecatError, match="made with prior = many instead of one"):
        simulate(copy.parent, "one", **options)
    assert digests(copy) == before
    simulate(copy.parent, "one", **options, overwrite=True)
    assert digests(copy) == digests(write_store(tmp_path, "test", 10, images_per_chunk=500))


def test_objects_that_are_no_store_are_spared(bucket):
    files.write(bucket / "one/test.zarr/thesis.txt", b"mine")
    for overwrite in (False, True):
        with pytest.raises(NpecatError, match="not an npecat store; move it away"):
            simulate_one(bucket / "one", {"test": 10}, overwrite=overwrite)
    assert files.sizes(bucket / "one/test.zarr") == {"thesis.txt": 4}


def test_every_stop_of_a_removal_leaves_an_unfinished_store(copy, monkeypatch):
    """Whichever of its requests fails, what is left is unfinished, or nothing."""
    content = {name: files.read(copy / name) for name in files.sizes(copy)}
    for first_failure in range(4):
        calls = 0

        def remove(folder, names, real=files.remove, fail=first_failure):
            nonlocal calls
            calls += 1
            if calls > fail:
                raise PermissionError("no")
            real(folder, names)

        with monkeypatch.context() as patched:
            patched.setattr(files, "remove", remove)
            if first_failure < 3:
                with pytest.raises(NpecatError, match="cannot be written"):
                    store_writer.remove(copy)
                assert store.exists(copy) and store.is_sealed(copy) == (first_failure == 0)
            else:
                store_writer.remove(copy)
                assert not store.exists(copy)
        list(files.at_once(lambda file: files.write(copy / file[0], file[1]), content.items()))


def test_second_writer_is_turned_away_naming_the_first(bucket, monkeypatch):
    path = bucket / "one" / "test.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        done = run("simulate", "--prior", "one", "--n", 0, "--n-test", 10, "--out", path.parent)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
        assert f"{path} is being written by process {holder.pid} on " in done.stderr
        assert not store.exists(path)
        holder.send_signal(signal.SIGKILL)
    monkeypatch.setattr(lease, "LAPSES_AFTER", 1.0)
    time.sleep(2)
    with locked(path) as lock:
        lock.check()
    with locked(path):
        assert files.read(path.with_suffix(".lock"))
    assert files.read(path.with_suffix(".lock")) == b""


def test_lease_is_renewed_while_it_is_held(bucket, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_RENEWALS", 0.1)
    monkeypatch.setattr(lease, "LAPSES_AFTER", 2.5)
    path = bucket / "test.zarr"
    with locked(path) as lock:
        time.sleep(3)
        lock.check()
        with pytest.raises(NpecatError, match=f"process {os.getpid()} "), locked(path):
            pass


def test_holder_stops_when_its_lease_is_taken_over(bucket, monkeypatch):
    """A process that slept through its renewals finds another in its place, and leaves it there."""
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_RENEWALS", 0.1)
    path = bucket / "test.zarr"
    taken = json.dumps({"holder": "process 1 on elsewhere", "token": "other", "renewals": 0})
    with locked(path) as lock:
        files.write(path.with_suffix(".lock"), taken.encode())
        deadline = time.monotonic() + 20
        with pytest.raises(NpecatError, match="was taken over by process 1 on elsewhere; run"):
            while time.monotonic() < deadline:
                lock.check()
                time.sleep(0.05)
    assert files.read(path.with_suffix(".lock")) == taken.encode()


def test_simulate_stops_before_sealing_when_its_lease_is_gone(bucket, monkeypatch):
    """All chunks are there and the next step would seal them, but another process may write."""
    monkeypatch.setattr(lease, "LAPSES_AFTER", 0.0)
    path = store.store_path(bucket / "one", "test")
    for task in prepare(path, small_settings(10, 500)):
        run_task(task, SINGLE_FIELD)
    with pytest.raises(NpecatError, match="the lock could not be renewed"):
        simulate_one(path.parent, {"test": 10})
    assert not store.is_sealed(path)


def test_of_two_that_take_a_lapsed_lease_one_gets_it(bucket, monkeypatch):
    """Both see the lapsed lease before either takes it."""
    monkeypatch.setattr(lease, "LAPSES_AFTER", -1.0)
    path = bucket / "test.zarr"
    files.write(path.with_suffix(".lock"), b'{"holder": "a dead process"}')
    winners = []

    def read(place, real=files.read):
        content = real(place)
        if not winners:
            winners.append(None)
            winners.append(lease.Lease(path.with_suffix(".lock"), path, identity="the faster"))
        return content

    monkeypatch.setattr(files, "read", read)
    with pytest.raises(NpecatError, match="being written by the faster"), locked(path):
        pass
    winners[1].release()


def test_what_cannot_be_reached_is_said_in_one_line():
    for place, words in (
        ("s3://no-such-bucket/x.zarr", "there is no store at s3://no-such-bucket/x.zarr"),
        ("memory://x.zarr", "memory:// is not supported; name a folder or s3://"),
    ):
        refused = CliRunner().invoke(npecat, ["info", place]).exception
        assert isinstance(refused, NpecatError) and words in str(refused)
    options = ("--prior", "one", "--n", "7", "--out", "s3://no-such-bucket/x")
    refused = CliRunner().invoke(npecat, ["simulate", *options]).exception
    assert isinstance(refused, NpecatError) and "bucket does not exist" in str(refused)
    program = "import sys; sys.modules['s3fs'] = None; from npecat.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "info", "s3://bucket/x"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        "npecat: s3://bucket/x: needs s3fs; install it with: pip install 'npecat[s3]'\n"
    )


def test_silent_server_is_said_in_one_line():
    done = run("info", "s3://b/x", env={**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "s3://b/x: cannot be read (Could not connect to the endpoint" in done.stderr
