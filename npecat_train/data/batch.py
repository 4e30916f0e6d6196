"""Images and the part of their catalogs that the posterior describes, as tensors."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from npecat_sim.store.reader import Batch

ARRAYS = {
    "images": "images",
    "backgrounds": "backgrounds",
    "electrons_per_nmgy": "electrons_per_nmgy",
    "psf_parameters": "psf_parameters",
    "x": "catalog/x",
    "y": "catalog/y",
    "flux": "catalog/flux",
    "is_galaxy": "catalog/is_galaxy",
    "count": "catalog/count",
}
"""The store's array that each tensor of a batch comes from."""


@dataclass(frozen=True)
class ObservedImages:
    """Some images and what is known of their sky, detector and PSF: all that a posterior needs.

    Parameters
    ----------
    images, backgrounds : Tensor
        float32 (batch, y, x), nanomaggies per pixel.
    electrons_per_nmgy : Tensor
        (batch,), electrons per nanomaggy.
    psf_parameters : Tensor
        (batch, 6), in the order of npecat_sim.psf.six_numbers.PARAMETERS.
    """

    images: Tensor
    backgrounds: Tensor
    electrons_per_nmgy: Tensor
    psf_parameters: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the images on a device."""
        return type(self)(**{n: t.to(device, non_blocking=True) for n, t in vars(self).items()})


@dataclass(frozen=True)
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
        return TrainingBatch(**{n: t[start:stop] for n, t in vars(self).items()})

    def share(self, part: int, n_parts: int) -> "TrainingBatch":
        """Return one of ``n_parts`` parts of the batch, of which the last ones may be smaller."""
        return TrainingBatch(
            **{n: torch.tensor_split(t, n_parts)[part] for n, t in vars(self).items()}
        )

    def joined(self, other: "TrainingBatch") -> "TrainingBatch":
        """Return a batch of these images followed by those of another."""
        return TrainingBatch(
            **{n: torch.cat([t, getattr(other, n)]) for n, t in vars(self).items()}
        )

    def turned(self, turns: int, flip: bool) -> "TrainingBatch":
        """Return the images mirrored or not, then turned.

        Images, backgrounds and catalogs move together; the PSF is circular and stays.

        Parameters
        ----------
        turns : int
            Quarter turns from +x towards +y.
        flip : bool
            Mirror in x first.
        """
        images, backgrounds, x, y = self.images, self.backgrounds, self.x, self.y
        last = images.shape[-1] - 1
        if flip:
            images, backgrounds, x = images.flip(-1), backgrounds.flip(-1), last - x
        images = torch.rot90(images, turns, dims=(-1, -2))
        backgrounds = torch.rot90(backgrounds, turns, dims=(-1, -2))
        for _ in range(turns % 4):
            x, y = last - y, x
        return replace(self, images=images, backgrounds=backgrounds, x=x, y=y)


def training_batch(batch: Batch) -> TrainingBatch:
    """Return the images of a store as tensors in RAM, in the memory of its arrays."""
    arrays = batch.arrays()
    return TrainingBatch(**{name: torch.from_numpy(arrays[path]) for name, path in ARRAYS.items()})
