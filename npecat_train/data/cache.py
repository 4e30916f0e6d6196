"""Where the images of a store lie while a run uses them: read as they are needed, or kept.

Both ways give the same images; what is kept was read when it was first needed.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_train.data.batch import ARRAYS, TrainingBatch
from npecat_train.data.memory import free_bytes

CACHES = ("auto", "gpu", "ram", "none")

CPU = torch.device("cpu")

READERS = 4
"""Threads that read chunks: one feeds any CPU, a GPU may use more images than one can read."""

MEMORY_SHARE = 0.5
"""Of the memory that is free when a run starts, what stores may fill. The rest is for the network
and, in RAM, for the system's own cache of files. Images and backgrounds are kept as they come from
the store: 51 kB an image, 11 GB for 210,000."""


class Streamed:
    """The images of a store, read anew whenever they are needed."""

    def __init__(self, store: Store, device: torch.device):
        self.store, self.device = store, device
        self.chunk_ranges = store.chunk_ranges

    def __len__(self) -> int:
        return len(self.store)

    def take(self, images: np.ndarray) -> TrainingBatch:
        """These images in this order, on the device; they must be whole chunks, mixed at will."""
        content = _empty(self.store, len(images), CPU, pinned=self.device.type == "cuda")
        arrays = {name: tensor.numpy() for name, tensor in content.items()}
        row_of = dict(zip(images.tolist(), range(len(images)), strict=True))

        def put(chunk: range, name: str, values: np.ndarray) -> None:
            arrays[name][[row_of[image] for image in chunk]] = values

        _read(self.store, _chunks_of(self.chunk_ranges, images), put)
        return TrainingBatch(**content).to(self.device)


class Resident(Streamed):
    """The images of a store, kept in RAM or on the GPU (``home``) from their first use on."""

    def __init__(self, store: Store, device: torch.device, home: torch.device):
        super().__init__(store, device)
        self.home = home
        self.kept = _empty(store, len(store), home)
        self.missing = set(self.chunk_ranges)

    def take(self, images: np.ndarray) -> TrainingBatch:
        """As Streamed.take."""

        def put(chunk: range, name: str, values: np.ndarray) -> None:
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


def choose_home(
    stores: Sequence[Store], device: torch.device, cache: str, passes: int, processes: int = 1
) -> torch.device | None:
    """Where stores that a run reads ``passes`` times are kept together; None: nowhere.

    cache: one of CACHES; ``auto`` keeps what is read more than once if it fits, on the GPU before
    RAM. processes: how many share this machine's RAM, each with stores of its own.

    Raises NpecatError if they do not fit where they are asked to be.
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


def open_images(store: Store, device: torch.device, home: torch.device | None) -> Images:
    """A store for use on a device, kept at home where it has one."""
    return Resident(store, device, home) if home else Streamed(store, device)


def bytes_of(store: Store) -> int:
    """Memory that all images of a store take."""
    one = _empty(store, 1, CPU)
    return len(store) * sum(tensor.nbytes for tensor in one.values())


def _empty(
    store: Store, n_images: int, device: torch.device, pinned: bool = False
) -> dict[str, Tensor]:
    """Room for so many images of a store."""
    room = {}
    for name, path in ARRAYS.items():
        none = torch.from_numpy(store.array(path, slice(0, 0)))
        shape = (n_images, *none.shape[1:])
        room[name] = torch.empty(shape, dtype=none.dtype, device=device, pin_memory=pinned)
    return room


def _chunks_of(chunk_ranges: Iterable[range], images: np.ndarray) -> list[range]:
    """The chunks that hold the images."""
    wanted = set(images.tolist())
    return [chunk for chunk in chunk_ranges if chunk.start in wanted]


def _read(
    store: Store, chunks: Iterable[range], put: Callable[[range, str, np.ndarray], None]
) -> None:
    """Read all arrays of the chunks, several at a time, and hand each on."""

    def read(chunk: range) -> None:
        for name, path in ARRAYS.items():
            put(chunk, name, store.array(path, slice(chunk.start, chunk.stop)))

    with ThreadPoolExecutor(READERS) as readers:
        list(readers.map(read, chunks))
