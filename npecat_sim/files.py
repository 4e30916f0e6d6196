"""Files that are there whole or not at all."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from npecat_sim.errors import NpecatError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write to ``path`` into an NpecatError that names it and the fix."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free space and run the same command again" if full else "name another path"
        reason = error.strerror or error
        raise NpecatError(f"{path}: cannot be written ({reason}); {fix}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; what was written takes its place in one step.

    Raises NpecatError where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")
