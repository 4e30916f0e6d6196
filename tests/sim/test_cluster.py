"""Where tasks run changes nothing: any number of workers, dying workers, a cluster over TCP."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import dask
import psutil
import pytest

from npecat.benchmarks.simulate import digests
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import FieldTable
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.simulate import simulate
from npecat_sim.store import writer as store_writer
from npecat_sim.store.writer import RECEIPTS
from tests.helpers.stores import write_store

COUNTS = {"train": 200, "test": 50}


def simulated(data: Path, cluster: Cluster, chunks_per_task: int = 1) -> list[dict[str, str]]:
    """Digests of the stores of COUNTS, in chunks of 40 images."""
    paths = simulate(
        data / "many",
        "many",
        fields=default_fields(),
        counts=COUNTS,
        seed=5,
        cluster=cluster,
        images_per_chunk=40,
        chunks_per_task=chunks_per_task,
    )
    return [digests(path) for path in paths]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Digests of the stores made chunk by chunk in this process, without Dask."""
    data = tmp_path_factory.mktemp("reference")
    fields = default_fields()
    return [
        digests(write_store(data, split, n_images, "many", 5, fields))
        for split, n_images in COUNTS.items()
    ]


@pytest.mark.parametrize(
    ("workers", "threads", "chunks_per_task"), [(2, 1, 1), (4, 1, 2), (1, 4, 3)]
)
def test_workers_threads_and_task_size_change_nothing(
    tmp_path, reference, workers, threads, chunks_per_task
):
    assert simulated(tmp_path, Cluster(workers, threads), chunks_per_task) == reference


def test_killed_worker_is_replaced_and_finished_chunks_stay(tmp_path):
    """With its only worker killed a run goes on, and makes no finished chunk again."""
    store = tmp_path / "data" / "one" / "test.zarr"
    command = "simulate --prior one --n 0 --n-test 3000 --workers 1"
    process = subprocess.Popen(
        [sys.executable, "-m", "npecat", *command.split()], cwd=tmp_path, stderr=subprocess.PIPE
    )
    with process:
        while len(list((store / RECEIPTS).glob("*.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        (worker,) = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        finished = [receipt.stem for receipt in (store / RECEIPTS).glob("*.json")]
        assert len(finished) < 6
        worker.send_signal(signal.SIGKILL)
        images = [store / f"images/c/{chunk}/0/0" for chunk in finished]
        written = [path.stat().st_mtime_ns for path in images]
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert [path.stat().st_mtime_ns for path in images] == written, "finished chunks made again"
    whole = write_store(tmp_path / "whole", "test", 3000, images_per_chunk=500)
    assert digests(store) == digests(whole)


class BrokenFields(FieldTable):
    """Field row 7 fails with an exception that cannot be pickled, and leaves a mark each time."""

    marks: Path

    def background(self, row, size, *, generator):
        """As every field's, unless the row is 7."""
        if row != 7:
            return super().background(row, size, generator=generator)
        with self.marks.open("a") as file:
            file.write("tried\n")
        error = ValueError("no sky\nhere")
        error.handle = threading.Lock()  # type: ignore[attr-defined]
        raise error


def test_failing_image_is_named_once_and_not_retried(tmp_path):
    broken = BrokenFields(**vars(default_fields()))
    object.__setattr__(broken, "marks", tmp_path / "marks")
    with pytest.raises(NpecatError) as caught:
        simulate(
            tmp_path / "many",
            "many",
            fields=broken,
            counts={"test": 2000},
            seed=0,
            cluster=Cluster(),
            images_per_chunk=2000,
        )
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/many/test.zarr: image ") and "\n" not in message
    assert ", field row 7, " in message and " sources: ValueError: no sky here" in message
    assert (tmp_path / "marks").read_text() == "tried\n"


@contextmanager
def cluster_over_tcp(folder, n_workers, **environment):
    """A Dask scheduler and workers, each a process of its own; yields scheduler file, scheduler."""
    file = folder / "scheduler.json"
    scheduler = "scheduler --host 127.0.0.1 --port 0"
    worker = f"worker --nthreads 1 --local-directory {folder}"
    started = []
    with ExitStack() as running:
        for command in (scheduler, *[worker] * n_workers):
            words = [*command.split(), "--no-dashboard", "--scheduler-file", str(file)]
            started.append(
                running.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-m", "dask", *words],
                        stderr=subprocess.DEVNULL,
                        env={**os.environ, **environment},
                    )
                )
            )
            running.callback(started[-1].terminate)
        while not file.exists():
            assert started[0].poll() is None
            time.sleep(0.05)
        yield file, started[0]


def test_existing_cluster_over_tcp(tmp_path, reference):
    """A scheduler and two workers, each a process of its own, write the bytes of a local run."""
    with cluster_over_tcp(tmp_path, 2) as (file, _):
        assert simulated(tmp_path, Cluster(scheduler_file=str(file))) == reference


def test_worker_of_other_versions_is_refused_by_name(tmp_path):
    """It finds the metadata of another Zarr first."""
    metadata = tmp_path / "other" / "zarr-2.5.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 2.5\n")
    path = os.pathsep.join([str(tmp_path / "other"), *sys.path])
    words = rf"worker tcp://127.0.0.1:\d+ has zarr 2.5 instead of {version('zarr')}, which may"
    with (
        cluster_over_tcp(tmp_path, 1, PYTHONPATH=path) as (file, _),
        pytest.raises(NpecatError, match=words),
    ):
        simulated(tmp_path, Cluster(scheduler_file=str(file)))
    assert not store_writer.finished_chunks(tmp_path / "many" / "train.zarr")


def test_scheduler_lost_in_the_middle_of_a_run_is_said_in_one_line(tmp_path):
    store = tmp_path / "data" / "one" / "test.zarr"
    command = "simulate --prior one --n 0 --n-test 20000 --scheduler-file scheduler.json"
    with (
        cluster_over_tcp(tmp_path, 1) as (_, scheduler),
        subprocess.Popen(
            [sys.executable, "-m", "npecat", *command.split()],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        while not list((store / RECEIPTS).glob("*.json")):
            assert process.poll() is None
            time.sleep(0.05)
        scheduler.kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in errors
    said = [line for line in errors.splitlines() if line.startswith("npecat:")]
    assert said[-1] == (
        "npecat: the connection to the Dask scheduler is lost; run the same command again"
    )


def test_silent_scheduler_is_named(tmp_path):
    with pytest.raises(NpecatError, match=r"not there.*dask scheduler --scheduler-file"):
        simulated(tmp_path, Cluster(scheduler_file="nowhere.json"))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(NpecatError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        simulated(tmp_path, Cluster(scheduler="tcp://127.0.0.1:9"))


def test_tasks_that_kill_their_workers_end_the_run(tmp_path):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(NpecatError, match="1 workers died on the same images"),
    ):
        list(Cluster().run(_die, [1], shared=None))


def _die(batch: int, shared: None) -> int:
    psutil.Process().kill()
    return batch
