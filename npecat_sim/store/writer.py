"""Write stores: create the layout, fill it one chunk at a time, seal it.

A store is written by tasks, each of which owns whole chunks. A finished task leaves a receipt: a
list of the files that it wrote, with their fingerprints. When every chunk has its receipt, the
store is sealed by a manifest of all files. Zarr makes the files in memory; each is then written in
one step, to a folder or to an object store.
"""

import json
import shutil
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import zarr
from zarr.abc.store import Store as ZarrStore
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from npecat_sim.errors import NpecatError
from npecat_sim.io import storage
from npecat_sim.io.storage import Location, writing
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.store import manifest, schema
from npecat_sim.store import reader as store
from npecat_sim.store.settings import StoreSettings

RECEIPTS = "receipts"
"""Name of the folder of receipts in a store that is not sealed."""


class Layout(NamedTuple):
    """A store in memory without its chunks.

    Parameters
    ----------
    metadata : dict
        Path of each metadata file in the store -> its content; the root comes first.
    arrays : dict
        Arrays of the store by name; they write to ``written``.
    written : dict
        Path of each file that the arrays have written -> its content.
    """

    metadata: dict[str, bytes]
    arrays: "dict[str, zarr.Array[Any]]"
    written: dict[str, Buffer]


def layout(settings: StoreSettings) -> Layout:
    """Metadata and arrays of a store before its first chunk.

    The settings become the attributes of the root group. ``n_images``, ``images_per_chunk`` and
    the capacity of the catalog prior determine the shapes.
    """
    return _layout(json.dumps(settings.to_json()))


@lru_cache(maxsize=8)  # making it takes as long as drawing a hundred images
def _layout(settings_text: str) -> Layout:
    """The layout for settings as JSON text, which can be a key of a cache."""
    settings = json.loads(settings_text)
    written: dict[str, Buffer] = {}
    in_memory: ZarrStore = MemoryStore(written)
    group = zarr.create_group(in_memory, zarr_format=3, attributes=settings)
    arrays = {
        spec.name: group.create_array(
            spec.name,
            shape=(settings["n_images"], *spec.tail),
            dtype=spec.dtype,
            chunks=(settings["images_per_chunk"], *spec.tail),
            compressors=[BloscCodec(cname="lz4", shuffle="bitshuffle"), Crc32cCodec()],
            serializer=BytesCodec(),
            dimension_names=spec.axes,
            attributes={"unit": spec.unit, "description": spec.description},
            config={"write_empty_chunks": True},
        )
        for spec in schema.arrays(
            CatalogPrior.from_dict(settings["catalog_prior"]).capacity,
            version=settings["format_version"],
        )
    }
    metadata = {name: written.pop(name).to_bytes() for name in list(written)}
    return Layout({manifest.METADATA: metadata.pop(manifest.METADATA), **metadata}, arrays, written)


def lay_out(path: Location, settings: StoreSettings) -> None:
    """Write the metadata files of an empty store that are missing or damaged.

    The root metadata is written first, so that an interrupted store can be identified.
    """

    def complete(file: tuple[str, bytes]) -> None:
        name, content = file
        if not _holds(path / name, content):
            storage.write(path / name, content)

    root, *others = layout(settings).metadata.items()
    complete(root)
    list(storage.at_once(complete, others))


def _holds(path: Location, content: bytes) -> bool:
    """True if a file exists and has this content."""
    try:
        return storage.read(path) == content
    except FileNotFoundError:
        return False


def remove(path: Location) -> None:
    """Delete a store of any format version, if there is one.

    The manifest is deleted first and the root metadata last, so that an interruption leaves an
    unfinished store. A folder that a symbolic link leads to stays, empty.

    Raises
    ------
    NpecatError
        If something other than a store is at the path; nothing is deleted then.
    """
    if store.exists(path):
        with writing(path):
            names = storage.sizes(path).keys()
            storage.remove(path, names & {store.MANIFEST})
            storage.remove(path, names - {store.MANIFEST, manifest.METADATA})
            storage.remove(path, [manifest.METADATA])
            if isinstance(path, Path):
                for folder in filter(Path.is_dir, path.iterdir()):  # all are empty
                    shutil.rmtree(folder)
                with suppress(OSError):  # a symbolic link or a mount
                    path.rmdir()


def write_chunk(path: Location, settings: StoreSettings, *, chunk: int, batch: store.Batch) -> None:
    """Write one whole chunk of every array, then its receipt.

    Parameters
    ----------
    path : Path or UPath
        Path of the store.
    settings : StoreSettings
        Settings of the store.
    chunk : int
        Number of the chunk.
    batch : Batch
        All images of the chunk.

    Raises
    ------
    NpecatError
        If the store no longer exists or was replaced by one of other settings, which happens to a
        task that outlives the run that submitted it.
    """
    _, arrays, written = layout(settings)
    contents = {}
    for name, values in batch.arrays().items():
        start = chunk * arrays[name].chunks[0]
        arrays[name][start : start + len(values)] = values
        key = f"{name}/c/" + "/".join([str(chunk)] + ["0"] * (values.ndim - 1))
        contents[key] = written.pop(key).to_bytes()
    _refuse_replaced(path, settings)
    list(storage.at_once(lambda key: storage.write(path / key, contents[key]), contents))
    _refuse_replaced(path, settings)
    files = {key: manifest.fingerprint(content) for key, content in contents.items()}
    manifest.write(_receipt(path, chunk), files)


def _refuse_replaced(path: Location, settings: StoreSettings) -> None:
    """Raise NpecatError unless the store has these settings."""
    root = path / manifest.METADATA
    if not _holds(root, layout(settings).metadata[manifest.METADATA]):
        raise NpecatError(
            f"{path}, as {socket.gethostname()} sees it, is not the store of this run: it was "
            "replaced meanwhile, or the workers see other folders; run the command again"
        )


def finished_chunks(path: Location) -> set[int]:
    """Numbers of all finished chunks of an unsealed store."""
    receipts = _receipts(path)
    return {chunk for chunk, files in enumerate(receipts) if _is_whole(path, chunk, files)}


def is_finished(path: Location, chunk: int) -> bool:
    """True if a chunk of an unsealed store has its receipt and all of its files."""
    return _is_whole(path, chunk, manifest.read(_receipt(path, chunk)))


def _is_whole(path: Location, chunk: int, files: manifest.Files | None) -> bool:
    """True if the receipt is that of the chunk and its files have no fault."""
    of_this_chunk = files is not None and f"catalog/count/c/{chunk}" in files
    return of_this_chunk and not store.first_fault(path, files)


def seal(path: Location) -> None:
    """Collect the receipts into the manifest, which makes the store finished.

    A seal that was interrupted is completed.

    Raises
    ------
    NpecatError
        If the receipt of a chunk is missing.
    """
    if not store.is_sealed(path):
        metadata = layout(store.settings(path)).metadata
        files = {name: manifest.fingerprint(content) for name, content in metadata.items()}
        for chunk, receipt in enumerate(_receipts(path)):
            if receipt is None:
                raise NpecatError(f"{path}: chunk {chunk} is not finished; run the command again")
            files.update(receipt)
        killed = [name for name in storage.sizes(path) if name.endswith(storage.PARTIAL)]
        storage.remove(path, killed)
        manifest.write(path / store.MANIFEST, dict(sorted(files.items())))
    with writing(path):
        storage.remove(path, [f"{RECEIPTS}/{name}" for name in storage.sizes(path / RECEIPTS)])
        if isinstance(path, Path):
            shutil.rmtree(path / RECEIPTS, ignore_errors=True)


def _receipts(path: Location) -> list[manifest.Files | None]:
    """The receipt of every chunk; None if it is missing or damaged."""
    chunks = range(len(store.settings(path).chunk_ranges))
    return list(storage.at_once(lambda chunk: manifest.read(_receipt(path, chunk)), chunks))


def _receipt(path: Location, chunk: int) -> Location:
    """Path of the receipt of a chunk."""
    return path / RECEIPTS / f"{chunk}.json"
