"""The inference network: 48 blocks of convolution, batch norm and SiLU, and a last convolution.

The modules take up the idea of YOLOv5's (C3, Bottleneck, blocks with SiLU); none of its code is
used. The first blocks bring the image to the tiles; all others work at tile resolution, where most
of what matters can be seen for a hundredth of the arithmetic. ``python -m
npecat.experiments.networks`` is the experiment that the widths come from.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TILE_SIZE = 4
"""Side of a tile, pixels (Patel et al. 2025)."""


@dataclass(frozen=True)
class NetworkSize:
    """Widths and depths of a network.

    Parameters
    ----------
    pixel_channels : tuple of int
        Of each 5 x 5 block at full resolution.
    half_channels : tuple of int
        Of each block at half resolution; the first one goes down with 4 x 4, the others are 3 x 3.
    channels : int
        At the resolution of the tiles.
    hidden_channels : int
        Inside the C3 modules, which all work at the tiles.
    bottlenecks : tuple of int
        Number of bottlenecks of each C3 module.
    dilations : tuple of int
        Of the 3 x 3 convolutions of each C3 module.

    Raises
    ------
    ValueError
        If a number is not positive, or a part of the network is missing.
    """

    pixel_channels: tuple[int, ...]
    half_channels: tuple[int, ...]
    channels: int
    hidden_channels: int
    bottlenecks: tuple[int, ...]
    dilations: tuple[int, ...]

    def __post_init__(self) -> None:
        of_modules = (*self.bottlenecks, *self.dilations)
        widths = (*self.pixel_channels, *self.half_channels, self.channels, self.hidden_channels)
        if min(widths + of_modules) < 1:
            raise ValueError("a width, depth or dilation of the network is not positive")
        if not self.pixel_channels or not 0 < len(self.bottlenecks) == len(self.dilations):
            raise ValueError("a part of the network is missing")

    @property
    def n_blocks(self) -> int:
        """Number of blocks of convolution, batch norm and SiLU."""
        into_tiles = len(self.pixel_channels) + len(self.half_channels) + 1
        return into_tiles + sum(3 + 2 * depth for depth in self.bottlenecks)

    @property
    def reach(self) -> int:
        """Distance from a tile to the farthest one whose pixels it may see, tiles."""
        at_half = len(self.half_channels)  # a pixel there is two of the image
        down = 2 * at_half + 1 if at_half else TILE_SIZE // 2
        pixels = 2 * len(self.pixel_channels) + down
        at_tiles = sum(n * step for n, step in zip(self.bottlenecks, self.dilations, strict=True))
        return at_tiles + math.ceil(pixels / TILE_SIZE)


NETWORKS = {
    "default": NetworkSize((16,), (32, 32), 64, 32, (9, 10), (1, 2)),
    "large": NetworkSize((16,), (48, 48), 128, 64, (9, 10), (1, 2)),
    "ancestor": NetworkSize((64,) * 6, (), 128, 192, (5, 5, 6), (1, 1, 1)),
}
"""Networks of 48 blocks by name. ``large``, with a million parameters, is for images of any
telescope. ``ancestor`` has the proportions of the paper's ancestor: 7.3 million parameters and 6e9
multiply-adds an image, over half of them in six layers at full resolution."""


class ConvBlock(nn.Sequential):
    """Convolution without bias, batch norm, SiLU.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of channels.
    kernel : int
        Side of the kernel, pixels.
    stride, padding, dilation : int, optional
        As of nn.Conv2d.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(n_out),
            nn.SiLU(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output, (batch, n_out, y, x).

        In training with batch norm held still, convolution and norm are one convolution: the same
        function of the same weights, in an eighth less time per compiled step.
        """
        convolution, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        if norm.training or not self.training:
            for module in self:
                features = module(features)
            return features
        scale = norm.weight * torch.rsqrt(norm.get_buffer("running_var") + norm.eps)
        weight = convolution.weight * scale[:, None, None, None]
        shift = norm.bias - norm.get_buffer("running_mean") * scale
        stride, padding, dilation = convolution.stride, convolution.padding, convolution.dilation
        normed = nn.functional.conv2d(features, weight, shift, stride, padding, dilation)
        activated: Tensor = self[2](normed)
        return activated

    def fold(self) -> None:
        """Fold the batch norm into the convolution, for inference only."""
        self[0] = fuse_conv_bn_eval(self[0], self[1])  # type: ignore[arg-type, type-var]
        self[1] = nn.Identity()


class Bottleneck(nn.Module):
    """A 1 x 1 and a 3 x 3 block with a shortcut around both.

    Parameters
    ----------
    channels : int
        Of input and output.
    dilation : int
        Of the 3 x 3 convolution.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            ConvBlock(channels, channels, 1),
            ConvBlock(channels, channels, 3, padding=dilation, dilation=dilation),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, (batch, channels, y, x)."""
        deeper: Tensor = self.blocks(features)
        return features + deeper


class C3(nn.Module):
    """Cross-stage module: one half passes through bottlenecks, the other past them.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of channels.
    hidden : int
        Channels of each half.
    n_bottlenecks : int
        Bottlenecks in a row.
    dilation : int
        Of their 3 x 3 convolutions.
    """

    def __init__(
        self, n_in: int, n_out: int, *, hidden: int, n_bottlenecks: int, dilation: int
    ) -> None:
        super().__init__()
        self.into = ConvBlock(n_in, hidden, 1)
        self.past = ConvBlock(n_in, hidden, 1)
        self.deep = nn.Sequential(*(Bottleneck(hidden, dilation) for _ in range(n_bottlenecks)))
        self.join = ConvBlock(2 * hidden, n_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the module's output, (batch, n_out, y, x)."""
        both = torch.cat([self.deep(self.into(features)), self.past(features)], dim=1)
        joined: Tensor = self.join(both)
        return joined


class TileNetwork(nn.Module):
    """Fully convolutional map from an image to the raw posterior parameters of its tiles.

    Parameters
    ----------
    n_pixel_maps, n_tile_maps : int
        Numbers of input maps at the resolution of the pixels and of the tiles.
    initial_outputs : tuple of float
        Output of the untrained network at every tile.
    size : NetworkSize
        Widths and depths.
    psf_encoder : Module, optional
        Makes some of the input maps at the tiles of PSF images, for whoever makes these maps. It is
        here so that its tensors go where the weights go; it has no parameters.
    """

    def __init__(
        self,
        n_pixel_maps: int,
        n_tile_maps: int,
        *,
        initial_outputs: tuple[float, ...],
        size: NetworkSize,
        psf_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.psf_encoder = psf_encoder
        width = size.channels
        self.stem = _stem(n_pixel_maps, size)
        n_in = [width + n_tile_maps] + [width] * (len(size.bottlenecks) - 1)
        self.body = nn.Sequential(
            *(
                C3(
                    n,
                    width,
                    hidden=size.hidden_channels,
                    n_bottlenecks=depth,
                    dilation=dilation,
                )
                for n, depth, dilation in zip(n_in, size.bottlenecks, size.dilations, strict=True)
            )
        )
        self.head = nn.Conv2d(width, len(initial_outputs), 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor(initial_outputs))  # type: ignore[union-attr]

    def for_inference(self) -> "TileNetwork":
        """Return the network itself, for good in evaluation mode with its batch norms folded."""
        for module in self.eval().modules():
            if isinstance(module, ConvBlock):
                module.fold()
        return self

    def forward(self, pixel_maps: Tensor, tile_maps: Tensor) -> Tensor:
        """Return the raw posterior parameters of every tile.

        Parameters
        ----------
        pixel_maps : Tensor
            (batch, n_pixel_maps, y, x).
        tile_maps : Tensor
            (batch, n_tile_maps, tile row, tile column).

        Returns
        -------
        Tensor
            float32 (batch, output, tile row, tile column).
        """
        tiles = torch.cat([self.stem(pixel_maps), tile_maps], dim=1)
        features = self.body(tiles)
        with torch.autocast(features.device.type, enabled=False):
            raw: Tensor = self.head(features.float())
        return raw


def _stem(n_in: int, size: NetworkSize) -> nn.Sequential:
    """Make the blocks that bring the pixels to the tiles."""
    pixels, half = size.pixel_channels, size.half_channels
    blocks = [ConvBlock(n, n_out, 5, padding=2) for n, n_out in pairwise((n_in, *pixels))]
    last, to_go = pixels[-1], TILE_SIZE
    if half:
        blocks.append(_down(last, half[0], 2))
        blocks += [ConvBlock(n, n_out, 3, padding=1) for n, n_out in pairwise(half)]
        last, to_go = half[-1], TILE_SIZE // 2
    return nn.Sequential(*blocks, _down(last, size.channels, to_go))


def _down(n_in: int, n_out: int, factor: int) -> ConvBlock:
    """Make a block whose output has 1 / factor of the pixels along each side."""
    return ConvBlock(n_in, n_out, 2 * factor, stride=factor, padding=factor // 2)
