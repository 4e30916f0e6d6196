"""The store contract: what a Zarr v3 store of simulated images holds, with units and axes.

The simulator writes it and everything else reads it; a change here raises FORMAT_VERSION.
"""

from dataclasses import dataclass

from npecat_sim.model.catalog import COLUMNS
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.model.psf import PARAMETERS

FORMAT = "npecat-store"
FORMAT_VERSION = 1

IMAGES_PER_CHUNK = 500
"""One task writes one chunk of every array: about a second of work, 13 MB of pixels."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store; the first axis is always the image."""

    name: str
    dtype: str
    axes: tuple[str, ...]
    tail: tuple[int, ...]
    unit: str
    description: str


def arrays(capacity: int) -> tuple[ArraySpec, ...]:
    """All arrays of a store whose catalogs are padded to ``capacity`` sources an image."""
    pixels = ("image", "y", "x")
    square = (IMAGE_SIZE, IMAGE_SIZE)
    per_image = (
        ArraySpec("images", "float32", pixels, square, "nanomaggy", "observed, sky subtracted"),
        ArraySpec("backgrounds", "float32", pixels, square, "nanomaggy", "sky in each pixel"),
        ArraySpec(
            "psf_parameters",
            "float64",
            ("image", "psf_parameter"),
            (len(PARAMETERS),),
            "sigma1, sigma2, sigmap in pixel; others none",
            "PSF in the order " + ", ".join(PARAMETERS),
        ),
        ArraySpec("fwhm", "float64", ("image",), (), "arcsec", "effective FWHM of the PSF"),
        ArraySpec(
            "field",
            "int32",
            ("image", "identity"),
            (3,),
            "",
            "SDSS run, camera column and field; run 0 is a synthetic field",
        ),
        ArraySpec(
            "electrons_per_nmgy",
            "float64",
            ("image",),
            (),
            "electron / nanomaggy",
            "gain over nanomaggies per count",
        ),
        ArraySpec("catalog/count", "int32", ("image",), (), "", "number of true sources"),
    )
    catalog = tuple(
        ArraySpec(
            f"catalog/{column.name}",
            column.dtype,
            ("image", "source"),
            (capacity,),
            column.unit,
            column.description,
        )
        for column in COLUMNS
    )
    return per_image + catalog


NAMES = tuple(spec.name for spec in arrays(capacity=1))
"""Of all arrays of a store."""
