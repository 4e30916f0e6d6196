"""Zarr stores of simulated images: created, written a chunk at a time, sealed, opened.

A store is written by tasks that own whole chunks. A task that has finished leaves a receipt, a
list of the files it wrote with their fingerprints; when every receipt is there the store is
sealed by a manifest of all files. Only a sealed store opens for reading as a whole, and only if
its metadata is intact and every chunk is there in its full size and ends in its own CRC-32C: that
notices every file that is missing, cut or exchanged. A bit flipped within a chunk is found by
the CRC-32C when the chunk is read, and by ``verify`` beforehand.
"""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from npecat_sim import manifest, schema
from npecat_sim.catalog import COLUMNS, Catalog
from npecat_sim.errors import NpecatError
from npecat_sim.files import writing
from npecat_sim.seeding import SPLITS

MANIFEST = "manifest.json"
RECEIPTS = "receipts"

LEAST_SETTINGS: dict[str, Any] = {
    "npecat_version": "",
    "prior": "",
    "split": "",
    "seed": 0,
    "renderer": "",
    "n_images": 1,
    "images_per_chunk": 1,
    "image_size_pixel": 1,
    "fields": "",
    "n_fields": 1,
}
"""Settings that are read back, each with the least value of its type that it can have."""


@dataclass(frozen=True)
class Batch:
    """Some images of a store and all that is known about them, axes as in schema.arrays."""

    images: np.ndarray
    backgrounds: np.ndarray
    psf_parameters: np.ndarray
    fwhm: np.ndarray
    field: np.ndarray
    electrons_per_nmgy: np.ndarray
    catalog: Catalog

    def arrays(self) -> dict[str, np.ndarray]:
        """The batch by the names of the store's arrays."""
        catalog = {f"catalog/{name}": values for name, values in self.catalog.columns.items()}
        return {
            **{name: values for name, values in vars(self).items() if name != "catalog"},
            "catalog/count": self.catalog.count,
            **catalog,
        }


def store_path(data: Path, prior: str, split: str) -> Path:
    """Where the store of a prior and split lies under the data folder."""
    return data / prior / f"{split}.zarr"


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
            _attributes(path)
            path.replace(removed)
        if removed.exists():
            shutil.rmtree(removed)


def chunk_ranges(settings: dict[str, Any]) -> list[range]:
    """The images of each chunk of a store."""
    n_images, step = settings["n_images"], settings["images_per_chunk"]
    return [range(start, min(start + step, n_images)) for start in range(0, n_images, step)]


def write_chunk(path: Path, chunk: int, batch: Batch) -> None:
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
    return {c for c in range(len(chunk_ranges(settings(path)))) if is_finished(path, c)}


def is_finished(path: Path, chunk: int) -> bool:
    """True if a chunk of an unsealed store has its receipt and its files are all there."""
    files = manifest.read(_receipt(path, chunk))
    of_this_chunk = files is not None and f"catalog/count/c/{chunk}" in files
    return of_this_chunk and not first_fault(path, files)


def seal(path: Path) -> None:
    """Gather the receipts into the manifest, after which the store is finished.

    Completes a seal that was interrupted; raises NpecatError where a receipt is missing.
    """
    if not is_sealed(path):
        metadata = path.rglob(manifest.METADATA)
        files = {str(file.relative_to(path)): manifest.fingerprint(file) for file in metadata}
        for chunk in range(len(chunk_ranges(settings(path)))):
            receipt = manifest.read(_receipt(path, chunk))
            if receipt is None:
                raise NpecatError(f"{path}: chunk {chunk} is not finished; run the command again")
            files.update(receipt)
        for unfinished in path.rglob("*.partial"):  # of a run that was killed while it wrote
            unfinished.unlink()
        manifest.write(path / MANIFEST, dict(sorted(files.items())))
    shutil.rmtree(path / RECEIPTS, ignore_errors=True)


def _receipt(path: Path, chunk: int) -> Path:
    return path / RECEIPTS / f"{chunk}.json"


def first_fault(path: Path, files: manifest.Files | None) -> str | None:
    """What is wrong with a store of these files, the first of them that is at fault, or None.

    files: from manifest.read. Reads the size and the ending of every chunk, see manifest.fault.
    """
    if files is None:
        return f"{MANIFEST} is damaged"
    faults = ((name, manifest.fault(path / name, f, thorough=False)) for name, f in files.items())
    return next((f"{name} {words}" for name, words in faults if words), None)


def is_sealed(path: Path) -> bool:
    """True if the store's manifest has been written."""
    return (path / MANIFEST).exists()


def size_on_disk(path: Path) -> int:
    """Bytes of all files of a store."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def settings(path: Path, command: str = "npecat simulate") -> dict[str, Any]:
    """The attributes of a store, finished or not.

    command: makes the store. Raises NpecatError where there is none, or something else.
    """
    if not path.exists():
        raise NpecatError(f"no store at {path}; make it with: {command}")
    attributes = _attributes(path)
    version = attributes["format_version"]
    if version != schema.FORMAT_VERSION:
        raise NpecatError(
            f"{path} is of store format {version}, this npecat reads {schema.FORMAT_VERSION}; "
            "delete it and simulate it again"
        )
    for name, least in LEAST_SETTINGS.items():
        value: Any = attributes.get(name)
        if type(value) is not type(least) or value < least:
            raise NpecatError(
                f"{path}: {manifest.METADATA} is damaged ({name} is {value!r}); "
                "delete the store and simulate it again"
            )
    return attributes


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of a store of any version; raises NpecatError if it is no npecat store."""
    try:
        attributes = json.loads((path / manifest.METADATA).read_text())["attributes"]
        is_ours = attributes["format"] == schema.FORMAT and "format_version" in attributes
    except (OSError, ValueError, LookupError, TypeError):
        is_ours = False
    if not is_ours:
        raise NpecatError(f"{path} is not an npecat store; move it away and simulate again")
    return attributes


def remake_command(path: Path, settings: dict[str, Any]) -> str:
    """The command that makes, or completes, the store with these settings at this path."""
    counts = {split: settings["n_images"] if split == settings["split"] else 0 for split in SPLITS}
    words = ["npecat simulate --prior", settings["prior"]]
    words += [f"--n {counts['train']} --n-validation {counts['validation']}"]
    words += [f"--n-test {counts['test']} --seed {settings['seed']} --data {path.parent.parent}"]
    if settings["fields"] == "library":
        words.append("--fields LIBRARY")
    return " ".join(words)


def refuse_unfinished(path: Path) -> None:
    """Raise NpecatError, with the command that completes it, unless the store is sealed."""
    if not is_sealed(path):
        raise NpecatError(
            f"{path} is not finished; complete it with: {remake_command(path, settings(path))}"
        )


class Contents:
    """What is in a store, finished or not, as settings and arrays.

    settings: the complete configuration it was made with. Images that are not written yet read
    as zeros. Raises NpecatError, with the command that makes it, where there is no store.
    """

    def __init__(self, path: Path, command: str):
        self.path = path
        self.settings = settings(path, command)

    @cached_property
    def _group(self) -> zarr.Group:
        return zarr.open_group(self.path, mode="r")

    def __len__(self) -> int:
        return self.settings["n_images"]

    @property
    def chunk_ranges(self) -> list[range]:
        """The images of each chunk."""
        return chunk_ranges(self.settings)

    def array(self, name: str, images: slice = slice(None)) -> np.ndarray:
        """One array, or a slice of it along the image axis; see schema.arrays for axes, units."""
        try:
            return np.asarray(self._group[name][images])  # type: ignore[index]
        except (ValueError, KeyError, TypeError) as error:  # a checksum, or metadata, is wrong
            raise NpecatError(
                f"{self.path}: array {name} is damaged ({error}); delete the store and run: "
                f"{remake_command(self.path, self.settings)}"
            ) from error

    def catalog(self, images: slice = slice(None)) -> Catalog:
        """The true catalog of the images."""
        columns = {c.name: self.array(f"catalog/{c.name}", images) for c in COLUMNS}
        return Catalog(self.array("catalog/count", images), columns)

    def batch(self, images: slice) -> Batch:
        """Everything about some images."""
        names = [name for name in Batch.__dataclass_fields__ if name != "catalog"]
        return Batch(
            **{name: self.array(name, images) for name in names}, catalog=self.catalog(images)
        )


class Store(Contents):
    """A finished store that is whole as far as first_fault sees, open for reading.

    files: its manifest. Raises NpecatError, in one line with the command that mends it, where
    there is no store or it is unfinished or not whole.
    """

    def __init__(self, path: Path, command: str):
        super().__init__(path, command)
        refuse_unfinished(path)
        files = manifest.read(path / MANIFEST)
        fault = first_fault(path, files)
        if fault or files is None:
            settings_differ = fault and fault.startswith(manifest.METADATA)
            remedy = command if settings_differ else remake_command(path, self.settings)
            raise NpecatError(f"{path} is not whole: {fault}; delete it and run: {remedy}")
        self.files = files

    @property
    def digest(self) -> str:
        """Names the exact content of the store."""
        return manifest.digest(self.files)
