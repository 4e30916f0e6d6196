"""Record when and with what a store was made, in a JSON file beside the store, never inside.

Stores with the same settings are equal byte for byte, whoever makes them; this file differs. It
holds no name of a user or a machine, and no command line, which may hold a password.
"""

import logging
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from npecat_sim.io import storage
from npecat_sim.io.json_files import parse_json, write_json
from npecat_sim.io.storage import Location
from npecat_sim.simulation.cluster import Cluster, versions

log = logging.getLogger(__name__)


def provenance_path(store: Location) -> Location:
    """Path of the provenance of a store: ``train.provenance.json`` beside ``train.zarr``."""
    return store.with_suffix(".provenance.json")


@contextmanager
def recorded(store: Location, cluster: Cluster, *, new: bool) -> Iterator[None]:
    """Add a run to the provenance of a store; its ``end`` stays null if the run does not finish.

    Parameters
    ----------
    store : Path or UPath
        Path of the store.
    cluster : Cluster
        The workers of the run.
    new : bool
        The store was just created, so that recorded runs belong to an earlier store and are
        dropped.
    """
    path = provenance_path(store)
    runs = [] if new else _earlier_runs(path)
    run = {
        "versions": {"python": platform.python_version(), "dask": version("dask"), **versions()},
        "cluster": asdict(cluster) | _place(cluster),
        "start": _now(),
        "end": None,
    }
    write_json(path, {"store": store.name, "runs": [*runs, run]})
    yield
    run["end"] = _now()
    write_json(path, {"store": store.name, "runs": [*runs, run]})


def _earlier_runs(path: Location) -> list[Any]:
    """The runs on record. A damaged file is kept under another name, since it blocks no run."""
    try:
        with storage.reading(path):
            content = storage.read(path)
    except OSError:  # there is none; for other failures see storage.reading
        return []
    try:
        runs = parse_json(content)["runs"]
        if isinstance(runs, list):
            return runs
    except (ValueError, LookupError, TypeError):
        pass
    aside = path.with_suffix(".damaged.json")
    storage.write(aside, content)
    log.warning("%s is damaged: it is kept as %s, and the record begins anew", path, aside.name)
    return []


def _place(cluster: Cluster) -> dict[str, str | None]:
    """Where the workers of a cluster are, without name and password, and without folders."""
    address, file = cluster.scheduler, cluster.scheduler_file
    return {
        "scheduler": address and re.sub(r"^(\w+://)?.*@", r"\1", address).partition("?")[0],
        "scheduler_file": file and Path(file).name,
    }


def _now() -> str:
    """The present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
