"""Stores as they are written: laid out, filled a chunk at a time, sealed.

A store is written by tasks that own whole chunks. A task that has finished leaves a receipt, a
list of the files it wrote with their fingerprints; when every receipt is there the store is
sealed by a manifest of all files.
"""

import shutil
from pathlib import Path
from typing import Any

import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from npecat_sim import manifest, schema, store
from npecat_sim.errors import NpecatError
from npecat_sim.files import writing

RECEIPTS = "receipts"


def create(path: Path, settings: dict[str, Any], capacity: int) -> None:
    """Lay out an empty store for catalogs padded to ``capacity`` sources.

    settings: become the attributes of the root group; ``n_images`` and ``images_per_chunk`` among
    them give the shape.
    """
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing(path):
        group = zarr.create_group(partial, zarr_format=3, attributes=settings)
        for spec in schema.arrays(capacity):
            group.create_array(
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
        partial.replace(path)


def remove(path: Path) -> None:
    """Delete a store of any format version, if there is one; in one step under its name.

    Raises NpecatError, and deletes nothing, if what is there is no npecat store.
    """
    removed = path.with_name(path.name + ".removed")
    with writing(path):
        if path.exists():
            store.attributes_of(path)
            path.replace(removed)
        if removed.exists():
            shutil.rmtree(removed)


def write_chunk(path: Path, chunk: int, batch: store.Batch) -> None:
    """Write one whole chunk of every array, then its receipt."""
    group = zarr.open_group(path, mode="r+")
    files = {}
    for name, values in batch.arrays().items():
        array = group[name]
        assert isinstance(array, zarr.Array)
        start = chunk * array.chunks[0]
        key = f"{name}/c/" + "/".join([str(chunk)] + ["0"] * (values.ndim - 1))
        with writing(path):
            array[start : start + len(values)] = values
            files[key] = manifest.fingerprint(path / key)
    with writing(path):
        (path / RECEIPTS).mkdir(exist_ok=True)
    manifest.write(_receipt(path, chunk), files)


def finished_chunks(path: Path) -> set[int]:
    """All finished chunks of an unsealed store."""
    return {c for c in range(len(store.chunk_ranges(store.settings(path)))) if is_finished(path, c)}


def is_finished(path: Path, chunk: int) -> bool:
    """True if a chunk of an unsealed store has its receipt and its files are all there."""
    files = manifest.read(_receipt(path, chunk))
    of_this_chunk = files is not None and f"catalog/count/c/{chunk}" in files
    return of_this_chunk and not store.first_fault(path, files)


def seal(path: Path) -> None:
    """Gather the receipts into the manifest, after which the store is finished.

    Completes a seal that was interrupted; raises NpecatError where a receipt is missing.
    """
    if not store.is_sealed(path):
        metadata = path.rglob(manifest.METADATA)
        files = {str(file.relative_to(path)): manifest.fingerprint(file) for file in metadata}
        for chunk in range(len(store.chunk_ranges(store.settings(path)))):
            receipt = manifest.read(_receipt(path, chunk))
            if receipt is None:
                raise NpecatError(f"{path}: chunk {chunk} is not finished; run the command again")
            files.update(receipt)
        for unfinished in path.rglob("*.partial"):  # of a run that was killed while it wrote
            unfinished.unlink()
        manifest.write(path / store.MANIFEST, dict(sorted(files.items())))
    shutil.rmtree(path / RECEIPTS, ignore_errors=True)


def _receipt(path: Path, chunk: int) -> Path:
    return path / RECEIPTS / f"{chunk}.json"
