"""Checkpoints: tensors as safetensors, everything else as JSON; loading runs no code.

A run folder holds ``settings.json`` (what was trained, on what, how), ``best.safetensors`` (the
weights of the lowest validation loss), ``last.safetensors`` (weights and optimiser state to
resume from) and ``log.csv``. Each safetensors file carries its JSON in its metadata, so one
rename replaces both.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import replacing
from npecat_train.settings import RunSettings
from npecat_train.weights import check_digest

SETTINGS, BEST, LAST, LOG = "settings.json", "best.safetensors", "last.safetensors", "log.csv"
"""Names of the files in a run folder."""


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
    # One entry: safetensors writes several in no fixed order.
    metadata = {"npecat": json.dumps({"settings": settings.to_json(), "state": state})}
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        partial.write_bytes(to_bytes(contiguous, metadata))


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
        If the file is cut short, is no checkpoint of npecat, has another format version or
        another digest than the file beside it holds, or contains numbers that are not finite.
    """
    check_digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = json.loads(metadata["npecat"])
        settings, state = RunSettings.from_json(content["settings"], path), content["state"]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise NpecatError(
            f"{path} is not a whole npecat checkpoint ({error}); train it again"
        ) from error
    bad = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if bad:
        raise NpecatError(f"{path}: weights {bad} are not finite; train it again")
    return tensors, settings, state


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
