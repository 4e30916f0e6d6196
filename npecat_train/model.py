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
from npecat_train.data.batch import (
    CONDITIONS,
    SIX_NUMBERS,
    ObservedImages,
    TrainingBatch,
    training_batch,
)
from npecat_train.network.inputs import NetworkInputs, network_inputs
from npecat_train.network.psf_autoencoder import N_ENCODER_TENSORS, PsfEncoder
from npecat_train.network.psf_variants import tell_psf
from npecat_train.network.tile_network import TILE_SIZE, TileNetwork
from npecat_train.network.wide_inputs import wide_inputs
from npecat_train.posterior.tile_catalog import TileCatalog, tile_catalog
from npecat_train.posterior.tile_posterior import TilePosterior
from npecat_train.settings import RunSettings
from npecat_train.weights import digest

TENSORS_PER_BLOCK = 6
"""Tensors of a block: one of its convolution and five of its batch norm."""


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
        Digest of the checkpoint's file, for the record; empty if the weights are from no file.
    """

    network: TileNetwork
    settings: RunSettings
    weights_sha256: str = ""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the trained network of a checkpoint, to the GPU if there is one.

        Its weights are float32, whatever type the checkpoint stores them in.

        Parameters
        ----------
        path : Path or str
            A checkpoint, or the folder of a run, whose best checkpoint is then read.

        Returns
        -------
        TileModel

        Raises
        ------
        NpecatError
            If the checkpoint is missing or damaged, or its weights do not fit its settings.
        """
        path = Path(path)
        if path.is_dir():
            path = path / checkpoint.BEST
        tensors, settings, _ = checkpoint.load(path)
        with checkpoint.fitting(path):
            n_blocks = settings.network.n_blocks
            n_others = 2 + N_ENCODER_TENSORS * settings.has_encoder
            if len(tensors) != TENSORS_PER_BLOCK * n_blocks + n_others:
                raise RuntimeError(f"{len(tensors)} tensors for {n_blocks} blocks")
            # On no device: settings that do not fit may ask for any amount of memory.
            with torch.device("meta"):
                network = settings.build_network()
            network.load_state_dict(tensors, assign=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network.float().for_inference().to(device), settings, digest(path))

    @property
    def device(self) -> torch.device:
        """The device on which the network computes."""
        return next(self.network.parameters()).device

    def posterior(
        self, images: ObservedImages | Batch, *, in_float32: bool = False
    ) -> TilePosterior:
        """Predict the posterior of every tile of some images.

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
        return self.posterior_of(self.inputs(observed), in_float32=in_float32)

    def inputs(self, observed: ObservedImages) -> NetworkInputs:
        """Return what the network is given of some images, on its device."""
        encoder = getattr(self.network, "psf_encoder", None)
        with torch.inference_mode():
            return inputs_of(observed.to(self.device), self.settings, encoder=encoder)

    def posterior_of(self, inputs: NetworkInputs, *, in_float32: bool = False) -> TilePosterior:
        """Predict the posterior as ``posterior`` does, from what the network is given."""
        with torch.inference_mode():
            return posterior_of(self.network, inputs, settings=self.settings, in_float32=in_float32)

    def log_prob(self, batch: TrainingBatch | Batch) -> dict[str, Tensor]:
        """Evaluate the posterior at the true tile catalog of each image.

        Parameters
        ----------
        batch : TrainingBatch or Batch
            Images with their true catalogs.

        Returns
        -------
        dict of str to Tensor
            By factor, the log density of each image's true tile catalog: float32 (batch,), nats.
        """
        truth = training_batch(batch) if isinstance(batch, Batch) else batch
        truth = truth.to(self.device)
        with torch.inference_mode():
            losses = image_losses(self.posterior(truth), truth)
        return {name: -loss for name, loss in losses.items()}


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the processor multiplies bfloat16 numbers in hardware."""
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported()
        return supported
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def inputs_of(
    observed: ObservedImages, settings: RunSettings, *, encoder: PsfEncoder | None = None
) -> NetworkInputs:
    """Return what a network of some settings is given of some images.

    Parameters
    ----------
    observed : ObservedImages
        On any device.
    settings : RunSettings
        Of the network.
    encoder : PsfEncoder, optional
        That of the network, if it has one.

    Raises
    ------
    NpecatError
        If the images lack something that the network takes.
    """
    electrons = observed.electrons_per_nmgy
    if settings.standardisation is None:
        conditions = observed.need(CONDITIONS)
        psf = tell_psf(conditions.pop("psf"), settings.variant, encoder)
        return wide_inputs(
            observed.images,
            observed.backgrounds,
            electrons_per_nmgy=electrons,
            psf=psf,
            **conditions,
        )
    return network_inputs(
        observed.images,
        observed.backgrounds,
        electrons_per_nmgy=electrons,
        **observed.need(SIX_NUMBERS),
        standardisation=settings.standardisation,
        use_psf=settings.use_psf,
    )


def tile_posterior(
    network: Callable[[Tensor, Tensor], Tensor],
    observed: ObservedImages,
    *,
    settings: RunSettings,
    in_float32: bool = False,
) -> TilePosterior:
    """Predict the posterior of every tile of some images.

    Parameters
    ----------
    network : callable
        A TileNetwork, perhaps compiled. It computes in bfloat16 where that is faster.
    observed : ObservedImages
        On the network's device.
    settings : RunSettings
        Of the network's training.
    in_float32 : bool, optional
        Compute in float32 even where bfloat16 is faster.

    Returns
    -------
    TilePosterior
        Of shape (batch, tile row, tile column), float32 whatever the network computes in.

    Raises
    ------
    NpecatError
        If the images lack something that the network takes.
    """
    inputs = inputs_of(observed, settings, encoder=getattr(network, "psf_encoder", None))
    return posterior_of(network, inputs, settings=settings, in_float32=in_float32)


def posterior_of(
    network: Callable[[Tensor, Tensor], Tensor],
    inputs: NetworkInputs,
    *,
    settings: RunSettings,
    in_float32: bool,
) -> TilePosterior:
    """Predict the posterior of every tile from what the network is given, see tile_posterior."""
    device = inputs.pixel_maps.device
    in_bfloat16 = has_bfloat16(device) and not in_float32
    with torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16):
        pixel_maps = inputs.pixel_maps.to(memory_format=torch.channels_last)
        raw = network(pixel_maps, inputs.tile_maps)
    posterior = TilePosterior.from_raw(raw.float(), settings.flux)
    return replace(posterior, flux=posterior.flux.times(inputs.aperture_flux))


def true_tiles(batch: TrainingBatch) -> TileCatalog:
    """Return the brightest true source of every tile of a batch."""
    n_tiles = batch.images.shape[-1] // TILE_SIZE
    return tile_catalog(
        batch.x,
        batch.y,
        flux=batch.flux,
        is_galaxy=batch.is_galaxy,
        present=batch.present,
        n_tiles=n_tiles,
    )


def image_losses(posterior: TilePosterior, batch: TrainingBatch) -> dict[str, Tensor]:
    """Return the negative log-likelihood of each image's true tile catalog.

    Parameters
    ----------
    posterior : TilePosterior
        Of the batch's tiles.
    batch : TrainingBatch
        On the posterior's device.

    Returns
    -------
    dict of str to Tensor
        By factor: float32 (batch,), nats.
    """
    return posterior.negative_log_likelihood(true_tiles(batch))
