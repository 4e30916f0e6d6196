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
"""With chunks of 500, 4,000 images are mixed at a time: 200 MB, and as much for the next buffer,
which is read meanwhile."""


def n_batches(passes: Sequence[int], batch_size: int) -> int:
    """Batches of passes over so many images each; the last one of each may be smaller."""
    return sum(-(-n_images // batch_size) for n_images in passes)


def batches(
    images: Images, batch_size: int, shuffle: tuple[int, int] | None = None, first: int = 0
) -> Iterator[TrainingBatch]:
    """Every image exactly once, from batch number ``first`` on, on the device that trains.

    shuffle: (seed, epoch), or None for the store's own order.
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
    """The content of each buffer; the next one is read while the present one is used."""
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
        # Without waiting: whoever drops the iterator may be the thread that the reading needs.
        reader.shutdown(wait=False, cancel_futures=True)


def _order(chunk_ranges: list[range], shuffle: tuple[int, int] | None) -> list[np.ndarray]:
    """The image indices of each buffer in the order in which they are used."""
    chunks = [np.array(images) for images in chunk_ranges]
    generator = np.random.default_rng(shuffle)
    if shuffle is not None:
        chunks = [chunks[chunk] for chunk in generator.permutation(len(chunks))]
    buffers = [
        np.concatenate(chunks[start : start + CHUNKS_PER_BUFFER])
        for start in range(0, len(chunks), CHUNKS_PER_BUFFER)
    ]
    return buffers if shuffle is None else [generator.permutation(images) for images in buffers]
