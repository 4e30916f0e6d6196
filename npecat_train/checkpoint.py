"""Checkpoints: tensors as safetensors, everything else as JSON; loading runs no code.

A run folder holds ``settings.json`` (what was trained, on what, how), ``best.safetensors`` (the
weights of the lowest validation loss), ``last.safetensors`` (weights and optimiser state to
resume from) and ``log.csv``. Each safetensors file carries its JSON in its metadata, so one
rename replaces both, and in this JSON a digest of the whole file, so no change goes unnoticed.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.io.json_files import parse_json
from npecat_sim.io.storage import replacing
from npecat_train.settings import WITHOUT_DIGEST, RunSettings
from npecat_train.weights import DEFAULT_WEIGHTS

SETTINGS, BEST, LAST, LOG = "settings.json", "best.safetensors", "last.safetensors", "log.csv"
"""Names of the files in a run folder."""

NO_DIGEST = "0" * 64
"""What stands in the place of the digest while it is computed."""

MAX_BYTES = 200_000_000
"""Maximum size of a checkpoint that is read: twice that of the wide network in training."""

MAX_HEADER_BYTES = 10_000_000
"""Maximum size of its header: names of tensors, settings, and the log of some 50,000 epochs."""

TYPES = ("F16", "BF16", "F32", "F64", "I64")
"""Types of tensors, as safetensors calls them: weights in 16 or 32 bits, sums and counts."""

log = logging.getLogger(__name__)


def save(path: Path, tensors: dict[str, Tensor], *, settings: RunSettings, state: Any) -> None:
    """Write a checkpoint; an old file of that name stays until the new one is whole.

    Parameters
    ----------
    path : Path
        Of the safetensors file.
    tensors : dict of str to Tensor
        Tensors by name.
    settings : RunSettings
        Of the run.
    state : object
        Anything that JSON can hold.
    """
    about = {"digest": NO_DIGEST, "settings": settings.to_json(), "state": state}
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    # One entry: safetensors writes several in no fixed order.
    content = to_bytes(contiguous, {"npecat": json.dumps(about)})
    content = _with_digest(content, NO_DIGEST, sha256(content).hexdigest())
    with replacing(path) as partial:
        partial.write_bytes(content)


def load(path: Path) -> tuple[dict[str, Tensor], RunSettings, Any]:
    """Read a checkpoint.

    Returns
    -------
    tensors : dict of str to Tensor
        Tensors by name, in RAM.
    settings : RunSettings
        Of the run.
    state : object
        What JSON makes of the state that was saved.

    Raises
    ------
    NpecatError
        If the file is cut short, changed since it was written or no checkpoint of npecat, if it
        has another format version, or contains numbers that are not finite.
    """
    try:
        content = _read(path)
        about = _about(content)
        tensors = dict(sorted(from_bytes(content).items()))
        known, state = about["settings"], about["state"]
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise _not_whole(path, " ".join(str(error).split())[:200]) from error
    digest = about.get("digest")
    if digest and sha256(_with_digest(content, digest, NO_DIGEST)).hexdigest() != digest:
        fix = "install npecat" if path == DEFAULT_WEIGHTS else "restore it from a copy or train it"
        raise NpecatError(f"{path} is not as it was written, its digest is another; {fix} again")
    settings = RunSettings.from_json(known, path)
    if not digest:
        if known["format_version"] != WITHOUT_DIGEST:
            raise _not_whole(path, "it has no digest")
        log.warning("%s is of an earlier npecat and has no digest: damage is not noticed", path)
    bad = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if bad:
        raise NpecatError(f"{path}: weights {bad} are not finite; train it again")
    return tensors, settings, state


def _not_whole(path: Path, reason: str) -> NpecatError:
    """The error for a file that is cut short or no checkpoint."""
    return NpecatError(f"{path} is not a whole npecat checkpoint ({reason}); train it again")


def _read(path: Path) -> bytes:
    """The content of a file; ValueError if it is too large for a checkpoint."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES / 1e6:.0f} MB")
    return content


def _about(content: bytes) -> dict[str, Any]:
    """The JSON of a checkpoint; ValueError if there is none, or a tensor is of another type."""
    size = int.from_bytes(content[:8], "little")
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"its header takes more than {MAX_HEADER_BYTES / 1e6:.0f} MB")
    header = parse_json(content[8 : 8 + size])
    match header:
        case {"__metadata__": {"npecat": str(text)}}:
            about = parse_json(text)
        case _:
            raise ValueError("it has no settings")
    types = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
    if not types.issubset(TYPES):
        raise ValueError(f"a tensor is of another type than {', '.join(TYPES)}")
    if not isinstance(about, dict) or not isinstance(about.get("digest", ""), str):
        raise ValueError("its settings are damaged")
    return about


def _with_digest(content: bytes, old: str, new: str) -> bytes:
    """The content with another digest; the old one comes first in the JSON of the header."""
    return content.replace(old.encode(), new.encode(), 1)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn tensors that are missing or of another shape into an NpecatError."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = lines[1] if len(lines) > 1 else lines[0]  # PyTorch's first line is a heading
        raise NpecatError(
            f"{path} does not fit its own settings: {reason}; train it again"
        ) from error
