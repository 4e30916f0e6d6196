"""The network's inputs: the image in units of its noise, the sky, the PSF and aperture fluxes.

The image enters as asinh(s) and asinh(s / 30), where s is the image over the standard deviation of
its sky noise: the first resolves the noise, the second does not saturate in bright cores.

The sky, the PSF and the log of the flux in apertures join at the resolution of the tiles. The
network predicts the ratio of a source's flux to the flux in the middle aperture. For that it must
know the PSF and the neighbours, but it need not sum the pixels of a bright star to a part in a
thousand in bfloat16.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from npecat_sim.psf.six_numbers import PARAMETERS
from npecat_sim.store.reader import Store
from npecat_train.network.tile_network import TILE_SIZE

STRETCHES = (1.0, 30.0)
"""Divisors of the image, in standard deviations of its sky noise, before asinh."""

N_PIXEL_MAPS = len(STRETCHES)
"""Number of maps at the resolution of the pixels."""

APERTURES = (1, 3, 5)
"""Sides of the square apertures around each tile, tiles. The middle one, of 12 pixels, holds 90 %
of a star's flux; its noise of 0.36 nanomaggies is about half the flux of the faintest source."""

REFERENCE_APERTURE = 1
"""Index of the aperture in whose flux the network gives the flux of a source."""

APERTURE_REACH = max(APERTURES) // 2
"""Distance from a tile to the farthest tile in its apertures, tiles."""

N_SKY_IMAGES = 5000
"""Number of images whose sky is measured: their backgrounds take 128 MB, and the mean is good to
2 % of the spread."""

MIN_SKY_STD = 0.05
"""Minimum of sky_std: a store of one field has almost no spread, and the skies of other fields must
not become extreme inputs."""


@dataclass(frozen=True)
class Standardisation:
    """Means and standard deviations over a training store, as a checkpoint holds them.

    Parameters
    ----------
    psf_mean, psf_std : tuple of float
        (6,), of the PSF parameters in the order of npecat_sim.psf.six_numbers.PARAMETERS.
    sky_mean, sky_std : float
        Of the natural log of the background in electrons per pixel.

    Raises
    ------
    ValueError
        If there are too few or too many numbers, one is not finite, or a standard deviation is
        not positive.
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
    """Measure the means and standard deviations over a training store."""
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
        sky_std=max(float(sky.std()), MIN_SKY_STD),
    )


@dataclass(frozen=True)
class NetworkInputs:
    """Inputs of a network for a batch of images.

    Parameters
    ----------
    pixel_maps : Tensor
        float32 (batch, n_pixel_maps, y, x).
    tile_maps : Tensor
        float32 (batch, n_tile_maps, tile row, tile column).
    aperture_flux : Tensor
        float32 (batch, tile row, tile column), nanomaggies: the flux of which the network predicts
        a multiple, from the reference aperture of each tile.
    """

    pixel_maps: Tensor
    tile_maps: Tensor
    aperture_flux: Tensor


def n_tile_maps(use_psf: bool) -> int:
    """Return the number of maps that join at the tiles: sky, apertures, and the PSF if used."""
    return 1 + len(APERTURES) + (len(PARAMETERS) if use_psf else 0)


def network_inputs(
    images: Tensor,
    backgrounds: Tensor,
    *,
    electrons_per_nmgy: Tensor,
    psf_parameters: Tensor,
    standardisation: Standardisation,
    use_psf: bool,
) -> NetworkInputs:
    """Return the network's inputs for a batch of images.

    Parameters
    ----------
    images, backgrounds : Tensor
        float32 (batch, y, x), nanomaggies per pixel.
    electrons_per_nmgy : Tensor
        (batch,), electrons per nanomaggy.
    psf_parameters : Tensor
        (batch, 6), in the order of npecat_sim.psf.six_numbers.PARAMETERS.
    standardisation : Standardisation
        Of the network's training.
    use_psf : bool
        Whether the PSF parameters are among the inputs.

    Returns
    -------
    NetworkInputs
    """
    electrons = electrons_per_nmgy.to(images.dtype)[:, None, None]
    in_sigma = images * torch.sqrt(electrons / backgrounds)
    pixel_maps = torch.stack([asinh(in_sigma / stretch) for stretch in STRETCHES], dim=1)

    sky = avg_pool2d(torch.log(backgrounds * electrons)[:, None], TILE_SIZE)
    apertures = aperture_fluxes(images, backgrounds / electrons, sides=APERTURES)
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
    """Return torch.asinh to a part in 1e7, in an eighth of its time on a CPU."""
    size = values.abs()
    rest = size * (size / (1 + torch.sqrt(1 + size.square())))
    return torch.log1p(size + rest).copysign(values)


def aperture_fluxes(images: Tensor, variance: Tensor, *, sides: tuple[int, ...]) -> Tensor:
    """Return the flux in square apertures around each tile.

    Where the flux is below its own noise or negative, the value levels off smoothly and stays
    positive. At the image's edge an aperture holds only what lies in the image.

    Parameters
    ----------
    images, variance : Tensor
        float32 (batch, y, x), flux per pixel and the variance of its sky noise.
    sides : tuple of int
        Odd sides of the apertures, tiles.

    Returns
    -------
    Tensor
        float32 (batch, aperture, tile row, tile column), in the unit of the images.
    """
    tiles = avg_pool2d(torch.stack([images, variance], dim=1), TILE_SIZE) * TILE_SIZE**2
    fluxes = []
    for side in sides:
        total, noise = (avg_pool2d(tiles, side, 1, side // 2) * side**2).unbind(dim=1)
        fluxes.append((total + torch.sqrt(total**2 + 4 * noise)) / 2)
    return torch.stack(fluxes, dim=1)
