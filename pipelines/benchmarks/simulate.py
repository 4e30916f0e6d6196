"""Speed, size, memory and crash safety of simulate: ``python -m npecat.benchmarks.simulate``.

Throughput is that of whole runs, writing included, on a cluster that has already started and has
made a few images. One worker and two workers take turns, and the medians are printed. With
``--kills 20`` a run in processes of its own is killed with SIGKILL, all its processes at once, at a
random moment; the same command must then make the same bytes.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from distributed import Client, LocalCluster

from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.io.storage import Location, read, sizes
from npecat_sim.simulation.cluster import Cluster
from npecat_sim.simulation.simulate import simulate
from npecat_sim.store.reader import size_on_disk


def digests(store: Location) -> dict[str, str]:
    """Name of each file of a store -> its SHA-256, hexadecimal."""
    return {name: hashlib.sha256(read(store / name)).hexdigest() for name in sizes(store)}


def peak_memory() -> int:
    """The largest resident memory, in bytes, that this process has had (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measure(images: int, workers: int) -> tuple[float, float, int]:
    """Measure a run of simulate.

    Parameters
    ----------
    images : int
        Number of images.
    workers : int
        Number of processes.

    Returns
    -------
    rate : float
        Images per second.
    size : float
        Bytes on disk per image.
    memory : int
        Peak bytes of the largest worker.
    """
    fields = default_fields()
    with (
        tempfile.TemporaryDirectory() as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            local_directory=scratch,
            silence_logs="CRITICAL",
        ) as local,
        Client(local) as client,
    ):
        cluster = Cluster(scheduler=local.scheduler_address)
        warm, timed = Path(scratch, "warm"), Path(scratch, "timed")
        warming = {"train": 40 * workers}
        simulate(
            warm,
            "many",
            fields=fields,
            counts=warming,
            seed=0,
            cluster=cluster,
            images_per_chunk=40,
        )
        start = time.perf_counter()
        (store,) = simulate(
            timed, "many", fields=fields, counts={"train": images}, seed=0, cluster=cluster
        )
        seconds = time.perf_counter() - start
        return images / seconds, size_on_disk(store) / images, max(client.run(peak_memory).values())


def differing_after_kills(images: int, kills: int, *, seed: int) -> int:
    """Kill runs of simulate at random moments and complete each of them.

    Parameters
    ----------
    images : int
        Images of a run.
    kills : int
        Number of runs.
    seed : int
        Of the images and of the moments.

    Returns
    -------
    int
        How many of the stores differ from that of a run that was not killed.
    """
    command = [sys.executable, "-m", "npecat", "simulate", "--prior", "many", "--seed", str(seed)]
    command += ["--n", str(images), "--n-validation", "0", "--n-test", "0"]
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch, "data", "many", "train.zarr")
        start = time.perf_counter()
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        whole = digests(store)
        n_different = 0
        for kill in range(kills):
            shutil.rmtree(store)
            moment = moments.uniform(0, seconds)
            process = subprocess.Popen(
                command, cwd=scratch, start_new_session=True, stderr=subprocess.DEVNULL
            )
            time.sleep(moment)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            finished = len(list(store.glob("receipts/*.json")))
            subprocess.run(command, cwd=scratch, check=True, capture_output=True)
            same = digests(store) == whole
            n_different += not same
            verdict = "same bytes" if same else "DIFFERENT BYTES"
            print(f"kill {kill + 1} at {moment:.1f} s, {finished} receipts: {verdict}", flush=True)
    return n_different


@click.command(context_settings={"show_default": True})
@click.option("--images", default=5_000, help="Images of every run.")
@click.option("--rounds", default=3, help="Turns of one worker and two.")
@click.option("--kills", default=0, help="Runs to kill and complete, in place of the timing.")
@click.option("--seed", default=0, help="Of the images and of the moments of the kills.")
def bench_simulate(images: int, rounds: int, kills: int, seed: int) -> None:
    """Measure how fast and how safe simulate is."""
    if kills:
        sys.exit(differing_after_kills(images, kills, seed=seed) > 0)
    print(f"{'workers':<10}{'images/s':>10}{'ratio':>8}{'kB/image':>10}{'MB/worker':>11}")
    measured = [[measure(images, workers) for workers in (1, 2)] for _ in range(rounds)]
    medians = np.median(measured, axis=0)
    (rate_of_one, _, _), _ = medians
    for workers, (rate, size, memory) in enumerate(medians, start=1):
        ratio = rate / rate_of_one
        print(f"{workers:<10}{rate:>10.0f}{ratio:>8.2f}{size / 1e3:>10.1f}{memory / 1e6:>11.0f}")


if __name__ == "__main__":
    bench_simulate()
