"""From a batch to its posterior and its loss: the path that training and prediction share."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from npecat_train.checkpoint import RunSettings
from npecat_train.data.batch import ObservedImages, TrainingBatch
from npecat_train.network.inputs import network_inputs
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.tile_catalog import TileCatalog, tile_catalog
from npecat_train.posterior.tile_posterior import TilePosterior


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
    in_float32: bool = False,
) -> TilePosterior:
    """The posterior of every tile of some images, float32 whatever the network computes in.

    network: a TileNetwork, perhaps compiled. It computes in bfloat16 where that is faster, unless
    ``in_float32``.
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
