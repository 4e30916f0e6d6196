"""Probabilistic catalogs of stars and galaxies from telescope images.

>>> import npecat
>>> image = npecat.open_image("frame-r-000094-1-0012.fits.bz2")  # doctest: +SKIP
>>> found = npecat.catalog(image)  # doctest: +SKIP
>>> found.table, found.samples(100), found.write("catalog.fits")  # doctest: +SKIP

Importing the package loads neither torch nor GalSim nor Matplotlib; a function loads what it needs
when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from npecat_sim.errors import NpecatError
    from npecat_sim.surveys.arrays import image_from_arrays
    from npecat_sim.surveys.open import open_image

    from .api import catalog, evaluate, load, open_store, simulate, train

HOMES = {
    "NpecatError": "npecat_sim.errors",
    "open_image": "npecat_sim.surveys.open",
    "image_from_arrays": "npecat_sim.surveys.arrays",
    "catalog": "npecat.api",
    "load": "npecat.api",
    "open_store": "npecat.api",
    "simulate": "npecat.api",
    "train": "npecat.api",
    "evaluate": "npecat.api",
}
"""Public name -> the module that defines it, which is loaded when the name is first used."""

__all__ = [
    "NpecatError",
    "catalog",
    "evaluate",
    "image_from_arrays",
    "load",
    "open_image",
    "open_store",
    "simulate",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version  # it would take most of the time of the import

        return version("npecat")
    if name not in HOMES:
        raise AttributeError(f"module 'npecat' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """All names, those that are not loaded yet included."""
    return sorted({*globals(), *HOMES})
