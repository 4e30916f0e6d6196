"""The settings that a run and its checkpoints share: they decide what a training run computes."""

import json
import reprlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from npecat_sim.errors import NpecatError
from npecat_sim.io.plain import from_plain
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import N_PIXEL_MAPS, Standardisation, n_tile_maps
from npecat_train.network.tile_network import NetworkSize, TileNetwork
from npecat_train.posterior.tile_posterior import initial_outputs

FORMAT_VERSION = 4
"""Version of the format of checkpoints and of the settings in them."""

WITHOUT_DIGEST = 3
"""Version that differs in one thing: its checkpoints hold no digest. They are read, too."""

VARIANTS = {"single_field": "one", "psf_unaware": "many", "psf_aware": "many"}
"""Prior of the training store of each variant (section 7 of the paper)."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what a training run computes.

    Parameters
    ----------
    variant : str
        A key of VARIANTS.
    store_digest : str
        Digest of the training store.
    encoding : Encoding
        How images, PSFs and tiles reach the network.
    standardisation : Standardisation
        Means and standard deviations of the network's inputs.
    network : NetworkSize
        Widths and depths.
    flux : str
        The family of the flux, a key of factors.FLUX.
    epochs : int
        Passes over the training store.
    batch_size : int
        Images of an optimiser step.
    schedule : str
        One of schedule.SCHEDULES.
    learning_rate : float
        The highest rate of the run.
    seed : int
        Decides the fresh weights, the order of the images and how they are turned.
    format_version : int
        FORMAT_VERSION of the npecat that wrote the settings.
    start : str or None
        SHA-256 of the checkpoint whose weights the run begins with; None for fresh weights.
    first_digest : str or None
        Digest of the store that the run passes over before all epochs; None if there is none.
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
        """Return a network of these settings with fresh weights."""
        return TileNetwork(
            N_PIXEL_MAPS,
            n_tile_maps(self.use_psf),
            initial_outputs=initial_outputs(self.flux),
            size=self.network,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the settings in plain types only, as json.loads gives them back."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    @classmethod
    def from_json(cls, content: Any, where: Path) -> "RunSettings":
        """Return the settings that to_json turned into plain types.

        Parameters
        ----------
        content : dict
            What to_json returned, of any version that is read.
        where : Path
            The file that the content is from, for errors.

        Raises
        ------
        NpecatError
            If the content is damaged, or of another format version or encoding.
        """
        try:
            version = content["format_version"]
            if version not in (FORMAT_VERSION, WITHOUT_DIGEST):
                raise NpecatError(
                    f"{where} is of checkpoint format {reprlib.repr(version)}, this npecat reads "
                    f"{FORMAT_VERSION}; train it again"
                )
            settings = from_plain(cls, {**content, "format_version": FORMAT_VERSION})
            if settings.variant not in VARIANTS:
                raise ValueError(f"variant is {reprlib.repr(settings.variant)}")
        except (KeyError, TypeError, ValueError) as error:
            raise NpecatError(f"{where} has damaged settings ({error}); train it again") from error
        settings.encoding.refuse_old(where)
        return settings
