"""Where the images of a store lie while a run uses them: streamed, or kept in memory.

Both ways give the same images; an image that is kept is read when it is first needed.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch, arrays_of
from npecat_train.data.memory import free_bytes

CACHES = ("auto", "gpu", "ram", "none")
"""Choices of where to keep images; see choose_home."""

CPU = torch.device("cpu")
"""The device whose memory is RAM."""

READERS = 4
"""Threads that read chunks: one is enough for any CPU, a GPU may need more."""

MEMORY_SHARE = 0.5
"""Share of the memory that is free when a run starts that stores may fill. The rest is for the
network and, in RAM, for the system's cache of files. An image takes 51 kB, 210,000 take 11 GB."""


class Streamed:
    """The images of a store, read anew whenever they are needed.

    Parameters
    ----------
    store : Store
        Where the images are.
    device : torch.device
        Where they are needed.
    """

    def __init__(self, store: Store, device: torch.device) -> None:
        self.store, self.device = store, device
        self.chunk_ranges = store.chunk_ranges

    def __len__(self) -> int:
        return len(self.store)

    def take(self, images: np.ndarray) -> TrainingBatch:
        """Return some images in their order, on the device.

        Parameters
        ----------
        images : ndarray
            int (image,), indices of all images of some chunks, in any order.
        """
        content = _empty(self.store, len(images), CPU, pinned=self.device.type == "cuda")
        arrays = {name: tensor.numpy() for name, tensor in content.items()}
        row_of = dict(zip(images.tolist(), range(len(images)), strict=True))

        def put(chunk: range, name: str, values: np.ndarray) -> None:
            """Put the values of a chunk where its images belong."""
            arrays[name][[row_of[image] for image in chunk]] = values

        _read(self.store, _chunks_of(self.chunk_ranges, images), put)
        return TrainingBatch(**content).to(self.device)


class Resident(Streamed):
    """The images of a store, kept in RAM or on the GPU from their first use on.

    Parameters
    ----------
    store : Store
        Where the images are.
    device : torch.device
        Where they are needed.
    home : torch.device
        Where they are kept: the CPU for RAM, or ``device``.
    """

    def __init__(self, store: Store, device: torch.device, *, home: torch.device) -> None:
        super().__init__(store, device)
        self.home = home
        self.kept = _empty(store, len(store), home)
        self.missing = set(self.chunk_ranges)

    def take(self, images: np.ndarray) -> TrainingBatch:
        """Return some images in their order, on the device; see Streamed.take."""

        def put(chunk: range, name: str, values: np.ndarray) -> None:
            """Keep the values of a chunk."""
            self.kept[name][chunk.start : chunk.stop] = torch.from_numpy(values).to(self.home)

        wanted = self.missing.intersection(_chunks_of(self.chunk_ranges, images))
        _read(self.store, wanted, put)
        self.missing -= wanted
        rows = torch.from_numpy(images).to(self.home)
        content = {name: tensor[rows] for name, tensor in self.kept.items()}
        if self.home != self.device:
            content = {name: tensor.pin_memory() for name, tensor in content.items()}
        return TrainingBatch(**content).to(self.device)


Images = Streamed | Resident
"""The images of a store, wherever they lie."""


def choose_home(
    stores: Sequence[Store], device: torch.device, *, cache: str, passes: int, processes: int = 1
) -> torch.device | None:
    """Choose where the stores of a run are kept.

    Parameters
    ----------
    stores : sequence of Store
        What is kept together.
    device : torch.device
        Where the run trains.
    cache : str
        One of CACHES; ``auto`` keeps stores that are read more than once if they fit, on the GPU
        rather than in RAM.
    passes : int
        Number of times that the run reads the stores.
    processes : int, optional
        Number of processes that share this machine's RAM, each with stores of its own.

    Returns
    -------
    torch.device or None
        The device in whose memory the stores are kept; None if they are streamed.

    Raises
    ------
    NpecatError
        If the stores do not fit where ``cache`` wants them.
    """
    homes = {"gpu": device, "ram": CPU} if device.type == "cuda" else {"ram": CPU}
    if cache == "gpu" and cache not in homes:
        raise NpecatError(
            "cache is gpu, and there is no GPU to train on; choose auto, ram or none",
            parameters=("cache",),
        )
    if cache == "none" or (cache == "auto" and passes == 1):
        return None
    needed = sum(bytes_of(store) for store in stores)
    for name in homes if cache == "auto" else [cache]:
        sharing = processes if name == "ram" else 1
        budget = MEMORY_SHARE * free_bytes(homes[name]) / sharing
        if needed <= budget:
            return homes[name]
        if cache == name:
            raise NpecatError(
                f"cache is {name}: {stores[0].path.parent} needs {needed / 1e9:.2f} GB of memory, "
                f"and {budget / 1e9:.2f} GB may be used; choose auto or none",
                parameters=("cache",),
            )
    return None


def open_images(store: Store, device: torch.device, *, home: torch.device | None) -> Images:
    """Open a store for use on a device, kept in the memory of ``home`` or streamed."""
    return Resident(store, device, home=home) if home else Streamed(store, device)


def bytes_of(store: Store) -> int:
    """Return the memory that all images of a store take, bytes."""
    one = _empty(store, 1, CPU)
    return len(store) * sum(tensor.nbytes for tensor in one.values())


def _empty(
    store: Store, n_images: int, device: torch.device, pinned: bool = False
) -> dict[str, Tensor]:
    """Make room for some images of a store."""
    room = {}
    for name, path in arrays_of(store).items():
        none = torch.from_numpy(store.array(path, slice(0, 0)))
        shape = (n_images, *none.shape[1:])
        room[name] = torch.empty(shape, dtype=none.dtype, device=device, pin_memory=pinned)
    return room


def _chunks_of(chunk_ranges: Iterable[range], images: np.ndarray) -> list[range]:
    """Return the chunks that begin with one of the images."""
    wanted = set(images.tolist())
    return [chunk for chunk in chunk_ranges if chunk.start in wanted]


def _read(
    store: Store, chunks: Iterable[range], put: Callable[[range, str, np.ndarray], None]
) -> None:
    """Read all arrays of the chunks, several at a time, and pass each to ``put``."""

    def read(chunk: range) -> None:
        for name, path in arrays_of(store).items():
            put(chunk, name, store.array(path, slice(chunk.start, chunk.stop)))

    with ThreadPoolExecutor(READERS) as readers:
        list(readers.map(read, chunks))
