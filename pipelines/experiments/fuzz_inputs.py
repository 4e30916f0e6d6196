"""Small valid files of every kind that npecat reads, and the reader of each."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from npecat_eval.catalog.formats import write_table
from npecat_eval.real_images.photoobj import read_photoobj
from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import load_library, save_library
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.psf.six_numbers import PARAMETERS
from npecat_sim.simulation.simulate import prepare, run_task
from npecat_sim.store.reader import Store, store_path
from npecat_sim.store.settings import StoreSettings
from npecat_sim.store.verify import verify
from npecat_sim.store.writer import seal
from npecat_sim.surveys.open import open_image
from npecat_train.checkpoint import load
from npecat_train.weights import DEFAULT_WEIGHTS

SHAPE = (48, 64)
"""Pixels (y, x) of images."""

CODES = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1")
"""Codes of compressed tiles."""

CATALOGS = (".fits", ".vot", ".ecsv", ".csv", ".parquet")
"""Formats of catalogs that are read back."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    write : callable
        Writes a good file, or a folder of them, in an empty folder.
    read : callable
        Reads what is in that folder, as a user's program does; returns anything.
    damaged : str
        Pattern of the names of the files that are damaged, one at a time.
    has_digest : bool
        Whether the format holds checksums, so that every change is to be noticed.
    """

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    damaged: str
    has_digest: bool = False


def _noise() -> np.ndarray:
    """Blank sky in counts: int16 SHAPE."""
    return np.random.default_rng(0).poisson(900, SHAPE).astype(np.int16)


def _coordinates() -> fits.Header:
    """A header of square pixels of 0.396 arcsec."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CRPIX1": 5.5, "CRPIX2": 6.5, "CRVAL1": 30.0, "CRVAL2": 5.0})
    header.update({"CD1_1": -1.1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1.1e-4})
    return header


def _write_image(folder: Path, suffix: str = "") -> None:
    fits.PrimaryHDU(_noise(), _coordinates()).writeto(folder / f"image.fits{suffix}")


def _write_tiles(folder: Path, code: str) -> None:
    tiles = fits.CompImageHDU(_noise(), _coordinates(), compression_type=code)
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(folder / "image.fits")


def _read_image(folder: Path) -> Any:
    (path,) = folder.iterdir()
    image = open_image(path, zeropoint=25.0, gain=4.0, fwhm=1.3)
    place = image.wcs and image.wcs.pixel_to_world_values(3, 4)
    return image.image, image.background, image.flags, image.pixel_scale, place


def _table(columns: dict[str, tuple[str, Any]]) -> fits.BinTableHDU:
    """A table of one row: name -> format and value."""
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, kind, array=[value]) for name, (kind, value) in columns.items()]
    )


def _bands(value: float) -> tuple[str, list[float]]:
    return "5E", [value] * 5


def _write_sdss(folder: Path) -> None:
    """A frame with its photoField, psField and fpM file."""
    height, width = SHAPE
    numbers = {"RUN": 94, "CAMCOL": 1, "FIELD": 12}
    identity = {name: ("J", value) for name, value in numbers.items()}
    image = np.random.default_rng(1).normal(0, 0.03, SHAPE).astype(np.float32)
    frame = fits.PrimaryHDU(image, _coordinates())
    frame.header["BUNIT"] = "nanomaggy"
    grid = np.full((height // 8 + 3, width // 8 + 3), 180, np.float32)
    axes = {
        name: (f"{n}E", 0.5 + np.arange(n) / 8)
        for name, n in (("XINTERP", width), ("YINTERP", height))
    }
    sky = [fits.Column("ALLSKY", f"{grid.size}E", dim=str(grid.shape[::-1]), array=grid[None])]
    sky += list(_table(axes).columns)
    astrometry = _table({**identity, "FILTER": ("A", "r")})
    calibration = fits.ImageHDU(np.full(width, 0.005, np.float32))
    frame_hdus = [frame, calibration, fits.BinTableHDU.from_columns(sky), astrometry]
    fits.HDUList(frame_hdus).writeto(folder / "frame-r-000094-1-0012.fits")

    optics = dict(zip(PARAMETERS, SINGLE_FIELD.psf[0], strict=True))
    optics = {f"psf_{name}": value for name, value in optics.items()}
    optics |= {"gain": 4.7, "dark_variance": 1.8}
    field = {**optics, "psf_width": 1.4, "sky": 5.0, "nmgypercount": 0.005}
    columns = {name.upper(): _bands(value) for name, value in field.items()}
    status = {"PHOTO_STATUS": ("J", 0)}
    photofield = [fits.PrimaryHDU(), _table({**identity, **status, **columns})]
    fits.HDUList(photofield).writeto(folder / "photoField-000094-1.fits")

    primary = fits.PrimaryHDU(header=fits.Header(numbers))
    columns = {name: _bands(value) for name, value in optics.items()}
    psf = _table({"field": ("J", 12), "status": ("5J", [0] * 5), **columns})
    offset = np.arange(-10, 11)
    star = np.exp(-np.add.outer(offset**2, offset**2) / 5).astype(np.float32)
    sizes = {"nrow_b": 1, "ncol_b": 1, "RNROW": len(star), "RNCOL": len(star)}
    whole = {name: ("J", size) for name, size in sizes.items()}
    same = np.zeros((1, 5, 5), np.float32)
    same[0, 0, 0] = 1  # the same PSF everywhere
    terms = list(_table({**whole, "RROWS": ("PE()", star.ravel())}).columns)
    terms.append(fits.Column("c", "25E", dim="(5,5)", array=same))
    eigenimages = [fits.BinTableHDU.from_columns(terms) for _ in range(5)]
    fits.HDUList([primary, *eigenimages, psf]).writeto(folder / "psField-000094-1-0012.fit")

    primary.header.update({"MASKROWS": height, "MASKCOLS": width})
    spans = np.array([7, 3, 9, 8, 3, 9], ">u2").view(np.uint8)
    regions = [_table({"nspan": ("J", 2), "s": ("PB()", spans)}) for _ in range(10)]
    fits.HDUList([primary, *regions]).writeto(folder / "fpM-000094-r1-0012.fit")


def _read_frame(folder: Path, psf: str = "photoField-000094-1.fits") -> Any:
    image = open_image(folder / "frame-r-000094-1-0012.fits", psf=str(folder / psf))
    return (
        image.image,
        image.background,
        image.flags,
        image.electrons_per_nmgy,
        image.psf_map.at(0, 0).stamp(21),
    )


def _read_frame_with_psfield(folder: Path) -> Any:
    return _read_frame(folder, "psField-000094-1-0012.fit")


def _write_photoobj(folder: Path) -> None:
    n = 20
    ramp = np.arange(n)
    bands = np.ones((n, 5), np.float32) * ramp[:, None].astype(np.float32)
    columns: dict[str, np.ndarray] = {
        "RA": 10 + ramp / 100,
        "DEC": ramp / 100,
        "OBJC_TYPE": np.full(n, 6, np.int32),
    }
    columns |= dict.fromkeys(("COLC", "ROWC", "PSFFLUX", "CMODELFLUX"), bands + 1)
    columns |= {name: np.zeros(n, np.int32) for name in ("OBJC_FLAGS", "NCHILD")}
    columns |= {"THING_ID": ramp.astype(np.int32), "FLAGS": np.full((n, 5), 1 << 28, np.int32)}
    Table(columns).write(folder / "photoObj.fits")


def _write_catalog(folder: Path, suffix: str) -> None:
    values = np.random.default_rng(2).uniform(0, 1, (6, 20))
    names = ("ra", "dec", "x", "y", "prob_galaxy", "mag_r")
    table = Table(dict(zip(names, values, strict=True)), meta={"image": "frame.fits"})
    table["flags"] = np.arange(20, dtype=np.int32)
    for column in table.itercols():
        column.description = f"the {column.name}"
    write_table(table, folder / f"catalog{suffix}")


def _read_catalog(folder: Path) -> Any:
    (path,) = folder.iterdir()
    return vars(read_catalog(path))


def _write_store(folder: Path) -> None:
    path = store_path(folder / "one", "test")
    settings = StoreSettings.of(
        SINGLE_FIELD,
        prior="one",
        split="test",
        n_images=4,
        seed=0,
        renderer="compiled",
        images_per_chunk=4,
    )
    for task in prepare(path, settings):
        run_task(task, SINGLE_FIELD)
    seal(path)


def _read_store(folder: Path) -> Any:
    path = store_path(folder / "one", "test")
    faults = verify(path)
    if faults:
        raise NpecatError(faults[0])
    store = Store(path)
    return store.settings, store.batch(slice(None)).arrays(), store.catalog().flat()


def _kinds() -> dict[str, Kind]:
    """Name -> kind."""
    kinds = {
        "image": Kind(_write_image, _read_image, "*"),
        "image .gz": Kind(lambda folder: _write_image(folder, ".gz"), _read_image, "*"),
    }
    for code in CODES:
        write = lambda folder, code=code: _write_tiles(folder, code)  # noqa: E731
        kinds[f"image {code}"] = Kind(write, _read_image, "*")
    kinds |= {
        "frame": Kind(_write_sdss, _read_frame, "frame-*"),
        "photoField": Kind(_write_sdss, _read_frame, "photoField-*"),
        "psField": Kind(_write_sdss, _read_frame_with_psfield, "psField-*"),
        "fpM": Kind(_write_sdss, _read_frame, "fpM-*"),
        "photoObj": Kind(
            _write_photoobj, lambda folder: vars(read_photoobj(folder / "photoObj.fits")), "*"
        ),
    }
    for suffix in CATALOGS:
        write = lambda folder, suffix=suffix: _write_catalog(folder, suffix)  # noqa: E731
        kinds[f"catalog {suffix}"] = Kind(write, _read_catalog, "*", has_digest=suffix == ".fits")
    kinds |= {
        "field library": Kind(
            lambda folder: save_library(SINGLE_FIELD, folder / "fields.fits"),
            lambda folder: vars(load_library(folder / "fields.fits")),
            "*",
            has_digest=True,
        ),
        "checkpoint": Kind(
            lambda folder: shutil.copy(DEFAULT_WEIGHTS, folder / "best.safetensors"),
            lambda folder: load(folder / "best.safetensors"),
            "*",
            has_digest=True,
        ),
        "store": Kind(_write_store, _read_store, "**/*", has_digest=True),
    }
    return kinds


KINDS = _kinds()
"""Name -> kind of file."""


def digest(content: Any) -> str:
    """A digest of nested arrays, tensors and plain values."""
    if isinstance(content, dict):
        content = [part for pair in content.items() for part in pair]
    if isinstance(content, list | tuple):
        return sha256("".join(map(digest, content)).encode()).hexdigest()
    if hasattr(content, "numpy"):
        content = content.numpy()
    if isinstance(content, np.ndarray):
        return sha256(f"{content.dtype}{content.shape}".encode() + content.tobytes()).hexdigest()
    return sha256(repr(content).encode()).hexdigest()
