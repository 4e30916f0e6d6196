"""Networks that turn with the image, as the sky does.

Nothing in the sky or in a circular PSF tells left from right or up from across: the posterior of
an image that is turned or mirrored is the posterior turned or mirrored. A network says so exactly
if its channels come in sets that the eight symmetries of a square permute, and a weight equals
every other weight that such a symmetry takes it to (Cohen & Welling 2016, arXiv:1602.07576; sets of
fewer than eight: Weiler & Cesa 2019, arXiv:1911.08251). Weights that begin so stay so while their
gradients are averaged over the symmetries, and this average is the gradient of all eight turned
copies of the batch. The network itself, its files and its speed are those of any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from npecat_train.network.tile_network import ConvBlock, TileNetwork

QUARTER, MIRROR = np.array([[0, -1], [1, 0]]), np.array([[-1, 0], [0, 1]])
SYMMETRIES = tuple(
    mirror @ np.linalg.matrix_power(QUARTER, turns)
    for mirror in (np.eye(2, dtype=int), MIRROR)
    for turns in range(4)
)
"""Matrices on (x, y): turns by quarters from +x towards +y, and those mirrored in x."""

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Channels:
    """What each symmetry makes of some channels: (symmetry, channel) to a channel, with a sign."""

    to: Table
    sign: Table

    def __add__(self, other: "Channels") -> "Channels":
        """Both, one after the other."""
        shifted = other.to + self.to.shape[1]
        return Channels(np.hstack([self.to, shifted]), np.hstack([self.sign, other.sign]))

    def __mul__(self, times: int) -> "Channels":
        none = np.empty((len(SYMMETRIES), 0), dtype=int)
        return reduce(Channels.__add__, [self] * times, Channels(none, none))


def _permuted(invariances: Sequence[Table]) -> Channels:
    """A set with a channel for each way in which the symmetries turn a pattern.

    invariances: the symmetries that leave the pattern as it is, a group of their own.
    """

    def pattern(symmetry: Table) -> bytes:
        return min((symmetry @ same).tobytes() for same in invariances)

    first = {pattern(symmetry): symmetry for symmetry in SYMMETRIES}
    number = {name: index for index, name in enumerate(first)}
    to = [[number[pattern(s @ turned)] for turned in first.values()] for s in SYMMETRIES]
    return Channels(np.array(to), np.ones_like(to))


NOTHING = SYMMETRIES[0]
ANY = _permuted([NOTHING])
"""Eight channels for a pattern without a symmetry."""
MIRRORED = _permuted([NOTHING, MIRROR])
"""Four for one with a mirror axis, which points up, down, left or right."""
AXES = _permuted([NOTHING, -NOTHING, MIRROR, -MIRROR])
"""Two for an elongated one: along x and along y."""
SCALAR = _permuted(SYMMETRIES)
"""One for a round one."""
VECTOR = Channels(
    np.array([np.abs(symmetry).argmax(axis=0) for symmetry in SYMMETRIES]),
    np.array([symmetry.sum(axis=0) for symmetry in SYMMETRIES]),
)
"""The x and y of a direction; only for outputs, since no SiLU turns with it."""


def channels(n: int) -> Channels:
    """How n channels inside a network turn: a quarter of them each as ANY, MIRRORED, AXES, SCALAR.

    Where that does not come out even, there are more of the last.
    """
    sets = ANY * (n // 32) + MIRRORED * -(-n // 16) + AXES * (n // 8)
    return sets + SCALAR * (n - sets.to.shape[1])


class Symmetry:
    """Keeps the weights of a network such that its posterior turns with the image.

    outputs: how the network's outputs turn.
    """

    def __init__(self, network: TileNetwork, outputs: Channels):
        entries = _entries(network, outputs)
        named = dict(network.named_parameters()) | dict(network.named_buffers())
        self.weights = list(network.parameters())
        self.tensors = [named[name] for name in entries]
        device = network.head.weight.device
        of_weights = [entries[name] for name, _ in network.named_parameters()]
        self.of_weights, self.of_tensors = (
            _Orbits(some, device) for some in (of_weights, list(entries.values()))
        )

    @torch.no_grad()
    def begin(self) -> None:
        """Give every weight the value of the first one that turns into it."""
        self.of_weights.share(self.weights)

    def average_gradients(self) -> None:
        """Give every gradient the mean over those that turn into it."""
        self.of_weights.average([cast(Tensor, weight.grad) for weight in self.weights])

    @torch.no_grad()
    def average(self) -> None:
        """The same for weights and batch norms' statistics, which rounding drives apart."""
        self.of_tensors.average(self.tensors)

    @torch.no_grad()
    def check(self) -> None:
        """Raise ValueError where the network does not turn with the image."""
        turned = [weight.clone() for weight in self.weights]
        self.of_weights.average(turned)
        for weight, other in zip(self.weights, turned, strict=True):
            if not torch.allclose(weight, other, rtol=0, atol=1e-2 * float(other.abs().max())):
                raise ValueError("its network does not turn with the image")


class _Orbits:
    """The entries of some tensors that the symmetries take to each other.

    entries: of each tensor, flattened. A list of indices is looked up in a tenth of the time that
    a table takes.
    """

    def __init__(self, entries: Sequence[Channels], device: torch.device):
        self.sizes = [one.to.shape[1] for one in entries]
        starts = np.cumsum([0, *self.sizes])
        members, signs, orbits, sign = [], [], [], []
        n_orbits = 0
        for start, one in zip(starts, entries, strict=False):
            least = one.to.min(axis=0)
            first = np.flatnonzero(least == np.arange(len(least)))
            members.append(start + one.to[:, first])
            signs.append(one.sign[:, first])
            orbits.append(n_orbits + np.searchsorted(first, least))
            sign.append(np.empty(one.to.shape[1]))
            sign[-1][one.to[:, first]] = one.sign[:, first]
            n_orbits += len(first)
        self.members, self.signs, self.orbit, self.sign = (
            torch.tensor(np.hstack(table), dtype=kind, device=device)
            for table, kind in (
                (members, torch.int64),
                (signs, torch.float32),
                (orbits, torch.int64),
                (sign, torch.float32),
            )
        )

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Set every entry to the mean of its orbit; a second time this changes no bit."""
        members = self._flat(tensors).index_select(0, self.members.flatten())
        signed = members.view(self.members.shape) * self.signs
        self._set(tensors, signed.mean(dim=0, dtype=torch.float64).float())

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Set every entry to the first of its orbit, which keeps its spread."""
        self._set(tensors, self._flat(tensors).index_select(0, self.members[0]))

    def _flat(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([_in_memory_order(tensor).flatten() for tensor in tensors])

    def _set(self, tensors: Sequence[Tensor], of_orbits: Tensor) -> None:
        parts = (of_orbits.index_select(0, self.orbit) * self.sign).split(self.sizes)
        ordered = [_in_memory_order(tensor) for tensor in tensors]
        new = [part.view(old.shape) for part, old in zip(parts, ordered, strict=True)]
        torch._foreach_copy_(ordered, new)


def _in_memory_order(tensor: Tensor) -> Tensor:
    """A weight (out, in, y, x) as (out, y, x, in); other tensors as they are."""
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _entries(network: TileNetwork, outputs: Channels) -> dict[str, Channels]:
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
            into = channels(width) + SCALAR * (n_in - width)
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
