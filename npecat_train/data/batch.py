"""Images and the part of their catalogs that the posterior speaks of, as tensors."""

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
"""Tensor of a batch -> the store's array that it comes from."""


@dataclass(frozen=True)
class ObservedImages:
    """Some images and what is known of their sky, detector and PSF: all that a posterior takes.

    images, backgrounds: (batch, H, W), nanomaggies per pixel; electrons_per_nmgy: (batch,);
    psf_parameters: (batch, 6).
    """

    images: Tensor
    backgrounds: Tensor
    electrons_per_nmgy: Tensor
    psf_parameters: Tensor

    def to(self, device: torch.device) -> Self:
        """The images on a device."""
        return type(self)(**{n: t.to(device, non_blocking=True) for n, t in vars(self).items()})


@dataclass(frozen=True)
class TrainingBatch(ObservedImages):
    """Some images with their true catalogs.

    x, y, flux, is_galaxy: (batch, capacity); count: (batch,).
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
        """bool (batch, capacity): true where there is a source."""
        return torch.arange(self.x.shape[1], device=self.x.device) < self.count[:, None]

    def rows(self, start: int, stop: int) -> "TrainingBatch":
        """The images from ``start`` to before ``stop``; shares memory with this batch."""
        return TrainingBatch(**{n: t[start:stop] for n, t in vars(self).items()})

    def share(self, part: int, n_parts: int) -> "TrainingBatch":
        """One of ``n_parts`` parts that together are the batch; the last ones may be smaller."""
        return TrainingBatch(
            **{n: torch.tensor_split(t, n_parts)[part] for n, t in vars(self).items()}
        )

    def joined(self, other: "TrainingBatch") -> "TrainingBatch":
        """This batch and then the other."""
        return TrainingBatch(
            **{n: torch.cat([t, getattr(other, n)]) for n, t in vars(self).items()}
        )

    def turned(self, turns: int, flip: bool) -> "TrainingBatch":
        """Mirror in x if ``flip``, then turn by ``turns`` quarters from +x towards +y.

        Image, background and catalog move together; the PSF is circular and stays.
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
    """The images of a store as tensors in the RAM, sharing its memory."""
    arrays = batch.arrays()
    return TrainingBatch(**{name: torch.from_numpy(arrays[path]) for name, path in ARRAYS.items()})
