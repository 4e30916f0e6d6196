"""The images of a store in batches: whole chunks in shuffled order, mixed in a buffer of several.

The order follows from (seed, epoch) alone, whether the images are streamed or kept in memory, so
a run can be resumed in the middle of an epoch.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import Images

CHUNKS_PER_BUFFER = 8
"""Chunks that are mixed at a time. Of 500 images each they take 200 MB, and as much for the next
buffer, which is read meanwhile."""


def n_batches(passes: Sequence[int], batch_size: int) -> int:
    """Count the batches of a run.

    Parameters
    ----------
    passes : sequence of int
        Number of images of each pass; its last batch may be smaller.
    batch_size : int
        Images of a batch.
    """
    return sum(-(-n_images // batch_size) for n_images in passes)


def batches(
    images: Images, batch_size: int, *, shuffle: tuple[int, int] | None = None, first: int = 0
) -> Iterator[TrainingBatch]:
    """Go through a store once, in batches.

    Parameters
    ----------
    images : Streamed or Resident
        The store.
    batch_size : int
        Images of a batch; the last one may be smaller.
    shuffle : tuple of int, optional
        Seed and epoch, from which the order follows; by default the store's own order.
    first : int, optional
        Number of the first batch, from 0; those before it are left out.

    Yields
    ------
    TrainingBatch
        On the device of ``images``.
    """
    buffers = _order(images.chunk_ranges, shuffle)
    skip = first * batch_size
    while buffers and skip >= len(buffers[0]):
        skip -= len(buffers.pop(0))
    rest: TrainingBatch | None = None
    for buffer in _ahead(images, buffers):
        start, skip = skip, 0
        if rest is not None:
            start = batch_size - len(rest)
            rest = rest.joined(buffer.rows(0, start))
            if len(rest) < batch_size:
                continue
            yield rest
        stop = len(buffer) - (len(buffer) - start) % batch_size
        for row in range(start, stop, batch_size):
            yield buffer.rows(row, row + batch_size)
        rest = buffer.rows(stop, len(buffer)) if stop < len(buffer) else None
    if rest is not None:
        yield rest


def _ahead(images: Images, buffers: list[np.ndarray]) -> Iterator[TrainingBatch]:
    """Yield the content of each buffer; the next one is read while the present one is used."""
    reader = ThreadPoolExecutor(1)
    try:
        waiting = [reader.submit(images.take, wanted) for wanted in buffers[:1]]
        for following in [*buffers[1:], None]:
            if not waiting:
                return
            content = waiting.pop().result()
            if following is not None:
                waiting.append(reader.submit(images.take, following))
            yield content
    finally:
        # Without waiting: the iterator may be dropped in a thread that the reading needs.
        reader.shutdown(wait=False, cancel_futures=True)


def _order(chunk_ranges: list[range], shuffle: tuple[int, int] | None) -> list[np.ndarray]:
    """Return the image indices of each buffer, in the order of their use."""
    chunks = [np.array(images) for images in chunk_ranges]
    generator = np.random.default_rng(shuffle)
    if shuffle is not None:
        chunks = [chunks[chunk] for chunk in generator.permutation(len(chunks))]
    buffers = [
        np.concatenate(chunks[start : start + CHUNKS_PER_BUFFER])
        for start in range(0, len(chunks), CHUNKS_PER_BUFFER)
    ]
    return buffers if shuffle is None else [generator.permutation(images) for images in buffers]
