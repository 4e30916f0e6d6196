"""True catalogs: every source of every image, with all the properties of the paper's Table 1."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Column:
    """One property of a source.

    Parameters
    ----------
    name : str
        Name of the column.
    dtype : str
        NumPy type in which it is stored.
    unit : str
        Unit, empty for a number without one.
    description : str
        Meaning, as in the attributes of a store.
    """

    name: str
    dtype: str
    unit: str
    description: str


COLUMNS = (
    Column("x", "float32", "pixel", "0-indexed position, centre of the first pixel at 0"),
    Column("y", "float32", "pixel", "0-indexed position, centre of the first pixel at 0"),
    Column("is_galaxy", "bool", "", "true for a galaxy, false for a star"),
    Column("flux", "float32", "nanomaggy", "total flux within the 7.43 arcsec calibration"),
    Column("angle", "float32", "radian", "of the major axis from +x towards +y, galaxies only"),
    Column("disk_fraction", "float32", "", "share of the flux in the disk, galaxies only"),
    Column("disk_axis_ratio", "float32", "", "minor over major axis, galaxies only"),
    Column("bulge_axis_ratio", "float32", "", "minor over major axis, galaxies only"),
    Column("disk_half_light_radius", "float32", "arcsec", "along the major axis, galaxies only"),
    Column("bulge_half_light_radius", "float32", "arcsec", "along the major axis, galaxies only"),
    Column("snr", "float32", "", "signal-to-noise ratio, Appendix A of the paper"),
)
"""All columns of a catalog, in the order of the stores."""


@dataclass(frozen=True)
class Catalog:
    """Sources of many images, padded to a common capacity.

    Parameters
    ----------
    count : ndarray
        int32 (image,), the number of sources of each image.
    columns : dict of str to ndarray
        Name -> array (image, capacity), with the types and units of COLUMNS. Entries at or beyond
        ``count`` are padding (NaN, or false for ``is_galaxy``), and so are the shapes of stars.
    """

    count: np.ndarray
    columns: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @property
    def present(self) -> np.ndarray:
        """Whether there is a source: bool (image, capacity)."""
        capacity = self.columns["x"].shape[1]
        return np.arange(capacity) < self.count[:, None]

    def sources(self, image: int) -> dict[str, np.ndarray]:
        """The sources of one image: name -> array (source,), see COLUMNS."""
        return {name: column[image, : self.count[image]] for name, column in self.columns.items()}

    def flat(self) -> dict[str, np.ndarray]:
        """All sources in one table, name -> array (source,), with the ``image`` index added."""
        present = self.present
        table = {name: column[present] for name, column in self.columns.items()}
        return {"image": np.nonzero(present)[0], **table}
