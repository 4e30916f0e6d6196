"""The inputs of a network for any telescope: each image comes with its PSF, noise and prior.

All is in units of the noise, so that the unit of flux has no effect. The PSF reaches the network in
two ways: it has acted on the pixels, in matched filters, and it stands at the tiles in numbers that
know no survey (psf_encoding.py). A PSF that training did not have is thus nothing new to the first.
Other ways, for comparison, are in psf_variants.py.

Noise whose pixels are correlated is larger under a PSF than its pixels say. Its ratio to white
noise multiplies the standard deviations of the matched filters and of the apertures, and is an
input itself.
"""

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from npecat_train.network.inputs import STRETCHES, NetworkInputs, aperture_fluxes, asinh
from npecat_train.network.psf_variants import ToldPsf
from npecat_train.network.symmetry import SCALAR
from npecat_train.network.tile_network import TILE_SIZE

APERTURES = (1, 3, 5, 7)
"""Sides of the square apertures around each tile, tiles."""

REFERENCE_SHARE = 0.9
"""Share of a star's light that the reference aperture holds: the smallest of at least 3 tiles that
does so, or else the largest. A wider one has more noise and more neighbours in it."""

MIN_SHARE = 0.05
"""Minimum of the share by which an aperture's flux is divided."""

FILTER_STRETCH = 3.0
"""Divisor of the matched filter, in standard deviations, before asinh."""

MIN_WEIGHT = 1e-3
"""Minimum of the weight under the PSF that masks leave, as a share of that without masks. Below it
the matched filter falls to 0 and does not divide by the rounding errors of an FFT."""

SCALING = {
    "log electrons": (3.6, 1.0),
    "log depth": (-1.2, 1.3),
    "log pixel scale": (-0.9, 0.6),
    "log density": (-6.9, 1.7),
    "star share": (0.5, 0.3),
    "log noise correlation": (0.2, 0.35),
    "log reference": (2.1, 1.9),
    "growth 1": (-0.7, 0.9),
    "growth 3": (-0.2, 0.4),
    "growth 5": (0.6, 0.8),
    "growth 7": (1.2, 1.2),
    "filter": (1.4, 1.6),
    "filter over reference": (-0.7, 0.7),
}
"""Centre and scale of each map at the tiles. Those of the first six follow from the ranges of prior
wide; the others are about the mean and standard deviation over images of it."""

TILE_MAPS = SCALAR * len(SCALING)
"""How the maps at the tiles turn with the image; the numbers of the PSF follow them."""

N_PIXEL_MAPS = len(STRETCHES) + 3
"""Number of maps at the resolution of the pixels: the image, two matched filters, the mask."""

FILTER_REACH = 5
"""Distance to which a matched filter sees, tiles: half the side of a PSF of 41 pixels."""

WIDER_GAIN = 4.0
"""Factor of the difference of the two matched filters, which gives it about unit spread."""


def wide_inputs(
    images: Tensor,
    backgrounds: Tensor,
    *,
    electrons_per_nmgy: Tensor,
    mask: Tensor,
    psf: ToldPsf,
    pixel_scale: Tensor,
    density: Tensor,
    star_share: Tensor,
    noise_correlation: Tensor,
    faint_flux: Tensor,
) -> NetworkInputs:
    """Return the inputs of a network of variant wide, or of one that it is compared with.

    Parameters
    ----------
    images, backgrounds : Tensor
        float32 (batch, y, x), nanomaggies per pixel. The background over electrons_per_nmgy is the
        variance of an empty pixel; it is positive under the mask, too.
    electrons_per_nmgy : Tensor
        (batch,), electrons per nanomaggy.
    mask : Tensor
        uint8 (batch, y, x), 1 where a pixel tells nothing.
    psf : ToldPsf
        What the network is told of the PSF.
    pixel_scale : Tensor
        Side of a pixel, arcsec. This and all that follow are (batch,) or
        (batch, tile row, tile column).
    density : Tensor
        Expected sources per pixel that are brighter than faint_flux.
    star_share : Tensor
        Share of stars among them.
    noise_correlation : Tensor
        Standard deviation of the noise under the PSF, over that of white noise of the same variance
        in a pixel.
    faint_flux : Tensor
        Flux of the faintest source, nanomaggies.

    Returns
    -------
    NetworkInputs
    """
    electrons = electrons_per_nmgy.to(images.dtype)[:, None, None]
    good = mask == 0
    variance = backgrounds / electrons
    light = torch.where(good, images, 0)
    correlation = _maps(noise_correlation, images)
    in_filter, in_wider = _matched_filters(light, good, variance=variance, psf=psf.acting)
    filtered = in_filter / _at_pixels(correlation)
    wider = in_wider / _at_pixels(correlation)

    in_sigma = light * torch.rsqrt(variance)
    compressed = asinh(filtered / FILTER_STRETCH)
    pixel_maps = [
        *(asinh(in_sigma / stretch) for stretch in STRETCHES),
        compressed,
        # For a bright source the log of their ratio, which is less for a star than for a galaxy.
        WIDER_GAIN * (asinh(wider / FILTER_STRETCH) - compressed),
        mask.to(images.dtype),
    ]

    pixel_sigma = torch.sqrt(avg_pool2d(variance, TILE_SIZE))
    of_psf = torch.sqrt(psf.acting.square().sum(dim=(-2, -1)))[:, None, None]
    psf_sigma = correlation * pixel_sigma / of_psf
    shares = aperture_shares(psf.acting)
    noise = variance * _at_pixels(correlation.square())
    fluxes = aperture_fluxes(light, noise, sides=APERTURES) / shares[:, :, None, None]
    reference = _reference(fluxes, shares)
    log_reference = torch.log(reference / psf_sigma)
    in_tile = asinh(max_pool2d(filtered, TILE_SIZE) / 2)  # log of the positive part, levelled
    growth = torch.log(fluxes / reference[:, None]).unbind(dim=1)
    values = {
        "log electrons": torch.log(pixel_sigma * electrons),
        "log depth": torch.log(psf_sigma / _maps(faint_flux, images)),
        "log pixel scale": torch.log(_maps(pixel_scale, images)),
        "log density": torch.log(_maps(density, images)),
        "star share": _maps(star_share, images),
        "log noise correlation": torch.log(correlation),
        "log reference": log_reference,
        **{f"growth {side}": one for side, one in zip(APERTURES, growth, strict=True)},
        "filter": in_tile,
        "filter over reference": in_tile - log_reference,
    }
    tile_maps = [
        ((values[name] - centre) / scale).expand_as(reference)
        for name, (centre, scale) in SCALING.items()
    ]
    of_shape = psf.numbers[:, :, None, None].expand(-1, -1, *reference.shape[1:])
    return NetworkInputs(
        torch.stack(pixel_maps, dim=1),
        torch.cat([torch.stack(tile_maps, dim=1), of_shape], dim=1),
        reference,
    )


def aperture_shares(psf: Tensor) -> Tensor:
    """Return the mean share of a star's light in the apertures around its tile.

    Parameters
    ----------
    psf : Tensor
        float32 (batch, side, side), see psf_encoding.psf_numbers.

    Returns
    -------
    Tensor
        float32 (batch, aperture), the mean over places in the tile.
    """
    side = psf.shape[-1]
    distance = (torch.arange(side, device=psf.device) - side // 2).abs()
    shares = []
    for aperture in APERTURES:
        # Share of the places in the tile, along an axis, from which this step ends in the aperture.
        inside = (TILE_SIZE * (aperture + 1) / 2 - distance).clamp(0, TILE_SIZE) / TILE_SIZE
        shares.append((psf * inside * inside[:, None]).sum(dim=(-2, -1)))
    return torch.stack(shares, dim=1).clamp(min=MIN_SHARE)


def _reference(fluxes: Tensor, shares: Tensor) -> Tensor:
    """Flux from the reference aperture of each image: (batch, tile row, tile column)."""
    holds = shares >= REFERENCE_SHARE
    holds[:, 0] = False  # its noise is low, but so is what it holds of a galaxy
    holds[:, -1] = True
    chosen = holds.to(torch.uint8).argmax(dim=1)
    return fluxes[torch.arange(len(fluxes), device=fluxes.device), chosen]


def _maps(values: Tensor, images: Tensor) -> Tensor:
    """One value an image or a tile, as float32 (batch, 1 or tile row, 1 or tile column)."""
    values = values.to(images.dtype)
    return values if values.ndim == 3 else values[:, None, None]


def _at_pixels(tiles: Tensor) -> Tensor:
    """Values of tiles as values of pixels; one value an image stays so."""
    if tiles.shape[1:] == (1, 1):
        return tiles
    return tiles.repeat_interleave(TILE_SIZE, dim=1).repeat_interleave(TILE_SIZE, dim=2)


def _matched_filters(
    light: Tensor, good: Tensor, *, variance: Tensor, psf: Tensor
) -> tuple[Tensor, Tensor]:
    """Significance of a star at each pixel, and of a source as wide as the PSF on itself.

    In standard deviations of white noise: sum(P w I) / sqrt(sum(P^2 w)), w the inverse variance.
    """
    precision = good / variance
    wider = _on_itself(psf)
    templates = torch.stack([psf, wider], dim=1)
    maps = torch.stack([precision * light, precision], dim=1)
    signal, weight = _correlations(maps, torch.stack([templates, templates.square()], dim=1))
    whole = templates.square().sum(dim=(-2, -1))[:, :, None, None] / variance[:, None]
    star, source = (signal * torch.rsqrt(torch.maximum(weight, MIN_WEIGHT * whole))).unbind(dim=1)
    return star, source


def _on_itself(psf: Tensor) -> Tensor:
    """The PSF convolved with itself, cut to its own stamp."""
    side = psf.shape[-1]
    size = [next_fast_len(2 * side - 1, real=True)] * 2
    whole = torch.fft.irfft2(torch.fft.rfft2(psf, s=size).square(), s=size)
    middle = slice(side // 2, side // 2 + side)
    cut: Tensor = whole[:, middle, middle]
    return cut


def _correlations(maps: Tensor, kernels: Tensor) -> tuple[Tensor, ...]:
    """Each of some maps correlated with its kernels, zero beyond the image.

    ``maps`` are (batch, map, y, x), ``kernels`` (batch, map, kernel, side, side). One result a map:
    (batch, kernel, y, x).
    """
    reach = kernels.shape[-1] // 2
    # Half a kernel of zeros lies between opposite edges, in the first rows and columns.
    size = [next_fast_len(length + reach, real=True) for length in maps.shape[-2:]]
    of_maps = torch.fft.rfft2(pad(maps, (reach, 0, reach, 0)), s=size)
    of_kernels = torch.fft.rfft2(kernels, s=size)
    product = of_maps[:, :, None] * of_kernels.conj()
    whole: Tensor = torch.fft.irfft2(product, s=size)
    return whole[..., : maps.shape[-2], : maps.shape[-1]].unbind(dim=1)
