"""Record who made a store, when and with what, in a JSON file beside the store, never inside.

Stores with the same settings are equal byte for byte, whoever makes them; this file differs.
"""

import getpass
import json
import os
import platform
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version

from npecat_sim.io.storage import Location, write_json
from npecat_sim.simulation.cluster import Cluster, versions


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
    runs = [] if new or not path.exists() else json.loads(path.read_text())["runs"]
    run = {
        "user": _user(),
        "host": socket.gethostname(),
        "command": shlex.join(sys.orig_argv),
        "versions": {"python": platform.python_version(), "dask": version("dask"), **versions()},
        "cluster": asdict(cluster),
        "start": _now(),
        "end": None,
    }
    write_json(path, {"store": store.name, "runs": [*runs, run]})
    yield
    run["end"] = _now()
    write_json(path, {"store": store.name, "runs": [*runs, run]})


def _user() -> str:
    """Name of the user, or the number of a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return str(os.getuid())


def _now() -> str:
    """The present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
