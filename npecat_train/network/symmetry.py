"""Networks that turn with the image, as the sky does.

The sky and a circular PSF have no preferred direction: the posterior of an image that is turned or
mirrored is the posterior turned or mirrored. This holds exactly for a network whose channels come
in sets that the eight symmetries of a square permute, if a weight equals every other weight to
which such a symmetry takes it (Cohen & Welling 2016, arXiv:1602.07576; sets of fewer than eight:
Weiler & Cesa 2019, arXiv:1911.08251). Weights that begin so stay so while their gradients are
averaged over the symmetries, and this average is the gradient of all eight turned copies of the
batch. The network itself, its files and its speed are those of any other network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from npecat_train.network.tile_network import ConvBlock, TileNetwork

QUARTER, MIRROR = np.array([[0, -1], [1, 0]]), np.array([[-1, 0], [0, 1]])
"""Matrices on (x, y): a quarter turn from +x towards +y, and the mirror in x."""

SYMMETRIES = tuple(
    mirror @ np.linalg.matrix_power(QUARTER, turns)
    for mirror in (np.eye(2, dtype=int), MIRROR)
    for turns in range(4)
)
"""Matrices on (x, y) of the eight symmetries: the four turns, and the four mirrored in x."""

Table = NDArray[np.int64]
"""A matrix of a symmetry, or a number for each symmetry and channel."""


@dataclass(frozen=True)
class Channels:
    """How some channels turn with the image: each symmetry permutes them and may change signs.

    Parameters
    ----------
    to : ndarray
        int64 (symmetry, channel), the channel to which each symmetry takes each channel.
    sign : ndarray
        int64 (symmetry, channel), 1 or -1, by which it multiplies the channel.
    """

    to: Table
    sign: Table

    def __add__(self, other: "Channels") -> "Channels":
        """Return these channels followed by others."""
        shifted = other.to + self.to.shape[1]
        return Channels(np.hstack([self.to, shifted]), np.hstack([self.sign, other.sign]))

    def __mul__(self, times: int) -> "Channels":
        """Return these channels, ``times`` times in a row."""
        none = np.empty((len(SYMMETRIES), 0), dtype=int)
        repeated: Channels = reduce(Channels.__add__, [self] * times, Channels(none, none))
        return repeated


def _permuted(invariances: Sequence[Table]) -> Channels:
    """Make a set with a channel for each way in which the symmetries turn a pattern.

    ``invariances`` are the symmetries that leave the pattern as it is; they form a group.
    """

    def pattern(symmetry: Table) -> bytes:
        return min((symmetry @ same).tobytes() for same in invariances)

    first = {pattern(symmetry): symmetry for symmetry in SYMMETRIES}
    number = {name: index for index, name in enumerate(first)}
    to = [[number[pattern(s @ turned)] for turned in first.values()] for s in SYMMETRIES]
    return Channels(np.array(to), np.ones_like(to))


NOTHING = SYMMETRIES[0]
"""The symmetry that leaves everything as it is."""

ANY = _permuted([NOTHING])
"""Eight channels, for a pattern without a symmetry."""

MIRRORED = _permuted([NOTHING, MIRROR])
"""Four channels, for a pattern with a mirror axis that points up, down, left or right."""

AXES = _permuted([NOTHING, -NOTHING, MIRROR, -MIRROR])
"""Two channels, for an elongated pattern: along x and along y."""

SCALAR = _permuted(SYMMETRIES)
"""One channel, for a round pattern."""

VECTOR = Channels(
    np.array([np.abs(symmetry).argmax(axis=0) for symmetry in SYMMETRIES]),
    np.array([symmetry.sum(axis=0) for symmetry in SYMMETRIES]),
)
"""Two channels, the x and y of a direction; not inside, since no SiLU turns with them."""


def signed(signs: Sequence[int]) -> Channels:
    """Return one channel that each of SYMMETRIES multiplies by 1 or -1; not inside a network."""
    return Channels(np.zeros((len(SYMMETRIES), 1), dtype=int), np.array(signs)[:, None])


def channels(n: int) -> Channels:
    """Return how n channels inside a network turn: a quarter each as ANY, MIRRORED, AXES, SCALAR.

    If n is not divisible so, there are more of SCALAR. For the choice see docs/networks.md,
    turning with the image.
    """
    sets = ANY * (n // 32) + MIRRORED * -(-n // 16) + AXES * (n // 8)
    n_scalars: int = n - sets.to.shape[1]
    return sets + SCALAR * n_scalars


class Symmetry:
    """Keeps the weights of a network such that its posterior turns with the image.

    Parameters
    ----------
    network : TileNetwork
        The network in training, its weights in float32.
    outputs, tile_maps : Channels
        How the network's outputs and its input maps at the tiles turn.
    """

    def __init__(self, network: TileNetwork, outputs: Channels, *, tile_maps: Channels) -> None:
        entries = _entries(network, outputs, tile_maps)
        named = dict(network.named_parameters()) | dict(network.named_buffers())
        self.weights = list(network.parameters())
        self.tensors = [named[name] for name in entries]
        device = network.head.weight.device
        of_weights = [entries[name] for name, _ in network.named_parameters()]
        self.of_weights = _Orbits(of_weights, device)
        self.of_tensors = _Orbits(list(entries.values()), device)

    @torch.no_grad()
    def begin(self) -> None:
        """Set every weight to the first of the weights that turn into it."""
        self.of_weights.share(self.weights)

    def average_gradients(self) -> None:
        """Set every gradient to the mean over those that turn into it."""
        self.of_weights.average([cast(Tensor, weight.grad) for weight in self.weights])

    @torch.no_grad()
    def average(self) -> None:
        """Average weights and batch norms' statistics too, which rounding drives apart."""
        self.of_tensors.average(self.tensors)

    @torch.no_grad()
    def check(self) -> None:
        """Raise ValueError if the network does not turn with the image."""
        turned = [weight.clone() for weight in self.weights]
        self.of_weights.average(turned)
        for weight, other in zip(self.weights, turned, strict=True):
            if not torch.allclose(weight, other, rtol=0, atol=1e-2 * float(other.abs().max())):
                raise ValueError("its network does not turn with the image")


class _Orbits:
    """The entries of some tensors, in the groups in which the symmetries permute them.

    ``entries`` are those of each tensor, flattened. Indices are flattened before a look-up: a list
    takes a tenth of a table's time.
    """

    def __init__(self, entries: Sequence[Channels], device: torch.device) -> None:
        self.sizes = [one.to.shape[1] for one in entries]
        starts = np.cumsum([0, *self.sizes])
        members, signs, orbits, sign, free = [], [], [], [], []
        n_orbits = 0
        for start, one in zip(starts, entries, strict=False):
            lowest = one.to.min(axis=0)
            first = np.flatnonzero(lowest == np.arange(len(lowest)))
            members.append(start + one.to[:, first])
            signs.append(one.sign[:, first])
            # An entry that a symmetry takes to its own negative is zero.
            opposed = (members[-1] == start + first) & (signs[-1] < 0)
            free.append(~opposed.any(axis=0))
            orbits.append(n_orbits + np.searchsorted(first, lowest))
            sign.append(np.empty(one.to.shape[1]))
            sign[-1][one.to[:, first]] = one.sign[:, first]
            n_orbits += len(first)

        def joined(tables: list[NDArray[Any]], dtype: torch.dtype) -> Tensor:
            return torch.tensor(np.hstack(tables), dtype=dtype, device=device)

        self.members = joined(members, torch.int64)  # (symmetry, orbit)
        self.signs = joined(signs, torch.float32)
        self.orbit = joined(orbits, torch.int64)  # (entry,)
        self.sign = joined(sign, torch.float32)
        self.free = joined(free, torch.float32)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Set every entry to the mean of its orbit; a second time this changes no bit."""
        members = self._flat(tensors).index_select(0, self.members.flatten())
        signed = members.view(self.members.shape) * self.signs
        self._set(tensors, signed.mean(dim=0, dtype=torch.float64).float())

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Set every entry to the first of its orbit, which keeps its spread, or to zero."""
        self._set(tensors, self._flat(tensors).index_select(0, self.members[0]) * self.free)

    def _flat(self, tensors: Sequence[Tensor]) -> Tensor:
        """All entries of the tensors in a row."""
        return torch.cat([_in_memory_order(tensor).flatten() for tensor in tensors])

    def _set(self, tensors: Sequence[Tensor], of_orbits: Tensor) -> None:
        """Set every entry to the value of its orbit, float32 (orbit,), with its own sign."""
        entries = of_orbits.index_select(0, self.orbit) * self.sign
        parts = torch.split(entries, self.sizes)
        ordered = [_in_memory_order(tensor) for tensor in tensors]
        new = [part.view(old.shape) for part, old in zip(parts, ordered, strict=True)]
        torch._foreach_copy_(ordered, new)


def _in_memory_order(tensor: Tensor) -> Tensor:
    """Return a weight (out, in, y, x) as (out, y, x, in), other tensors as they are."""
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _entries(network: TileNetwork, outputs: Channels, tile_maps: Channels) -> dict[str, Channels]:
    """How the entries of every weight and of batch norms' statistics turn, by name, flattened."""
    width = network.head.in_channels
    entries = {
        "head.weight": _weight(outputs, channels(width), 1),
        "head.bias": outputs,
    }
    for name, block in network.named_modules():
        if not isinstance(block, ConvBlock):
            continue
        convolution = cast(nn.Conv2d, block[0])
        n_in, out = convolution.in_channels, channels(convolution.out_channels)
        into = channels(n_in)
        if name == "stem.0":
            into = SCALAR * n_in
        elif name.endswith("join"):
            into = channels(n_in // 2) * 2
        elif name.endswith(("into", "past")):
            into = channels(width) + (tile_maps if n_in > width else SCALAR * 0)
        entries[f"{name}.0.weight"] = _weight(out, into, convolution.kernel_size[0])
        for of_norm in ("weight", "bias", "running_mean", "running_var"):
            entries[f"{name}.1.{of_norm}"] = out
    return entries


def _weight(out: Channels, into: Channels, kernel: int) -> Channels:
    """How the entries of a convolution's weight turn, flattened in memory's order."""
    shape = out.to.shape[1], kernel, kernel, into.to.shape[1]
    row, column = np.indices((kernel, kernel))
    from_middle = np.stack([column, row]) - (kernel - 1) / 2
    to, sign = [], []
    for index, symmetry in enumerate(SYMMETRIES):
        places = np.tensordot(symmetry, from_middle, axes=1) + (kernel - 1) / 2
        x, y = np.rint(places).astype(int)[..., None]
        turned = out.to[index][:, None, None, None], y, x, into.to[index]
        to.append(np.ravel_multi_index(turned, shape).ravel())
        signs = out.sign[index][:, None, None, None] * into.sign[index]
        sign.append(np.broadcast_to(signs, shape).ravel())
    return Channels(np.array(to), np.array(sign))
