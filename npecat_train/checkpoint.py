"""Checkpoints: tensors as safetensors, everything else as JSON; loading runs no code.

A run folder holds ``settings.json`` (what was trained, on what, how), ``best.safetensors`` (the
weights of the lowest validation loss), ``last.safetensors`` (weights and optimiser state to
resume from) and ``log.csv``. Each safetensors file carries its JSON in its metadata, so one
rename replaces both.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import replacing
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import N_PIXEL_MAPS, Standardisation, n_tile_maps
from npecat_train.network.tile_network import NetworkSize, TileNetwork
from npecat_train.posterior.tile_posterior import initial_outputs
from npecat_train.weights import check_digest

FORMAT_VERSION = 3
SETTINGS, BEST, LAST, LOG = "settings.json", "best.safetensors", "last.safetensors", "log.csv"

TENSORS_A_BLOCK = 6
"""One of the convolution and five of its batch norm."""

VARIANTS = {"single_field": "one", "psf_unaware": "many", "psf_aware": "many"}
"""Variant -> prior of its training store (section 7 of the paper)."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what a training run computes.

    start: digest of the checkpoint whose weights the run begins with; None for fresh ones.
    first_digest: of the store that the run passes over before all epochs; None for none.
    flux: a key of factors.FLUX. schedule: one of schedule.SCHEDULES. learning_rate: its peak.
    """

    variant: str
    start: str | None = field(default=None, kw_only=True)
    first_digest: str | None = field(default=None, kw_only=True)
    store_digest: str
    encoding: Encoding
    standardisation: Standardisation
    network: NetworkSize
    flux: str
    epochs: int
    batch_size: int
    schedule: str
    learning_rate: float
    seed: int
    format_version: int = FORMAT_VERSION

    @property
    def use_psf(self) -> bool:
        """True if the network sees the PSF parameters."""
        return self.variant == "psf_aware"

    def build_network(self) -> TileNetwork:
        """A network of these settings with fresh weights."""
        outputs = initial_outputs(self.flux)
        return TileNetwork(N_PIXEL_MAPS, n_tile_maps(self.use_psf), outputs, self.network)

    def to_json(self) -> dict[str, Any]:
        """Plain types only, as json.loads would give them back."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, content: dict[str, Any], where: Path) -> "RunSettings":
        """Inverse of to_json; raises NpecatError for another format version or encoding."""
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise NpecatError(
                f"{where} is of checkpoint format {version}, this npecat reads {FORMAT_VERSION}; "
                "train it again"
            )
        try:
            nested = {
                "encoding": Encoding(**_with_tuples(content["encoding"])),
                "standardisation": Standardisation(**_with_tuples(content["standardisation"])),
                "network": NetworkSize(**_with_tuples(content["network"])),
            }
            settings = cls(**{**content, **nested})
        except (KeyError, TypeError, ValueError) as error:
            raise NpecatError(f"{where} has damaged settings ({error}); train it again") from error
        settings.encoding.refuse_old(where)
        return settings


def _with_tuples(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where a frozen dataclass has tuples."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}


def save(path: Path, tensors: dict[str, Tensor], settings: RunSettings, state: Any) -> None:
    """Write tensors with the run's settings and a JSON state; the old file stays until then."""
    # One entry: safetensors writes several in no fixed order.
    metadata = {"npecat": json.dumps({"settings": settings.to_json(), "state": state})}
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        partial.write_bytes(to_bytes(contiguous, metadata))


def load(path: Path) -> tuple[dict[str, Tensor], RunSettings, Any]:
    """Tensors, settings and state of a checkpoint.

    Raises NpecatError if it is cut short, no checkpoint of ours, of another format version, of
    another digest than the file beside it says, or holds numbers that are not finite.
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


def load_network(path: Path) -> tuple[TileNetwork, RunSettings]:
    """The trained network of a checkpoint, for inference, on the GPU if there is one.

    It computes in float32 whatever the weights are stored in. Raises NpecatError as load does, and
    if the weights do not fit the settings.
    """
    tensors, settings, _ = load(path)
    with fitting(path):
        n_blocks = settings.network.n_blocks
        if len(tensors) != TENSORS_A_BLOCK * n_blocks + 2:
            raise RuntimeError(f"{len(tensors)} tensors for {n_blocks} blocks")
        # On no device: settings that do not fit may ask for any amount of memory.
        with torch.device("meta"):
            network = settings.build_network()
        network.load_state_dict(tensors, assign=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return network.float().for_inference().to(device), settings


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
