"""A trained network with its settings, and the path from images to a posterior.

Training and prediction share that path, tile_posterior.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from npecat_sim.store.reader import Batch
from npecat_train import checkpoint
from npecat_train.data.batch import ObservedImages, TrainingBatch, training_batch
from npecat_train.network.inputs import network_inputs
from npecat_train.network.tile_network import TILE_SIZE, TileNetwork
from npecat_train.posterior.tile_catalog import TileCatalog, tile_catalog
from npecat_train.posterior.tile_posterior import TilePosterior
from npecat_train.settings import RunSettings
from npecat_train.weights import digest

TENSORS_A_BLOCK = 6
"""One of the convolution and five of its batch norm."""


@dataclass(frozen=True)
class TileModel:
    """A trained network, ready for inference, with the settings of its training.

    Parameters
    ----------
    network : TileNetwork
        In evaluation mode, with batch norms folded into the convolutions.
    settings : RunSettings
        Of the run that trained it.
    weights_sha256 : str
        Digest of the checkpoint's file, for the record; empty for a network of this process.
    """

    network: TileNetwork
    settings: RunSettings
    weights_sha256: str = ""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The trained network of a checkpoint, on the GPU if there is one.

        It computes in float32 whatever the weights are stored in.

        Parameters
        ----------
        path : Path or str
            A checkpoint, or the folder of a run, of which the best checkpoint is taken.

        Returns
        -------
        TileModel

        Raises
        ------
        NpecatError
            If there is no whole checkpoint, or its weights do not fit its settings.
        """
        path = Path(path)
        if path.is_dir():
            path = path / checkpoint.BEST
        tensors, settings, _ = checkpoint.load(path)
        with checkpoint.fitting(path):
            n_blocks = settings.network.n_blocks
            if len(tensors) != TENSORS_A_BLOCK * n_blocks + 2:
                raise RuntimeError(f"{len(tensors)} tensors for {n_blocks} blocks")
            # On no device: settings that do not fit may ask for any amount of memory.
            with torch.device("meta"):
                network = settings.build_network()
            network.load_state_dict(tensors, assign=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network.float().for_inference().to(device), settings, digest(path))

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def posterior(
        self, images: ObservedImages | Batch, *, in_float32: bool = False
    ) -> TilePosterior:
        """The posterior of every tile of some images.

        Parameters
        ----------
        images : ObservedImages or Batch
            Tensors on any device, or the images of a store as they are read from it.
        in_float32 : bool, optional
            Compute in float32 even where bfloat16 is faster.

        Returns
        -------
        TilePosterior
            Of shape (batch, tile row, tile column), float32, on the model's device.

        Examples
        --------
        The sky of a blank image holds no sources:

        >>> import npecat, torch
        >>> from npecat_train.data.batch import ObservedImages
        >>> model = npecat.load()
        >>> sky = torch.full((1, 80, 80), 0.878)
        >>> psf = torch.tensor([[1.49, 2.99, 2.89, 3.26, 0.049, 0.0105]])
        >>> blank = ObservedImages(torch.zeros(1, 80, 80), sky, torch.tensor([989.0]), psf)
        >>> posterior = model.posterior(blank)
        >>> posterior.source.probability.shape
        torch.Size([1, 20, 20])
        >>> bool(posterior.source.probability.sum() < 0.5)
        True
        """
        observed = training_batch(images) if isinstance(images, Batch) else images
        with torch.inference_mode():
            return tile_posterior(
                self.network, self.settings, observed.to(self.device), in_float32=in_float32
            )

    def log_prob(self, batch: TrainingBatch | Batch) -> dict[str, Tensor]:
        """Log density of each image's true tile catalog by factor, nats: float32 (batch,)."""
        truth = training_batch(batch) if isinstance(batch, Batch) else batch
        truth = truth.to(self.device)
        with torch.inference_mode():
            losses = image_losses(self.posterior(truth), truth)
        return {name: -loss for name, loss in losses.items()}


def has_bfloat16(device: torch.device) -> bool:
    """True where the processor multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def tile_posterior(
    network: Callable[[Tensor, Tensor], Tensor],
    settings: RunSettings,
    observed: ObservedImages,
    *,
    in_float32: bool = False,
) -> TilePosterior:
    """The posterior of every tile of some images, float32 whatever the network computes in.

    Parameters
    ----------
    network : callable
        A TileNetwork, perhaps compiled. It computes in bfloat16 where that is faster.
    settings : RunSettings
        Of its training.
    observed : ObservedImages
        On the network's device.
    in_float32 : bool, optional
        Compute in float32 everywhere.

    Returns
    -------
    TilePosterior
        Of shape (batch, tile row, tile column).
    """
    inputs = network_inputs(
        observed.images,
        observed.backgrounds,
        observed.electrons_per_nmgy,
        observed.psf_parameters,
        settings.standardisation,
        settings.use_psf,
    )
    device = inputs.pixel_maps.device
    in_bfloat16 = has_bfloat16(device) and not in_float32
    with torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16):
        pixel_maps = inputs.pixel_maps.to(memory_format=torch.channels_last)
        raw = network(pixel_maps, inputs.tile_maps)
    posterior = TilePosterior.from_raw(raw.float(), settings.flux)
    return replace(posterior, flux=posterior.flux.times(inputs.aperture_flux))


def true_tiles(batch: TrainingBatch) -> TileCatalog:
    """The brightest true source of every tile of a batch."""
    n_tiles = batch.images.shape[-1] // TILE_SIZE
    return tile_catalog(batch.x, batch.y, batch.flux, batch.is_galaxy, batch.present, n_tiles)


def image_losses(posterior: TilePosterior, batch: TrainingBatch) -> dict[str, Tensor]:
    """Negative log-likelihood of each image's true tile catalog by factor: float32 (batch,)."""
    return posterior.negative_log_likelihood(true_tiles(batch))
