"""Stores as they are written: laid out, filled a chunk at a time, sealed.

A store is written by tasks that own whole chunks. A task that has finished leaves a receipt, a
list of the files it wrote with their fingerprints; when every receipt is there the store is
sealed by a manifest of all files. Zarr makes the files in memory, and each is then written in one
step, to a folder or an object store alike.
"""

import json
import shutil
import socket
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

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


class Layout(NamedTuple):
    """A store in memory without its chunks."""

    metadata: dict[str, bytes]
    """Path of each metadata file in the store -> its content, the root's first."""
    arrays: dict[str, zarr.Array]
    """Arrays of the store by name, which write to ``written``."""
    written: dict[str, Buffer]


def layout(settings: StoreSettings) -> Layout:
    """What settings make of a store before the first chunk.

    They become the attributes of the root group; ``n_images`` and ``images_per_chunk`` among
    them, and the capacity of the catalog prior, give the shapes.
    """
    return _layout(json.dumps(settings.to_json()))


@lru_cache(maxsize=8)  # making it takes as long as drawing a hundred images
def _layout(settings_text: str) -> Layout:
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
        for spec in schema.arrays(CatalogPrior.from_dict(settings["catalog_prior"]).capacity)
    }
    metadata = {name: written.pop(name).to_bytes() for name in list(written)}
    return Layout({manifest.METADATA: metadata.pop(manifest.METADATA), **metadata}, arrays, written)


def lay_out(path: Location, settings: StoreSettings) -> None:
    """Write the metadata of an empty store, or what is missing or damaged of it.

    The root's comes first: whatever moment this is interrupted at, the store says what it is.
    """

    def complete(file: tuple[str, bytes]) -> None:
        name, content = file
        if not _holds(path / name, content):
            storage.write(path / name, content)

    root, *others = layout(settings).metadata.items()
    complete(root)
    list(storage.at_once(complete, others))


def _holds(path: Location, content: bytes) -> bool:
    try:
        return storage.read(path) == content
    except FileNotFoundError:
        return False


def remove(path: Location) -> None:
    """Delete a store of any format version, if there is one.

    The manifest goes first and the root's metadata last: what an interruption leaves is an
    unfinished store. Raises NpecatError, and deletes nothing, if what is there is no store.
    """
    if store.exists(path):
        with writing(path):
            names = storage.sizes(path).keys()
            storage.remove(path, names & {store.MANIFEST})
            storage.remove(path, names - {store.MANIFEST, manifest.METADATA})
            storage.remove(path, [manifest.METADATA])
            if isinstance(path, Path):
                shutil.rmtree(path)


def write_chunk(path: Location, settings: StoreSettings, chunk: int, batch: store.Batch) -> None:
    """Write one whole chunk of every array, then its receipt.

    Raises NpecatError if the store is gone or was replaced by one of other settings, as happens
    to a task that outlives the run that sent it.
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
    root = path / manifest.METADATA
    if not _holds(root, layout(settings).metadata[manifest.METADATA]):
        raise NpecatError(
            f"{path}, as {socket.gethostname()} sees it, is not the store of this run: it was "
            "replaced meanwhile, or the workers see other folders; run the command again"
        )


def finished_chunks(path: Location) -> set[int]:
    """All finished chunks of an unsealed store."""
    receipts = _receipts(path)
    return {chunk for chunk, files in enumerate(receipts) if _is_whole(path, chunk, files)}


def is_finished(path: Location, chunk: int) -> bool:
    """True if a chunk of an unsealed store has its receipt and its files are all there."""
    return _is_whole(path, chunk, manifest.read(_receipt(path, chunk)))


def _is_whole(path: Location, chunk: int, files: manifest.Files | None) -> bool:
    of_this_chunk = files is not None and f"catalog/count/c/{chunk}" in files
    return of_this_chunk and not store.first_fault(path, files)


def seal(path: Location) -> None:
    """Gather the receipts into the manifest, after which the store is finished.

    Completes a seal that was interrupted; raises NpecatError where a receipt is missing.
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
    """The receipt of every chunk, None where it is missing or damaged."""
    chunks = range(len(store.settings(path).chunk_ranges))
    return list(storage.at_once(lambda chunk: manifest.read(_receipt(path, chunk)), chunks))


def _receipt(path: Location, chunk: int) -> Location:
    return path / RECEIPTS / f"{chunk}.json"
