"""Zarr stores of simulated images, as they are read; store_writer.py writes them.

A finished store is sealed by a manifest of all its files. Only a sealed store opens for reading
as a whole, and only if its metadata is intact and every chunk is there in its full size and ends
in its own CRC-32C: that notices every file that is missing, cut or exchanged. A bit flipped within
a chunk is found by the CRC-32C when the chunk is read, and by ``verify`` beforehand.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import FsspecStore

from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.io import storage
from npecat_sim.io.storage import Location
from npecat_sim.model.catalog import COLUMNS, Catalog
from npecat_sim.model.psf import Psf
from npecat_sim.store import manifest, schema
from npecat_sim.store.settings import StoreSettings

MANIFEST = "manifest.json"


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

    def psf_of(self, image: int) -> Psf:
        """The PSF of one image of the batch."""
        return Psf.of(self.psf_parameters[image])

    def arrays(self) -> dict[str, np.ndarray]:
        """The batch by the names of the store's arrays."""
        catalog = {f"catalog/{name}": values for name, values in self.catalog.columns.items()}
        return {
            **{name: values for name, values in vars(self).items() if name != "catalog"},
            "catalog/count": self.catalog.count,
            **catalog,
        }


def store_path(folder: Location, split: str) -> Location:
    """Where the store of a split lies in the folder of a prior."""
    return folder / f"{split}.zarr"


def first_fault(path: Location, files: manifest.Files | None) -> str | None:
    """What is wrong with a store of these files, the first of them that is at fault, or None.

    files: from manifest.read. Reads the size and the ending of every chunk, see manifest.fault.
    """
    if files is None:
        return f"{MANIFEST} is damaged"

    def fault(file: tuple[str, manifest.Fingerprint]) -> str | None:
        name, listed = file
        words = manifest.fault(path / name, listed, thorough=False)
        return f"{name} {words}" if words else None

    return next(filter(None, storage.at_once(fault, files.items())), None)


def is_sealed(path: Location) -> bool:
    """True if the store's manifest has been written."""
    return (path / MANIFEST).exists()


def size_on_disk(path: Location) -> int:
    """Bytes of all files of a store."""
    return sum(storage.sizes(path).values())


def exists(path: Location) -> bool:
    """True if there is a store, of any version; raises NpecatError if there is something else."""
    with storage.reading(path):
        try:
            content = storage.read(path / manifest.METADATA)
        except (FileNotFoundError, NotADirectoryError):
            if any(not name.endswith(storage.PARTIAL) for name in storage.sizes(path)):
                raise _not_a_store(path) from None
            return False
    _attributes(path, content)
    return True


def attributes(path: Location) -> dict[str, Any]:
    """The attributes of a store's root group, finished or not, as they are.

    Raises
    ------
    StoreError
        If there is no store, or one of another format version.
    NpecatError
        If something else is there.
    """
    if not exists(path):
        raise StoreError(f"there is no store at {path}", path=path)
    found = _attributes(path, storage.read(path / manifest.METADATA))
    version = found["format_version"]
    if version != schema.FORMAT_VERSION:
        raise StoreError(
            f"{path} is of store format {version}, and this npecat reads {schema.FORMAT_VERSION}; "
            "delete it and simulate it again",
            path=path,
        )
    return found


def settings(path: Location) -> StoreSettings:
    """The configuration of a store, finished or not.

    Raises
    ------
    StoreError
        If there is no store, or it is of another format version or damaged.
    NpecatError
        If something else is there.
    """
    try:
        return StoreSettings.from_json(attributes(path))
    except ValueError as error:
        raise StoreError(
            f"{path}: {manifest.METADATA} is damaged ({error}); "
            "delete the store and simulate it again",
            path=path,
        ) from error


def _attributes(path: Location, metadata: bytes) -> dict[str, Any]:
    """The attributes in the root's metadata of a store of any version."""
    try:
        attributes = json.loads(metadata)["attributes"]
        is_ours = attributes["format"] == schema.FORMAT and "format_version" in attributes
    except (ValueError, LookupError, TypeError):
        is_ours = False
    if not is_ours:
        raise _not_a_store(path)
    return attributes


def _not_a_store(path: Location) -> NpecatError:
    return NpecatError(f"{path} is not an npecat store; move it away and simulate again")


def refuse_unfinished(path: Location) -> None:
    """Raise StoreError, with the settings that complete it, unless the store is sealed."""
    if not is_sealed(path):
        known = settings(path).to_json()
        raise StoreError(f"{path} is not finished; complete it", path=path, settings=known)


class Contents:
    """What is in a store, finished or not, as settings and arrays.

    Images that are not written yet read as zeros.

    Parameters
    ----------
    path : Path or UPath
        Of the store.

    Attributes
    ----------
    settings : StoreSettings
        The complete configuration that it was made with.

    Raises
    ------
    StoreError
        If there is no store, or one that cannot be read.
    """

    def __init__(self, path: Location):
        self.path = path
        self.settings = settings(path)

    @cached_property
    def _group(self) -> zarr.Group:
        local = isinstance(self.path, Path)
        place = self.path if local else FsspecStore.from_url(str(self.path), read_only=True)
        return zarr.open_group(place, mode="r")

    def __len__(self) -> int:
        return self.settings.n_images

    @property
    def chunk_ranges(self) -> list[range]:
        """The images of each chunk."""
        return self.settings.chunk_ranges

    def array(self, name: str, images: slice = slice(None)) -> np.ndarray:
        """One array, or a slice of it along the image axis; see schema.arrays for axes, units.

        Raises NpecatError where there is no array of this name, or it is damaged.
        """
        if name not in schema.NAMES:
            raise NpecatError(f"{self.path} has no array {name}; it has {', '.join(schema.NAMES)}")
        try:
            with storage.reading(self.path):
                return np.asarray(self._group[name][images])  # type: ignore[index]
        except (ValueError, KeyError, TypeError) as error:  # a checksum, or metadata, is wrong
            raise StoreError(
                f"{self.path}: array {name} is damaged ({error}); delete the store and simulate "
                "it again",
                path=self.path,
                settings=self.settings.to_json(),
            ) from error

    def about(self, name: str) -> dict[str, str]:
        """Unit and description of an array."""
        return dict(self._group[name].attrs)  # type: ignore[arg-type]

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

    Parameters
    ----------
    path : Path or UPath
        Of the store.

    Attributes
    ----------
    files : dict
        Its manifest: path of a file in the store -> fingerprint.

    Raises
    ------
    StoreError
        If there is no store, or it is unfinished or not whole.
    """

    def __init__(self, path: Location):
        super().__init__(path)
        refuse_unfinished(path)
        files = manifest.read(path / MANIFEST)
        fault = first_fault(path, files)
        if fault or files is None:
            trusted = not (fault and fault.startswith(manifest.METADATA))
            raise StoreError(
                f"{path} is not whole: {fault}; delete it and simulate it again",
                path=path,
                settings=self.settings.to_json() if trusted else None,
            )
        self.files = files

    @property
    def digest(self) -> str:
        """Names the exact content of the store."""
        return manifest.digest(self.files)
