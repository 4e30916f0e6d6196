"""Zarr stores of simulated images: created, written a chunk at a time, sealed, opened.

A store is written by tasks that own whole chunks. A task that has finished leaves a receipt, the
digests of the files it wrote; when every receipt is there the store is sealed by a manifest of
all files. Only a sealed store whose files are all present in their full size can be opened; every
chunk carries a CRC-32C, so a flipped bit is found when it is read.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from npecat_sim import schema
from npecat_sim.catalog import COLUMNS, Catalog
from npecat_sim.errors import NpecatError
from npecat_sim.files import write_json, writing
from npecat_sim.seeding import SPLITS

MANIFEST = "manifest.json"
RECEIPTS = "receipts"


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
        (partial / RECEIPTS).mkdir()
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
            files[key] = _fingerprint(path / key)
    write_json(path / RECEIPTS / f"{chunk}.json", files)


def finished_chunks(path: Path) -> set[int]:
    """All finished chunks of an unsealed store."""
    chunks = {int(receipt.stem) for receipt in (path / RECEIPTS).glob("*.json")}
    return {chunk for chunk in chunks if is_finished(path, chunk)}


def is_finished(path: Path, chunk: int) -> bool:
    """True if a chunk of an unsealed store has its receipt and its files are all there."""
    receipt = path / RECEIPTS / f"{chunk}.json"
    return receipt.exists() and not _first_fault(path, json.loads(receipt.read_text()))


def seal(path: Path) -> None:
    """Gather the receipts into the manifest, after which the store is finished.

    Also clears what killed runs have left: half-written files, and receipts of a sealed store.
    """
    if not is_sealed(path):
        for left_behind in path.rglob("*.partial"):
            left_behind.unlink()
        files = {str(p.relative_to(path)): _fingerprint(p) for p in path.rglob("zarr.json")}
        for receipt in (path / RECEIPTS).glob("*.json"):
            files.update(json.loads(receipt.read_text()))
        write_json(path / MANIFEST, dict(sorted(files.items())))
    shutil.rmtree(path / RECEIPTS, ignore_errors=True)


def is_sealed(path: Path) -> bool:
    """True if the store's manifest has been written."""
    return (path / MANIFEST).exists()


def settings(path: Path) -> dict[str, Any]:
    """The attributes of a store, finished or not; raises NpecatError if it cannot be read here."""
    attributes = _attributes(path)
    version = attributes["format_version"]
    if version != schema.FORMAT_VERSION:
        raise NpecatError(
            f"{path} is of store format {version}, this npecat reads {schema.FORMAT_VERSION}; "
            "delete it and simulate it again"
        )
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


class Store:
    """A finished, whole store, open for reading.

    settings: the complete configuration it was made with. Raises NpecatError, in one line with
    the command that mends it, where there is no store or it is unfinished or not whole.
    """

    def __init__(self, path: Path, command: str):
        if not path.exists():
            raise NpecatError(f"no store at {path}; make it with: {command}")
        self.path = path
        self.settings = settings(path)
        if not is_sealed(path):
            raise NpecatError(
                f"{path} is not finished; complete it with: {remake_command(path, self.settings)}"
            )
        self.manifest = json.loads((path / MANIFEST).read_text())
        fault = _first_fault(path, self.manifest)
        if fault:
            raise NpecatError(
                f"{path} is not whole: {fault}; delete it and run: "
                f"{remake_command(path, self.settings)}"
            )
        self._group = zarr.open_group(path, mode="r")

    def __len__(self) -> int:
        return self.settings["n_images"]

    @property
    def chunk_ranges(self) -> list[range]:
        """The images of each chunk."""
        return chunk_ranges(self.settings)

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest: names the exact content of the store."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    def array(self, name: str, images: slice = slice(None)) -> np.ndarray:
        """One array, or a slice of it along the image axis; see schema.arrays for axes, units."""
        try:
            return np.asarray(self._group[name][images])  # type: ignore[index]
        except ValueError as error:  # a checksum that does not match
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


def _attributes(path: Path) -> dict[str, Any]:
    """The attributes of a store of any version; raises NpecatError if it is no npecat store."""
    try:
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError):
        attributes = {}
    if attributes.get("format") != schema.FORMAT:
        raise NpecatError(f"{path} is not an npecat store; move it away and simulate again")
    return attributes


def _fingerprint(path: Path) -> list[Any]:
    """[size in bytes, SHA-256] of a file."""
    content = path.read_bytes()
    return [len(content), hashlib.sha256(content).hexdigest()]


def _first_fault(path: Path, files: dict[str, list[Any]]) -> str | None:
    """What is wrong with the first file that is missing or of another size, if any is."""
    for name, (size, _) in files.items():
        try:
            found = os.stat(path / name).st_size
        except FileNotFoundError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has {found} bytes instead of {size}"
    return None
