"""Read Zarr stores of simulated images; writer.py writes them.

A finished store is sealed by a manifest of all its files. Store opens a sealed store only, and
only if its metadata is intact and every chunk has its full size and ends in its own CRC-32C. That
detects every file that is missing, cut short or exchanged. A flipped bit inside a chunk is detected
by the CRC-32C when the chunk is read, and by verify.py beforehand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import FsspecStore

from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.io import storage
from npecat_sim.io.json_files import parse_json
from npecat_sim.io.storage import Location
from npecat_sim.model.catalog import COLUMNS, Catalog
from npecat_sim.psf.base import Psf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.store import manifest, schema
from npecat_sim.store.settings import StoreSettings

MANIFEST = "manifest.json"
"""Name of the manifest in the folder of a store."""

DAMAGED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What Zarr raises where a checksum or metadata is wrong."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some images of a store with what is known of each, and their true sources.

    Images of the paper's priors have six PSF parameters and a field; those of prior ``wide`` have
    everything from ``mask`` on. Each lacks what the other has.

    Parameters
    ----------
    images : ndarray
        float32 (image, y, x), nanomaggies per pixel: observed, sky subtracted; 0 where masked.
    backgrounds : ndarray
        float32 (image, y, x), nanomaggies per pixel: the sky in each pixel. Of prior ``wide``, the
        sky whose photons would have the noise of the empty pixel, read noise included.
    fwhm : ndarray
        float64 (image,), arcsec: effective FWHM of the PSF.
    electrons_per_nmgy : ndarray
        float64 (image,): electrons per nanomaggy.
    catalog : Catalog
        The true sources.
    psf_parameters : ndarray, optional
        float64 (image, 6), in the order of psf.PARAMETERS; radii in pixels.
    field : ndarray, optional
        int32 (image, 3): SDSS run, camera column and field; run 0 is a synthetic field.
    mask : ndarray, optional
        uint8 (image, y, x): 1 where a pixel holds no information.
    psf : ndarray, optional
        float32 (image, PSF_SIDE, PSF_SIDE): share of the flux of a star on the middle pixel that is
        recorded in each pixel.
    pixel_scale : ndarray, optional
        float64 (image,): arcsec per pixel.
    density : ndarray, optional
        float64 (image,): mean number of sources per pixel.
    star_share : ndarray, optional
        float64 (image,): probability that a source is a star.
    noise_correlation : ndarray, optional
        float64 (image,): standard deviation of the noise under the PSF over that of white noise.
    faint_flux : ndarray, optional
        float64 (image,): flux of the faintest source, nanomaggies.
    psf_kind : ndarray, optional
        int8 (image,): 0 six numbers, 1 gaussian, 2 moffat, 3 kolmogorov, 4 another.
    psf_shape : ndarray, optional
        float64 (image, 4): width in pixels, g1, g2 and beta; 0 where it has none.
    """

    images: np.ndarray
    backgrounds: np.ndarray
    fwhm: np.ndarray
    electrons_per_nmgy: np.ndarray
    catalog: Catalog
    psf_parameters: np.ndarray | None = None
    field: np.ndarray | None = None
    mask: np.ndarray | None = None
    psf: np.ndarray | None = None
    pixel_scale: np.ndarray | None = None
    density: np.ndarray | None = None
    star_share: np.ndarray | None = None
    noise_correlation: np.ndarray | None = None
    faint_flux: np.ndarray | None = None
    psf_kind: np.ndarray | None = None
    psf_shape: np.ndarray | None = None

    def psf_of(self, image: int) -> Psf:
        """The PSF of one image of the batch."""
        if self.psf is not None:
            stamp = self.psf[image].astype(np.float64)
            return SampledPsf(stamp, flux=float(stamp.sum()))
        if self.psf_parameters is None:
            raise ValueError("a batch has a PSF image or six parameters of each image")
        return SixNumberPsf.of(self.psf_parameters[image])

    def arrays(self) -> dict[str, np.ndarray]:
        """The batch by the names of the store's arrays."""
        catalog = {f"catalog/{name}": values for name, values in self.catalog.columns.items()}
        known = {name: values for name, values in vars(self).items() if values is not None}
        del known["catalog"]
        return {**known, "catalog/count": self.catalog.count, **catalog}


def store_path(folder: Location, split: str) -> Location:
    """Path of the store of a split in the folder of a prior."""
    return folder / f"{split}.zarr"


def first_fault(path: Location, files: manifest.Files | None) -> str | None:
    """What is wrong with the first faulty file of a store, if any.

    It reads the size and the ending of every chunk, see manifest.fault.

    Parameters
    ----------
    path : Path or UPath
        Path of the store.
    files : dict of str to Fingerprint, or None
        The result of manifest.read.

    Returns
    -------
    str or None
        A sentence that begins with the path of the file in the store; None without a fault.
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
    """Total bytes of all files of a store."""
    return sum(storage.sizes(path).values())


def exists(path: Location) -> bool:
    """True if there is a store, of any format version.

    Raises
    ------
    NpecatError
        If something other than a store is at the path.
    """
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
    """The attributes of the root group of a store, finished or not, unchecked.

    Raises
    ------
    StoreError
        If there is no store, or one of another format version.
    NpecatError
        If something other than a store is at the path.
    """
    if not exists(path):
        raise StoreError(f"there is no store at {path}", path=path)
    found = _attributes(path, storage.read(path / manifest.METADATA))
    version = found["format_version"]
    if version not in tuple(schema.LAYOUTS):
        raise StoreError(
            f"{path} is of store format {version!r}, and this npecat reads "
            f"{' and '.join(map(str, schema.LAYOUTS))}; delete it and simulate it again",
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
        If something other than a store is at the path.
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
    """The attributes in the root metadata of a store of any version."""
    try:
        attributes: dict[str, Any] = parse_json(metadata)["attributes"]
        is_ours = attributes["format"] == schema.FORMAT and "format_version" in attributes
    except (ValueError, LookupError, TypeError):
        is_ours = False
    if not is_ours:
        raise _not_a_store(path)
    return attributes


def _not_a_store(path: Location) -> NpecatError:
    """The error for a path that holds something other than a store."""
    return NpecatError(f"{path} is not an npecat store; move it away and simulate again")


def refuse_unfinished(path: Location) -> None:
    """Raise StoreError unless the store is sealed; it holds the settings that complete the store.

    Raises
    ------
    StoreError
        If the store is unfinished, or there is none that can be read.
    NpecatError
        If something other than a store is at the path.
    """
    if not is_sealed(path):
        known = settings(path).to_json()
        raise StoreError(f"{path} is not finished; complete it", path=path, settings=known)


class Contents:
    """Settings and arrays of a store, finished or not.

    Images that are not written yet read as zeros.

    Parameters
    ----------
    path : Path or UPath
        Path of the store.

    Attributes
    ----------
    path : Path or UPath
        Path of the store.
    settings : StoreSettings
        The complete configuration that the store was made with.

    Raises
    ------
    StoreError
        If there is no store, or one that cannot be read.
    """

    def __init__(self, path: Location) -> None:
        self.path = path
        self.settings = settings(path)

    @cached_property
    def _group(self) -> zarr.Group:
        """The root group, open for reading."""
        local = isinstance(self.path, Path)
        place = self.path if local else FsspecStore.from_url(str(self.path), read_only=True)
        return zarr.open_group(place, mode="r")

    def __len__(self) -> int:
        return self.settings.n_images

    @property
    def chunk_ranges(self) -> list[range]:
        """The images of each chunk."""
        return self.settings.chunk_ranges

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all arrays."""
        return schema.names(self.settings.format_version)

    def array(self, name: str, images: slice = slice(None)) -> np.ndarray:
        """One array, or a slice of it along the image axis.

        Parameters
        ----------
        name : str
            One of names.
        images : slice, optional
            The images to read; all by default.

        Returns
        -------
        ndarray
            Axes, type and unit as in schema.arrays.

        Raises
        ------
        NpecatError
            If there is no array of this name.
        StoreError
            If the array is damaged.
        """
        if name not in self.names:
            raise NpecatError(f"{self.path} has no array {name}; it has {', '.join(self.names)}")
        with self._reading(name):
            return np.asarray(self._group[name][images])  # type: ignore[index]

    def about(self, name: str) -> dict[str, str]:
        """Unit and description of an array; raises StoreError if it is damaged."""
        with self._reading(name):
            return dict(self._group[name].attrs)  # type: ignore[arg-type]

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Turn a failure to read an array into a StoreError."""
        try:
            with storage.reading(self.path):
                yield
        except DAMAGED as error:
            raise StoreError(
                f"{self.path}: array {name} is damaged ({' '.join(str(error).split())[:200]}); "
                "delete the store and simulate it again",
                path=self.path,
                settings=self.settings.to_json(),
            ) from error

    def catalog(self, images: slice = slice(None)) -> Catalog:
        """The true catalog of the images."""
        columns = {c.name: self.array(f"catalog/{c.name}", images) for c in COLUMNS}
        return Catalog(self.array("catalog/count", images), columns)

    def batch(self, images: slice) -> Batch:
        """All arrays and true sources of the images in a slice."""
        names = [name for name in self.names if not name.startswith("catalog/")]
        return Batch(
            **{name: self.array(name, images) for name in names}, catalog=self.catalog(images)
        )


class Store(Contents):
    """A finished store, open for reading, in which first_fault found no fault.

    Parameters
    ----------
    path : Path or UPath
        Path of the store.

    Attributes
    ----------
    files : dict of str to Fingerprint
        The manifest: path of a file in the store -> fingerprint.

    Raises
    ------
    StoreError
        If there is no store, or it is unfinished or not whole.
    """

    def __init__(self, path: Location) -> None:
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
        """Identifier of the exact content of the store, SHA-256 of its manifest in hex."""
        return manifest.digest(self.files)
