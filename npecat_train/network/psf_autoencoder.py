"""A PSF image as the latent numbers of an autoencoder, the encoding that the paper proposes.

A small network turns the image of a star into three numbers, in each of its eight turned and
mirrored copies; another network restores the image from the 24. What is encoded and restored are
the roots of the shares of flux: the squared distance of two such images is that of Hellinger, in
which photons tell PSFs apart, so that the wings count.

The network of the posterior is told the mean of each number over the eight copies, which stays as
the image turns, and its eight departures from the mean, which the symmetries permute. Both have
unit spread over the training stamps; in bfloat16 a small departure would else be lost in the mean.
"""

from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from npecat_sim.model.prior import PSF_SIDE
from npecat_train.network.symmetry import ANY, SCALAR, SYMMETRIES

N_LATENTS = 3
"""Latent numbers of each copy of a stamp: with its copies 24, where psf_encoding has 18. They
restore new PSFs of prior wide to a squared Hellinger distance of 0.0007 in the mean; as many
principal components reach 0.0005, and the mean PSF is 0.11 away."""

HIDDEN = 64
"""Units of the hidden layer of each of the two networks."""

LATENTS = SCALAR * N_LATENTS + ANY * N_LATENTS
"""How the numbers turn with the image."""

N_STAMPS = 10_000
"""Maximum number of stamps that the autoencoder learns from."""

STEPS = 5000
"""Steps of its training: 15 seconds on one CPU core."""

COMPONENTS = 64
"""Principal components of the stamps in which the autoencoder trains: the two outer layers are
linear, and learn as much from them as from all pixels, in a tenth of the time."""

MIN_SPREAD = 1e-3
"""Minimum of the spread by which a component is divided, as a share of that of the first: a store
of a few images has fewer components."""

BATCH_SIZE = 128
"""Stamps of a step."""

RATE = 1e-2
"""Highest learning rate."""

LAYERS = ("in_weight", "in_bias", "out_weight", "out_bias")
SCALES = ("centre", "spread", "turning_spread")
"""Tensors of an encoder by name: its two layers, then mean and standard deviation of the means, and
that of the departures."""


@cache
def _turned_pixels(device: torch.device) -> Tensor:
    """Which pixel of a flat stamp each pixel of its copies shows: int64 (symmetry, pixel).

    A symmetry takes the copy of the same number to the stamp.
    """
    row, column = np.indices((PSF_SIDE, PSF_SIDE))
    middle = PSF_SIDE // 2
    places = [
        np.tensordot(symmetry, np.stack([column, row]) - middle, axes=1) + middle
        for symmetry in SYMMETRIES
    ]
    pixels = np.array([(y * PSF_SIDE + x).ravel() for x, y in places])
    return torch.tensor(pixels, device=device)


class PsfEncoder(nn.Module):
    """The encoder of the autoencoder, whose tensors are buffers: the posterior trains without it.

    Fresh, it has zeros for weights until fit_encoder sets them.
    """

    def __init__(self) -> None:
        super().__init__()
        shapes = ((HIDDEN, PSF_SIDE**2), (HIDDEN,), (N_LATENTS, HIDDEN), (N_LATENTS,))
        for name, shape in zip(LAYERS, shapes, strict=True):
            self.register_buffer(name, torch.zeros(shape))
        for name in SCALES:
            self.register_buffer(name, torch.ones(N_LATENTS))

    def forward(self, psf: Tensor) -> Tensor:
        """Return the numbers of some PSF images.

        Parameters
        ----------
        psf : Tensor
            float32 (batch, PSF_SIDE, PSF_SIDE), see psf_encoding.psf_numbers.

        Returns
        -------
        Tensor
            float32 (batch, number); LATENTS tells how they turn.
        """
        latents = _latents(_copies(_roots(psf)), [self.get_buffer(name) for name in LAYERS])
        centre, spread, turning_spread = [self.get_buffer(name) for name in SCALES]
        mean = latents.mean(dim=1)
        turning = (latents - mean[:, None]) / turning_spread
        return torch.cat([(mean - centre) / spread, turning.mT.flatten(1)], dim=1)


N_ENCODER_TENSORS = len(LAYERS) + len(SCALES)
"""Number of the encoder's tensors in a checkpoint."""


def fit_encoder(encoder: PsfEncoder, stamps: Tensor, *, seed: int, steps: int = STEPS) -> nn.Module:
    """Train an autoencoder and keep its encoder.

    Parameters
    ----------
    encoder : PsfEncoder
        Gets the weights, on whatever device it is.
    stamps : Tensor
        float32 (stamp, PSF_SIDE, PSF_SIDE), PSF images on the CPU.
    seed : int
        Decides all random numbers.
    steps : int, optional
        Number of steps.

    Returns
    -------
    Module
        The decoder, from the latents (batch, symmetry, latent) of stamps to their roots, flat.
    """
    generator = torch.Generator().manual_seed(seed)
    roots, turned = _roots(stamps), _turned_pixels(stamps.device)
    mixed = roots.gather(1, turned[torch.arange(len(roots)) % len(turned)])  # of all directions
    middle, n_components = mixed.mean(dim=0), min(COMPONENTS, len(mixed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, _, axes = torch.pca_lowrank(mixed, q=n_components)
        into, out = nn.Linear(n_components, HIDDEN), nn.Linear(HIDDEN, N_LATENTS)
        decoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(len(SYMMETRIES) * N_LATENTS, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, n_components),
        )
    components = torch.stack([(roots[:, one] - middle) @ axes for one in turned], dim=1)
    scale = components.square().mean(dim=(0, 1)).sqrt()
    scale = scale.clamp(min=MIN_SPREAD * float(scale.max()))
    components = components / scale
    layers: list[Tensor] = [into.weight, into.bias, out.weight, out.bias]
    optimiser = torch.optim.Adam([*layers, *decoder.parameters()])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(stamps), (BATCH_SIZE,), generator=generator)
        copy = int(torch.randint(len(SYMMETRIES), (), generator=generator))
        copies = components[rows][:, ANY.to[copy]]  # those of that copy, itself first
        restored = decoder(_latents(copies, layers))
        loss = (scale * (restored - copies[:, 0])).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        latents = _latents(components, layers)
        mean = latents.mean(dim=1)
        turning_spread = (latents - mean[:, None]).square().mean(dim=(0, 1)).sqrt()
        weight = into.weight / scale @ axes.T
        values = [weight, into.bias - weight @ middle, out.weight, out.bias]
        values += [mean.mean(dim=0), mean.std(dim=0), turning_spread]
        for name, value in zip((*LAYERS, *SCALES), values, strict=True):
            encoder.get_buffer(name).copy_(value)
        to_roots = nn.Linear(n_components, PSF_SIDE**2)
        to_roots.weight.copy_(axes * scale)
        to_roots.bias.copy_(middle)
    return nn.Sequential(decoder, to_roots)


def hellinger(encoder: PsfEncoder, decoder: nn.Module, stamps: Tensor) -> Tensor:
    """Squared distance of stamps from what the autoencoder makes of them: float32 (stamp,)."""
    roots = _roots(stamps)
    with torch.no_grad():
        restored = decoder(_latents(_copies(roots), [encoder.get_buffer(name) for name in LAYERS]))
    return cast(Tensor, (restored - roots).square().mean(dim=1))


def _roots(psf: Tensor) -> Tensor:
    """Roots of the shares, of about unit mean square: float32 (batch, pixel)."""
    return PSF_SIDE * psf.clamp(min=0).sqrt().flatten(1)


def _copies(roots: Tensor) -> Tensor:
    """All copies of some flat stamps: float32 (batch, symmetry, pixel)."""
    return roots[:, _turned_pixels(roots.device)]


def _latents(copies: Tensor, layers: list[Tensor]) -> Tensor:
    """The latents of all copies of some stamps: float32 (batch, symmetry, latent)."""
    hidden = nn.functional.silu(nn.functional.linear(copies, layers[0], layers[1]))
    return nn.functional.linear(hidden, layers[2], layers[3])
