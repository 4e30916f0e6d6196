"""The store contract: the arrays of a Zarr v3 store of simulated images, with units and axes.

The simulator writes such stores and everything else reads them; a change here increases
FORMAT_VERSION.
"""

from dataclasses import dataclass

from npecat_sim.model.catalog import COLUMNS
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.psf.six_numbers import PARAMETERS

FORMAT = "npecat-store"
"""Marks the root group of a Zarr store as one of npecat."""

FORMAT_VERSION = 1
"""Version of the layout; a reader accepts no other."""

IMAGES_PER_CHUNK = 500
"""Images in one chunk of every array, which one task writes; see docs/log.md, size of a chunk."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store; its first axis is always the image.

    Parameters
    ----------
    name : str
        Path of the array in the store.
    dtype : str
        NumPy name of the type of its elements.
    axes : tuple of str
        Name of every axis.
    tail : tuple of int
        Length of every axis after the first.
    unit : str
        Unit of the values; empty if they have none.
    description : str
        Meaning of the values.
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    tail: tuple[int, ...]
    unit: str
    description: str


def arrays(capacity: int) -> tuple[ArraySpec, ...]:
    """All arrays of a store whose catalogs are padded to ``capacity`` sources per image."""
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
"""Names of all arrays of a store."""
