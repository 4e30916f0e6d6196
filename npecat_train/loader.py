"""Stream the images of a store: whole chunks in shuffled order, mixed in a buffer of several.

The order follows from (seed, epoch) alone, so a run can be resumed in the middle of an epoch.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from npecat_sim.store import Store

CHUNKS_PER_BUFFER = 8
"""With chunks of 500, 4,000 images are mixed at a time: 200 MB, and as much for the next buffer,
which is read meanwhile."""

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


@dataclass(frozen=True)
class TrainingBatch:
    """Images and the part of their catalogs that the posterior speaks of, as tensors.

    images, backgrounds: (batch, H, W); electrons_per_nmgy: (batch,); psf_parameters: (batch, 6);
    x, y, flux, is_galaxy: (batch, capacity); count: (batch,).
    """

    images: Tensor
    backgrounds: Tensor
    electrons_per_nmgy: Tensor
    psf_parameters: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    is_galaxy: Tensor
    count: Tensor

    @property
    def present(self) -> Tensor:
        """bool (batch, capacity): true where there is a source."""
        return torch.arange(self.x.shape[1], device=self.x.device) < self.count[:, None]

    def to(self, device: torch.device) -> "TrainingBatch":
        """The batch on a device."""
        return TrainingBatch(**{n: t.to(device, non_blocking=True) for n, t in vars(self).items()})

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


def n_batches(n_images: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-n_images // batch_size)


def batches(
    store: Store, batch_size: int, shuffle: tuple[int, int] | None = None, first: int = 0
) -> Iterator[TrainingBatch]:
    """Every image exactly once, from batch number ``first`` on.

    shuffle: (seed, epoch), or None for the store's own order. The next buffer is read in the
    background while the present one is used.
    """
    buffers = _order(store, shuffle)
    skip = first * batch_size
    while buffers and skip >= len(buffers[0]):
        skip -= len(buffers.pop(0))
    left_over: dict[str, np.ndarray] = {}
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_read, store, buffers[0]) if buffers else None
        for position in range(len(buffers)):
            assert ahead is not None
            content = ahead.result()
            if position + 1 < len(buffers):
                ahead = reader.submit(_read, store, buffers[position + 1])
            if skip:
                content, skip = {n: v[skip:] for n, v in content.items()}, 0
            if left_over:
                content = {n: np.concatenate([left_over[n], v]) for n, v in content.items()}
            size = len(content["images"])
            is_last = position + 1 == len(buffers)
            stop = size if is_last else size - size % batch_size
            for start in range(0, stop, batch_size):
                rows = slice(start, min(start + batch_size, stop))
                yield TrainingBatch(**{n: torch.from_numpy(v[rows]) for n, v in content.items()})
            left_over = {n: v[stop:] for n, v in content.items()}


def _order(store: Store, shuffle: tuple[int, int] | None) -> list[np.ndarray]:
    """The image indices of each buffer in the order in which they are used."""
    chunks = [np.array(images) for images in store.chunk_ranges]
    generator = np.random.default_rng(shuffle)
    if shuffle is not None:
        chunks = [chunks[chunk] for chunk in generator.permutation(len(chunks))]
    buffers = [
        np.concatenate(chunks[start : start + CHUNKS_PER_BUFFER])
        for start in range(0, len(chunks), CHUNKS_PER_BUFFER)
    ]
    return buffers if shuffle is None else [generator.permutation(images) for images in buffers]


def _read(store: Store, images: np.ndarray) -> dict[str, np.ndarray]:
    """Read the whole chunks that hold the images, then put them in the order asked for."""
    wanted = set(images.tolist())
    chunks = [chunk for chunk in store.chunk_ranges if chunk.start in wanted]
    rows = np.searchsorted(np.concatenate([np.array(chunk) for chunk in chunks]), images)
    return {
        name: np.concatenate([store.array(path, slice(c.start, c.stop)) for c in chunks])[rows]
        for name, path in ARRAYS.items()
    }
