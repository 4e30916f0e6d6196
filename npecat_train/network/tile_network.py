"""The inference network: 48 blocks of convolution, batch norm and SiLU, and a last convolution.

Adapted from YOLOv5's C3 modules. The first blocks bring the image to the tiles; all others work
at tile resolution, where most of what matters can be seen for a hundredth of the arithmetic.
``python -m npecat.experiments.networks`` is the experiment that the widths come from.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TILE_SIZE = 4
"""Pixels along each side of a tile (Patel et al. 2025)."""


@dataclass(frozen=True)
class NetworkSize:
    """Widths and depths; each number of a tuple stands for a block or a C3 module.

    pixel_channels: of the 5 x 5 blocks at full resolution. half_channels: of the blocks at half
    of it, the first of which goes down with 4 x 4, the others 3 x 3. channels: at the tiles.
    hidden_channels, bottlenecks, dilations: of the C3 modules there.
    """

    pixel_channels: tuple[int, ...]
    half_channels: tuple[int, ...]
    channels: int
    hidden_channels: int
    bottlenecks: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def n_blocks(self) -> int:
        """Blocks of convolution, batch norm and SiLU in all."""
        into_tiles = len(self.pixel_channels) + len(self.half_channels) + 1
        return into_tiles + sum(3 + 2 * depth for depth in self.bottlenecks)

    @property
    def reach(self) -> int:
        """Tiles from a tile to the farthest one whose pixels it may see."""
        at_half = len(self.half_channels)  # a pixel there is two of the image
        down = 2 * at_half + 1 if at_half else TILE_SIZE // 2
        pixels = 2 * len(self.pixel_channels) + down
        at_tiles = sum(n * step for n, step in zip(self.bottlenecks, self.dilations, strict=True))
        return at_tiles + math.ceil(pixels / TILE_SIZE)


NETWORKS = {
    "default": NetworkSize((16,), (32, 32), 64, 32, (9, 10), (1, 2)),
    "wide": NetworkSize((64,) * 6, (), 128, 192, (5, 5, 6), (1, 1, 1)),
}
"""Networks of 48 blocks by name. ``wide`` has the proportions of the paper's ancestor: 7.3 M
parameters and 6 GMAC an image, more than half of them in six layers at the full resolution."""


class ConvBlock(nn.Sequential):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ):
        super().__init__(
            nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(n_out),
            nn.SiLU(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """In training with batch norm held still, convolution and norm are one convolution.

        That is the same function of the same weights; a compiled step takes an eighth less time.
        """
        convolution, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        if norm.training or not self.training:
            return super().forward(features)
        scale = norm.weight * torch.rsqrt(norm.get_buffer("running_var") + norm.eps)
        weight = convolution.weight * scale[:, None, None, None]
        shift = norm.bias - norm.get_buffer("running_mean") * scale
        stride, padding, dilation = convolution.stride, convolution.padding, convolution.dilation
        return self[2](nn.functional.conv2d(features, weight, shift, stride, padding, dilation))

    def fold(self) -> None:
        """Make one convolution with a bias of convolution and batch norm, for inference only."""
        self[0] = fuse_conv_bn_eval(self[0], self[1])  # type: ignore[arg-type, type-var]
        self[1] = nn.Identity()


class Bottleneck(nn.Module):
    """A 1 x 1 and a 3 x 3 block with a shortcut around both."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.blocks = nn.Sequential(
            ConvBlock(channels, channels, 1),
            ConvBlock(channels, channels, 3, padding=dilation, dilation=dilation),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.blocks(features)


class C3(nn.Module):
    """Cross-stage module: one half passes through bottlenecks, the other past them."""

    def __init__(self, n_in: int, n_out: int, hidden: int, n_bottlenecks: int, dilation: int):
        super().__init__()
        self.into = ConvBlock(n_in, hidden, 1)
        self.past = ConvBlock(n_in, hidden, 1)
        self.deep = nn.Sequential(*(Bottleneck(hidden, dilation) for _ in range(n_bottlenecks)))
        self.join = ConvBlock(2 * hidden, n_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        both = torch.cat([self.deep(self.into(features)), self.past(features)], dim=1)
        return self.join(both)


class TileNetwork(nn.Module):
    """Fully convolutional map from an image to the raw posterior parameters of its tiles.

    pixel_maps: (batch, n_pixel_maps, H, W). tile_maps: (batch, n_tile_maps, H / 4, W / 4).
    Returns float32 (batch, output, H / 4, W / 4); before training these are ``initial_outputs``
    everywhere.
    """

    def __init__(
        self,
        n_pixel_maps: int,
        n_tile_maps: int,
        initial_outputs: tuple[float, ...],
        size: NetworkSize,
    ):
        super().__init__()
        width = size.channels
        self.stem = _stem(n_pixel_maps, size)
        n_in = [width + n_tile_maps] + [width] * (len(size.bottlenecks) - 1)
        self.body = nn.Sequential(
            *(
                C3(n, width, size.hidden_channels, depth, dilation)
                for n, depth, dilation in zip(n_in, size.bottlenecks, size.dilations, strict=True)
            )
        )
        self.head = nn.Conv2d(width, len(initial_outputs), 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor(initial_outputs))  # type: ignore[union-attr]

    def for_inference(self) -> "TileNetwork":
        """Itself, in evaluation mode for good: batch norms are folded into the convolutions."""
        for module in self.eval().modules():
            if isinstance(module, ConvBlock):
                module.fold()
        return self

    def forward(self, pixel_maps: Tensor, tile_maps: Tensor) -> Tensor:
        tiles = torch.cat([self.stem(pixel_maps), tile_maps], dim=1)
        features = self.body(tiles)
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


def _stem(n_in: int, size: NetworkSize) -> nn.Sequential:
    """The blocks that bring the pixels to the tiles."""
    pixels, half = size.pixel_channels, size.half_channels
    blocks = [ConvBlock(n, n_out, 5, padding=2) for n, n_out in pairwise((n_in, *pixels))]
    last, to_go = pixels[-1], TILE_SIZE
    if half:
        blocks.append(_down(last, half[0], 2))
        blocks += [ConvBlock(n, n_out, 3, padding=1) for n, n_out in pairwise(half)]
        last, to_go = half[-1], TILE_SIZE // 2
    return nn.Sequential(*blocks, _down(last, size.channels, to_go))


def _down(n_in: int, n_out: int, factor: int) -> ConvBlock:
    """A block whose output has 1 / factor of the pixels along each side."""
    return ConvBlock(n_in, n_out, 2 * factor, stride=factor, padding=factor // 2)
