"""What the network sees: image and background in noise units, and the PSF, standardised.

The image enters as asinh(s) and asinh(s / 30), s being the image over the standard deviation of
its sky: the first resolves the noise, the second stays clear of saturation in bright cores.

At the tiles join the sky, the PSF and the log of the flux in apertures. The network says how the
flux of a source compares with that in the middle aperture, so that it has to know the PSF and the
neighbours, but not to sum a bright star to a part in a thousand in bfloat16.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from npecat_sim.model.psf import PARAMETERS
from npecat_sim.store.reader import Store
from npecat_train.network.tile_network import TILE_SIZE

STRETCHES = (1.0, 30.0)
N_PIXEL_MAPS = len(STRETCHES)

APERTURES = (1, 3, 5)
"""Sides of the square apertures around each tile, in tiles; the middle one is the reference: 12
pixels hold 90 % of a star and, of 0.36 nmgy of noise, about half the flux of the faintest."""
REFERENCE_APERTURE = 1
APERTURE_REACH = max(APERTURES) // 2
"""Tiles from a tile to the farthest one in its apertures."""

N_SKY_IMAGES = 5000
"""Images whose sky is measured: 128 MB, and a mean to 2 % of the spread."""

LEAST_SKY_STD = 0.05
"""A store of one field has almost no spread of skies; other fields must not become extremes."""


@dataclass(frozen=True)
class Standardisation:
    """Means and standard deviations over a training store; they travel in the checkpoint.

    psf_mean, psf_std: (6,), see npecat_sim.model.psf. sky_mean, sky_std: of the log of the
    background in electrons per pixel. Raises ValueError where they are none.
    """

    psf_mean: tuple[float, ...]
    psf_std: tuple[float, ...]
    sky_mean: float
    sky_std: float

    def __post_init__(self) -> None:
        n = len(PARAMETERS)
        spreads = (*self.psf_std, self.sky_std)
        numbers = (*self.psf_mean, self.sky_mean, *spreads)
        if not (len(self.psf_mean) == len(self.psf_std) == n and np.isfinite(numbers).all()):
            raise ValueError(
                f"standardisation needs {n} finite numbers for the PSF, two for the sky"
            )
        if min(spreads) <= 0:
            raise ValueError("a standard deviation is not positive")


def measure_standardisation(store: Store) -> Standardisation:
    """Statistics of the PSF parameters and the sky over a training store."""
    psf = store.array("psf_parameters")
    sample = slice(0, N_SKY_IMAGES)
    # One pixel an image stands for its sky, which varies far more between fields than within.
    sky = np.log(
        store.array("backgrounds", sample)[:, 0, 0] * store.array("electrons_per_nmgy", sample)
    )
    return Standardisation(
        psf_mean=tuple(map(float, psf.mean(axis=0))),
        psf_std=tuple(float(std) if std > 0 else 1.0 for std in psf.std(axis=0)),
        sky_mean=float(sky.mean()),
        sky_std=max(float(sky.std()), LEAST_SKY_STD),
    )


@dataclass(frozen=True)
class NetworkInputs:
    """pixel_maps: (batch, N_PIXEL_MAPS, H, W). tile_maps: (batch, n_tile_maps, H / 4, W / 4).

    aperture_flux: (batch, H / 4, W / 4), nanomaggies, in the reference aperture of each tile.
    """

    pixel_maps: Tensor
    tile_maps: Tensor
    aperture_flux: Tensor


def n_tile_maps(use_psf: bool) -> int:
    """Number of maps that join at tile resolution: sky, apertures, and the PSF if used."""
    return 1 + len(APERTURES) + (len(PARAMETERS) if use_psf else 0)


def network_inputs(
    images: Tensor,
    backgrounds: Tensor,
    electrons_per_nmgy: Tensor,
    psf_parameters: Tensor,
    standardisation: Standardisation,
    use_psf: bool,
) -> NetworkInputs:
    """Inputs of some images.

    images, backgrounds: float32 (batch, H, W), nanomaggies. electrons_per_nmgy: (batch,).
    psf_parameters: (batch, 6).
    """
    electrons = electrons_per_nmgy.to(images.dtype)[:, None, None]
    in_sigma = images * torch.sqrt(electrons / backgrounds)
    pixel_maps = torch.stack([asinh(in_sigma / stretch) for stretch in STRETCHES], dim=1)

    sky = avg_pool2d(torch.log(backgrounds * electrons)[:, None], TILE_SIZE)
    apertures = _aperture_fluxes(images, backgrounds / electrons)
    maps = [(sky - standardisation.sky_mean) / standardisation.sky_std, torch.log(apertures)]
    if use_psf:
        moments = zip(standardisation.psf_mean, standardisation.psf_std, strict=True)
        columns = zip(psf_parameters.unbind(dim=1), moments, strict=True)
        # Numbers, not tensors: a tensor made here would wait for the GPU in every step.
        standard = torch.stack([(values - mean) / std for values, (mean, std) in columns], dim=1)
        standard = standard.to(images.dtype)
        maps.append(standard[:, :, None, None].expand(-1, -1, *sky.shape[2:]))
    return NetworkInputs(pixel_maps, torch.cat(maps, dim=1), apertures[:, REFERENCE_APERTURE])


def asinh(values: Tensor) -> Tensor:
    """torch.asinh to a part in 1e7, in an eighth of its time on a CPU: a tenth of all inference."""
    size = values.abs()
    rest = size * (size / (1 + torch.sqrt(1 + size.square())))
    return torch.log1p(size + rest).copysign(values)


def _aperture_fluxes(images: Tensor, variance: Tensor) -> Tensor:
    """Flux in each aperture of each tile, (batch, aperture, H / 4, W / 4), nanomaggies.

    variance: of the sky, like images. Where the noise gives less flux than its own standard
    deviation, or a negative one, the value levels off smoothly and stays positive. At the image's
    edge an aperture holds what the image holds.
    """
    tiles = avg_pool2d(torch.stack([images, variance], dim=1), TILE_SIZE) * TILE_SIZE**2
    fluxes = []
    for side in APERTURES:
        total, noise = (avg_pool2d(tiles, side, 1, side // 2) * side**2).unbind(dim=1)
        fluxes.append((total + torch.sqrt(total**2 + 4 * noise)) / 2)
    return torch.stack(fluxes, dim=1)
