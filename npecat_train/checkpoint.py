"""Checkpoints: tensors as safetensors, everything else as JSON; loading runs no code.

A run folder holds ``settings.json`` (what was trained, on what, how), ``best.safetensors`` (the
weights of the lowest validation loss), ``last.safetensors`` (weights and optimiser state to
resume from) and ``log.csv``. Each safetensors file carries its JSON in its metadata, so one
rename replaces both.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.files import replacing
from npecat_train.inputs import N_PIXEL_MAPS, Standardisation, n_tile_maps
from npecat_train.network import NetworkSize, TileNetwork
from npecat_train.posterior import initial_outputs

FORMAT_VERSION = 2
SETTINGS, BEST, LAST, LOG = "settings.json", "best.safetensors", "last.safetensors", "log.csv"

VARIANTS = {"single_field": "one", "psf_unaware": "many", "psf_aware": "many"}
"""Variant -> prior of its training store (section 7 of the paper)."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what a training run computes; ``flux``: a key of factors.FLUX."""

    variant: str
    store_digest: str
    standardisation: Standardisation
    network: NetworkSize
    flux: str
    epochs: int
    batch_size: int
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
        """Inverse of to_json; raises NpecatError for another format version."""
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise NpecatError(
                f"{where} is of checkpoint format {version}, this npecat reads {FORMAT_VERSION}; "
                "train it again"
            )
        nested = {
            "standardisation": Standardisation(**_with_tuples(content["standardisation"])),
            "network": NetworkSize(**_with_tuples(content["network"])),
        }
        return cls(**{**content, **nested})


def _with_tuples(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where a frozen dataclass has tuples."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}


def save(path: Path, tensors: dict[str, Tensor], settings: RunSettings, state: Any) -> None:
    """Write tensors with the run's settings and a JSON state; the old file stays until then."""
    metadata = {"settings": json.dumps(settings.to_json()), "state": json.dumps(state)}
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(contiguous, partial, metadata=metadata)


def load(path: Path) -> tuple[dict[str, Tensor], RunSettings, Any]:
    """Tensors, settings and state of a checkpoint.

    Raises NpecatError if it is cut short, no checkpoint of ours or of another format version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings, state = json.loads(metadata["settings"]), json.loads(metadata["state"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise NpecatError(
            f"{path} is not a whole npecat checkpoint ({error}); train it again"
        ) from error
    return tensors, RunSettings.from_json(settings, path), state


def load_network(path: Path) -> tuple[TileNetwork, RunSettings]:
    """The trained network of a checkpoint, in evaluation mode.

    Raises NpecatError if the weights are not finite or do not fit the settings.
    """
    tensors, settings, _ = load(path)
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise NpecatError(f"{path}: weights {bad[0]} are not finite; train it again")
    network = settings.build_network()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise NpecatError(
            f"{path} does not fit its own settings: {first}; train it again"
        ) from error
    return network.eval(), settings
