"""What decides what a training run computes: a checkpoint's and a run's contract."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from npecat_sim.errors import NpecatError
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import N_PIXEL_MAPS, Standardisation, n_tile_maps
from npecat_train.network.tile_network import NetworkSize, TileNetwork
from npecat_train.posterior.tile_posterior import initial_outputs

FORMAT_VERSION = 3
"""Of checkpoints and of the settings in them."""

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
