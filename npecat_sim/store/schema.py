"""The store contract: the arrays of a Zarr v3 store of simulated images, with units and axes.

The simulator writes such stores and everything else reads them. Stores of the paper's priors have
FORMAT_VERSION, and those of prior ``wide``, whose images tell more, WIDE_VERSION.
"""

from dataclasses import dataclass

from npecat_sim.model.catalog import COLUMNS
from npecat_sim.model.prior import IMAGE_SIZE, PSF_SIDE
from npecat_sim.psf.six_numbers import PARAMETERS

FORMAT = "npecat-store"
"""Marks the root group of a Zarr store as one of npecat."""

FORMAT_VERSION = 1
"""Version of the layout of the paper's priors."""

WIDE_VERSION = 2
"""Version of the layout of prior ``wide``."""

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


PIXELS = ("image", "y", "x")
SQUARE = (IMAGE_SIZE, IMAGE_SIZE)


def _number(name: str, unit: str, description: str, dtype: str = "float64") -> ArraySpec:
    """An array with one number for each image."""
    return ArraySpec(name, dtype, ("image",), (), unit, description)


IMAGES = ArraySpec("images", "float32", PIXELS, SQUARE, "nanomaggy", "observed, sky subtracted")
FWHM = _number("fwhm", "arcsec", "effective FWHM of the PSF")
ELECTRONS = _number("electrons_per_nmgy", "electron / nanomaggy", "gain over nanomaggies per count")
COUNT = _number("catalog/count", "", "number of true sources", "int32")

PAPER = (
    IMAGES,
    ArraySpec("backgrounds", "float32", PIXELS, SQUARE, "nanomaggy", "sky in each pixel"),
    ArraySpec(
        "psf_parameters",
        "float64",
        ("image", "psf_parameter"),
        (len(PARAMETERS),),
        "sigma1, sigma2, sigmap in pixel; others none",
        "PSF in the order " + ", ".join(PARAMETERS),
    ),
    FWHM,
    ArraySpec(
        "field",
        "int32",
        ("image", "identity"),
        (3,),
        "",
        "SDSS run, camera column and field; run 0 is a synthetic field",
    ),
    ELECTRONS,
    COUNT,
)
"""Arrays of FORMAT_VERSION besides the columns of the catalog."""

WIDE = (
    IMAGES,
    ArraySpec(
        "backgrounds",
        "float32",
        PIXELS,
        SQUARE,
        "nanomaggy",
        "sky whose photons would have the noise of an empty pixel",
    ),
    ArraySpec("mask", "uint8", PIXELS, SQUARE, "", "1 where a pixel holds no information"),
    ArraySpec(
        "psf",
        "float32",
        ("image", "psf_y", "psf_x"),
        (PSF_SIDE, PSF_SIDE),
        "",
        "share of the flux of a star on the middle pixel that is recorded in each pixel",
    ),
    FWHM,
    ELECTRONS,
    _number("pixel_scale", "arcsec / pixel", "side of a pixel"),
    _number("density", "1 / pixel", "mean number of sources above faint_flux per pixel"),
    _number("star_share", "", "probability that a source is a star"),
    _number(
        "noise_correlation", "", "standard deviation of the noise under the PSF over that of white"
    ),
    _number("faint_flux", "nanomaggy", "flux of the faintest source"),
    _number(
        "psf_kind", "", "for analysis: 0 six numbers, 1 gaussian, 2 moffat, 3 kolmogorov", "int8"
    ),
    ArraySpec(
        "psf_shape",
        "float64",
        ("image", "psf_shape"),
        (4,),
        "width in pixel; others none",
        "for analysis: width, g1, g2, beta of the light before it meets the pixels",
    ),
    COUNT,
)
"""Arrays of WIDE_VERSION besides the columns of the catalog."""

LAYOUTS = {FORMAT_VERSION: PAPER, WIDE_VERSION: WIDE}
"""Version of the layout -> its arrays besides the columns of the catalog; a reader accepts no other
version."""


def arrays(capacity: int, *, version: int = FORMAT_VERSION) -> tuple[ArraySpec, ...]:
    """All arrays of a store whose catalogs are padded to ``capacity`` sources per image."""
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
    return LAYOUTS[version] + catalog


def names(version: int) -> tuple[str, ...]:
    """Names of all arrays of a store of a version."""
    return tuple(spec.name for spec in arrays(1, version=version))
