"""The settings that a run and its checkpoints share: they decide what a training run computes."""

import json
import reprlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from npecat_sim.errors import NpecatError
from npecat_sim.io.plain import from_plain
from npecat_train.network import inputs, psf_variants, wide_inputs
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import Standardisation
from npecat_train.network.psf_autoencoder import PsfEncoder
from npecat_train.network.symmetry import SCALAR, Channels
from npecat_train.network.tile_network import NetworkSize, TileNetwork
from npecat_train.posterior.tile_posterior import initial_outputs

FORMAT_VERSION = 4
"""Version of the format of checkpoints and of the settings in them."""

WITHOUT_DIGEST = 3
"""Version that differs in one thing: its checkpoints hold no digest. They are read, too."""

VARIANTS = {
    "single_field": "one",
    "psf_unaware": "many",
    "psf_aware": "many",
    **dict.fromkeys(psf_variants.NUMBERS_OF, "wide"),
}
"""Prior of the training store of each variant: those of the paper (section 7), one for any
telescope, and those that differ from it in how they are told the PSF."""


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
    standardisation : Standardisation or None
        Means and standard deviations of the network's inputs; None for a variant of prior wide,
        whose inputs have fixed scales.
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

    Raises
    ------
    ValueError
        If the standardisation does not belong to the variant.
    """

    variant: str
    start: str | None = field(default=None, kw_only=True)
    first_digest: str | None = field(default=None, kw_only=True)
    store_digest: str
    encoding: Encoding
    standardisation: Standardisation | None
    network: NetworkSize
    flux: str
    epochs: int
    batch_size: int
    schedule: str
    learning_rate: float
    seed: int
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.is_wide != (self.standardisation is None):
            raise ValueError(f"standardisation does not belong to variant {self.variant}")

    @property
    def is_wide(self) -> bool:
        """True if the network takes images of any telescope, as wide_inputs.py gives them."""
        return VARIANTS.get(self.variant) == "wide"

    @property
    def has_encoder(self) -> bool:
        """True if the network has an encoder of PSF images, which is trained before it."""
        return self.variant == psf_variants.AUTOENCODER

    @property
    def use_psf(self) -> bool:
        """True if a network of the paper's variants sees the PSF parameters."""
        return self.variant == "psf_aware"

    @property
    def tile_maps(self) -> Channels:
        """How the network's input maps at the tiles turn with the image."""
        if self.is_wide:
            return wide_inputs.TILE_MAPS + psf_variants.NUMBERS_OF[self.variant]
        return SCALAR * inputs.n_tile_maps(self.use_psf)

    @property
    def reach(self) -> int:
        """Distance from a tile to the farthest tile on which its posterior depends, tiles."""
        if self.is_wide:
            return self.network.reach + wide_inputs.FILTER_REACH
        return max(self.network.reach, inputs.APERTURE_REACH)

    def build_network(self) -> TileNetwork:
        """Return a network of these settings with fresh weights."""
        n_pixel_maps = wide_inputs.N_PIXEL_MAPS if self.is_wide else inputs.N_PIXEL_MAPS
        return TileNetwork(
            n_pixel_maps,
            self.tile_maps.to.shape[1],
            initial_outputs=initial_outputs(self.flux),
            size=self.network,
            psf_encoder=PsfEncoder() if self.has_encoder else None,
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
