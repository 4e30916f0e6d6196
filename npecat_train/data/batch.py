"""Images and the part of their catalogs that the posterior describes, as tensors."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Batch, Contents

ARRAYS = {
    "images": "images",
    "backgrounds": "backgrounds",
    "electrons_per_nmgy": "electrons_per_nmgy",
    "psf_parameters": "psf_parameters",
    "psf": "psf",
    "mask": "mask",
    "pixel_scale": "pixel_scale",
    "density": "density",
    "star_share": "star_share",
    "noise_correlation": "noise_correlation",
    "faint_flux": "faint_flux",
    "x": "catalog/x",
    "y": "catalog/y",
    "flux": "catalog/flux",
    "is_galaxy": "catalog/is_galaxy",
    "count": "catalog/count",
}
"""The store's array that each tensor of a batch comes from; no store has all of them."""

SIX_NUMBERS = ("psf_parameters",)
"""Tensors that the paper's networks take besides images, backgrounds and electrons."""

CONDITIONS = (
    "psf",
    "mask",
    "pixel_scale",
    "density",
    "star_share",
    "noise_correlation",
    "faint_flux",
)
"""Tensors that a network of variant wide takes instead of SIX_NUMBERS."""


@dataclass(frozen=True)
class ObservedImages:
    """Some images and what is known of their sky, detector and PSF: all that a posterior needs.

    Of the optional tensors the paper's networks need SIX_NUMBERS, and those of variant wide need
    CONDITIONS; wide_inputs.py describes these.

    Parameters
    ----------
    images, backgrounds : Tensor
        float32 (batch, y, x), nanomaggies per pixel.
    electrons_per_nmgy : Tensor
        (batch,), electrons per nanomaggy.
    psf_parameters : Tensor, optional
        (batch, 6), in the order of npecat_sim.psf.six_numbers.PARAMETERS.
    psf : Tensor, optional
        float32 (batch, side, side), the share of a star's flux in each pixel of a stamp.
    mask : Tensor, optional
        uint8 (batch, y, x), 1 where a pixel tells nothing.
    pixel_scale, density, star_share, noise_correlation, faint_flux : Tensor, optional
        (batch,) or (batch, tile row, tile column).
    """

    images: Tensor
    backgrounds: Tensor
    electrons_per_nmgy: Tensor
    psf_parameters: Tensor | None = None
    psf: Tensor | None = None
    mask: Tensor | None = None
    pixel_scale: Tensor | None = None
    density: Tensor | None = None
    star_share: Tensor | None = None
    noise_correlation: Tensor | None = None
    faint_flux: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by name."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    def need(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Return some tensors by name; raises NpecatError if one is missing."""
        there = self.tensors()
        missing = [name for name in names if name not in there]
        if missing:
            raise NpecatError(f"these images have no {', '.join(missing)}, which the network needs")
        return {name: there[name] for name in names}

    def to(self, device: torch.device) -> Self:
        """Return the images on a device."""
        there = self.tensors()
        return type(self)(**{n: t.to(device, non_blocking=True) for n, t in there.items()})


@dataclass(frozen=True, kw_only=True)
class TrainingBatch(ObservedImages):
    """Some images with their true catalogs; other parameters as of ObservedImages.

    Parameters
    ----------
    x, y : Tensor
        float32 (batch, capacity), pixels; the first pixel's centre is 0.
    flux : Tensor
        float32 (batch, capacity), nanomaggies.
    is_galaxy : Tensor
        bool (batch, capacity).
    count : Tensor
        (batch,), number of sources; what follows them in the capacity is padding.
    """

    x: Tensor
    y: Tensor
    flux: Tensor
    is_galaxy: Tensor
    count: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def present(self) -> Tensor:
        """Where there is a source and no padding: bool (batch, capacity)."""
        return torch.arange(self.x.shape[1], device=self.x.device) < self.count[:, None]

    def rows(self, start: int, stop: int) -> "TrainingBatch":
        """Return the images from ``start`` to before ``stop``, in the memory of the batch."""
        return TrainingBatch(**{n: t[start:stop] for n, t in self.tensors().items()})

    def share(self, part: int, n_parts: int) -> "TrainingBatch":
        """Return one of ``n_parts`` parts of the batch, of which the last ones may be smaller."""
        return TrainingBatch(
            **{n: torch.tensor_split(t, n_parts)[part] for n, t in self.tensors().items()}
        )

    def joined(self, other: "TrainingBatch") -> "TrainingBatch":
        """Return a batch of these images followed by those of another."""
        return TrainingBatch(
            **{n: torch.cat([t, getattr(other, n)]) for n, t in self.tensors().items()}
        )

    def turned(self, turns: int, flip: bool) -> "TrainingBatch":
        """Return the images mirrored or not, then turned.

        All maps and catalogs move together. A PSF image turns about its middle; a PSF of six
        numbers is circular and stays.

        Parameters
        ----------
        turns : int
            Quarter turns from +x towards +y.
        flip : bool
            Mirror in x first.
        """
        x, y = self.x, self.y
        last = self.images.shape[-1] - 1
        if flip:
            x = last - x
        for _ in range(turns % 4):
            x, y = last - y, x

        def turned_map(values: Tensor) -> Tensor:
            mirrored = values.flip(-1) if flip else values
            return torch.rot90(mirrored, turns, dims=(-1, -2))

        maps = {n: turned_map(t) for n, t in self.tensors().items() if t.ndim == 3}
        return replace(self, **maps, x=x, y=y)


def arrays_of(store: Contents) -> dict[str, str]:
    """Return the arrays of a store that a batch of its images takes, by tensor as in ARRAYS."""
    return {name: path for name, path in ARRAYS.items() if path in store.names}


def training_batch(batch: Batch) -> TrainingBatch:
    """Return the images of a store as tensors in RAM, in the memory of its arrays."""
    arrays = batch.arrays()
    return TrainingBatch(
        **{name: torch.from_numpy(arrays[path]) for name, path in ARRAYS.items() if path in arrays}
    )
