"""Survey fields: the PSF, sky and detector with which images are simulated.

A field is drawn independently of the catalog, p(z) p(background, PSF).
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.psf.six_numbers import SixNumberPsf, check_parameters
from npecat_sim.units import PIXEL_SCALE

FIELD_SHAPE = (1489, 2048)
"""Pixels (y, x) of an SDSS field."""

SKY_SPAN = (0.004, 0.045)
"""Fractional change of the sky across a field: 0.4 % is field 94/1/12, 4.5 % is 1000/1/100."""

IDENTITY = ("RUN", "CAMCOL", "FIELD")
"""Columns that identify a field, by their names in SDSS's files."""

SCALARS = ("fwhm", "sky", "gain", "dark_variance", "nmgy_per_count")
"""Columns of a FieldTable that hold one positive number per field."""


@dataclass(frozen=True)
class SkyMap:
    """The sky that SDSS's pipeline subtracted from a frame, on the coarse grid of its fit.

    Pixel (y, x) of the frame lies at grid position (y0 + step y, x0 + step x).

    Parameters
    ----------
    grid : ndarray
        float32 (row, column), counts per pixel.
    calibration : ndarray
        float32 (column of the frame,), nanomaggies per count. It jumps by 0.05 % between
        neighbouring columns (half an electron of sky), so it cannot be reduced to the grid.
    y0, x0 : float
        Grid position of the first pixel.
    step : float
        Grid cells per pixel.
    """

    grid: np.ndarray
    calibration: np.ndarray
    y0: float
    x0: float
    step: float

    def cut(self, top: int, left: int, *, shape: tuple[int, int]) -> np.ndarray:
        """The sky of a rectangle of the frame.

        Parameters
        ----------
        top, left : int
            First row and first column of the rectangle, pixels of the frame.
        shape : tuple of int
            Pixels (y, x).

        Returns
        -------
        ndarray
            float64 (y, x), nanomaggies per pixel.
        """
        height, width = shape
        rows = _interpolate(self.grid, self.y0 + self.step * (top + np.arange(height)))
        counts = _interpolate(rows.T, self.x0 + self.step * (left + np.arange(width))).T
        sky: np.ndarray = counts * self.calibration[left : left + width]
        return sky

    def check(self, where: str, shape: tuple[int, int] = FIELD_SHAPE) -> None:
        """Raise NpecatError unless the map is physical and covers a frame.

        Parameters
        ----------
        where : str
            Name of the map, with which the message begins.
        shape : tuple of int, optional
            Pixels (y, x) of the frame.

        Raises
        ------
        NpecatError
            If a value is not finite and positive, or the grid is too small; the message names the
            value.
        """
        if self.grid.ndim != 2 or self.calibration.shape != shape[1:]:
            raise NpecatError(
                f"{where}: grid has shape {self.grid.shape} and calibration "
                f"{self.calibration.shape}; they must be two-dimensional and {shape[1:]}"
            )
        for name in ("grid", "calibration"):
            values = getattr(self, name)
            good = np.isfinite(values) & (values > 0)
            if not good.all():
                place = np.unravel_index(np.argmin(good), good.shape)
                raise NpecatError(
                    f"{where}: {name}[{', '.join(map(str, place))}] is {values[place]:g}; "
                    "it must be finite and positive"
                )
        first = np.array([self.y0, self.x0])
        last = first + self.step * (np.array(shape) - 1)
        if not (self.step > 0 and np.all(first > -1) and np.all(last < self.grid.shape)):
            raise NpecatError(
                f"{where}: a grid of shape {self.grid.shape} with y0 {self.y0:g}, x0 {self.x0:g}, "
                f"step {self.step:g} does not cover a field of {shape} pixels"
            )


def _interpolate(grid: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Rows of a grid between its nodes, constant beyond the ends: float64 (position, column)."""
    inside = np.clip(position, 0, len(grid) - 1)
    node = np.minimum(inside.astype(int), len(grid) - 2)
    share = (inside - node)[:, None]
    rows: np.ndarray = (1 - share) * grid[node] + share * grid[node + 1]
    return rows


@dataclass(frozen=True)
class FieldTable:
    """Properties of n fields, r band.

    Parameters
    ----------
    identity : ndarray
        int32 (n, 3), SDSS run, camera column and field; run 0 marks a synthetic field.
    psf : ndarray
        float64 (n, 6), see psf.PARAMETERS.
    fwhm : ndarray
        float64 (n,), arcsec, SDSS's PSF_WIDTH.
    sky : ndarray
        float64 (n,), nanomaggies per arcsec^2.
    gain : ndarray
        float64 (n,), electrons per count.
    dark_variance : ndarray
        float64 (n,), counts^2.
    nmgy_per_count : ndarray
        float64 (n,), nanomaggies per count.
    sky_maps : dict of int to SkyMap
        Row of a field -> its sky map, for fields whose frame file is known.
    source : str
        Where the fields come from: "one", "embedded" (the description in the package) or
        "library" (imported by the user).
    irregularity : float
        Maximum rms departure of a PSF from the circular profile, as a share of its peak (see
        psf_irregularity).
    """

    identity: np.ndarray
    psf: np.ndarray
    fwhm: np.ndarray
    sky: np.ndarray
    gain: np.ndarray
    dark_variance: np.ndarray
    nmgy_per_count: np.ndarray
    sky_maps: dict[int, SkyMap]
    source: str
    irregularity: float = 0.0

    def __len__(self) -> int:
        return len(self.identity)

    @property
    def electrons_per_nmgy(self) -> np.ndarray:
        """Electrons per nanomaggy: float64 (n,)."""
        electrons: np.ndarray = self.gain / self.nmgy_per_count
        return electrons

    def psf_of(self, row: int) -> SixNumberPsf:
        """The PSF of the field in a row."""
        return SixNumberPsf.of(self.psf[row])

    @property
    def digest(self) -> str:
        """SHA-256 of all columns and sky maps, which identifies the content of the table."""
        content = sha256()
        for name in ("identity", "psf", *SCALARS):
            content.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        for row, sky_map in sorted(self.sky_maps.items()):
            place = np.array([row, sky_map.y0, sky_map.x0, sky_map.step])
            for part in (place, sky_map.grid, sky_map.calibration):
                content.update(np.ascontiguousarray(part).tobytes())
        return content.hexdigest()

    def take(self, rows: np.ndarray) -> "FieldTable":
        """A table of the given rows in the given order; rows: integers (m,)."""
        columns = {name: getattr(self, name)[rows] for name in ("identity", "psf", *SCALARS)}
        maps = {new: self.sky_maps[old] for new, old in enumerate(rows) if old in self.sky_maps}
        return replace(self, **columns, sky_maps=maps)

    def check(self, where: str) -> None:
        """Raise NpecatError if the table is empty or a value is unphysical.

        Parameters
        ----------
        where : str
            Name of the table, with which the message begins.

        Raises
        ------
        NpecatError
            The message names the row and the column.
        """
        if len(self) == 0:
            raise NpecatError(f"{where} holds no field; import at least one")
        check_parameters(self.psf, where)
        check_positive({name: getattr(self, name) for name in SCALARS}, where)
        for row, sky_map in self.sky_maps.items():
            sky_map.check(f"{where}, row {row}, sky map")

    def background(self, row: int, size: int, *, generator: np.random.Generator) -> np.ndarray:
        """Draw the sky of an image at a random place of a field.

        It is cut from the field's sky map if there is one. Otherwise it is the field's sky with a
        gradient of random direction, whose change across the field is log-uniform in SKY_SPAN.

        Parameters
        ----------
        row : int
            Row of the field in the table.
        size : int
            Pixels along each side of the image.
        generator : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        ndarray
            float32 (size, size), axes (y, x), nanomaggies per pixel.
        """
        place = generator.random(2)  # of the image in the field, axes (y, x)
        if row in self.sky_maps:
            top, left = (place * (np.array(FIELD_SHAPE) - size + 1)).astype(int)
            return self.sky_maps[row].cut(top, left, shape=(size, size)).astype(np.float32)
        span = SKY_SPAN[0] * (SKY_SPAN[1] / SKY_SPAN[0]) ** generator.random()
        direction = 2 * np.pi * generator.random()
        y, x = (place - 0.5) * FIELD_SHAPE
        pixel = np.arange(size) - (size - 1) / 2
        level = self.sky[row] * PIXEL_SCALE**2
        slope = level * span / max(FIELD_SHAPE)
        along_y = slope * np.sin(direction) * (y + pixel)
        along_x = slope * np.cos(direction) * (x + pixel)
        sky: np.ndarray = np.add.outer(
            (level + along_y).astype(np.float32), along_x.astype(np.float32)
        )
        return sky


def check_positive(columns: dict[str, np.ndarray], where: str) -> None:
    """Raise NpecatError unless all values of some columns are finite and positive.

    Parameters
    ----------
    columns : dict of str to ndarray
        Name of each column -> its values, (row,).
    where : str
        Name of the table, with which the message begins.

    Raises
    ------
    NpecatError
        The message names the row and the column.
    """
    for name, column in columns.items():
        bad = np.flatnonzero(~(np.isfinite(column) & (column > 0)))
        if len(bad):
            raise NpecatError(
                f"{where}, row {bad[0]}: {name} is {column[bad[0]]:g}; "
                "it must be finite and positive"
            )


SINGLE_FIELD = FieldTable(
    identity=np.array([[94, 1, 12]], dtype=np.int32),
    psf=np.array([[1.4899639, 2.994038, 2.8922856, 3.263799, 0.049229424, 0.010495156]]),
    fwhm=np.array([1.5916]),
    sky=np.array([5.598322]),
    gain=np.array([4.71]),
    dark_variance=np.array([1.8225]),
    nmgy_per_count=np.array([0.004760353]),
    sky_maps={},
    source="one",
)
"""Prior ``one``: SDSS run 94, camera column 1, field 12, r band (its photoField row)."""
