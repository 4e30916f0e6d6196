"""The prior over catalogs, Table 1 of the paper, drawn by inverse cumulative distributions.

Every image takes its uniforms from its own stream; the transforms then run over all sources of
a batch at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special, stats

from npecat_sim.model.catalog import COLUMNS, Catalog
from npecat_sim.model.streams import Purpose, stream

IMAGE_SIZE = 80
"""Pixels along each side of a simulated image (Patel et al. 2025)."""

PSF_SIDE = 41
"""Pixels along each side of the image of a PSF in a store of prior ``wide``."""

MAX_DENSITY = 0.01
"""Maximum density, sources per pixel: 64 per image, where one in 13 tiles with a source has two."""

GALAXY_ONLY = (
    "angle",
    "disk_fraction",
    "disk_axis_ratio",
    "bulge_axis_ratio",
    "disk_half_light_radius",
    "bulge_half_light_radius",
)
"""Columns that describe the shapes of galaxies."""

UNIFORMS_PER_SOURCE = 4 + len(GALAXY_ONLY)
"""Random numbers that make a source: x, y, type, flux, then the shape."""


@dataclass(frozen=True)
class TruncatedPareto:
    """Flux law with the density ((f - loc) / scale)^-(slope + 1), cut at ``cut`` scales.

    Parameters
    ----------
    slope, cut, loc, scale : float
        The parameters of ``scipy.stats.truncpareto(slope, cut, loc, scale)``; ``loc`` and
        ``scale`` in nanomaggies.
    """

    slope: float
    cut: float
    loc: float
    scale: float

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Flux below which a given share of sources lies, nanomaggies."""
        kept = -np.expm1(-self.slope * np.log(self.cut))
        flux: np.ndarray = self.loc + self.scale * (1 - probability * kept) ** (-1 / self.slope)
        return flux


@dataclass(frozen=True)
class ShiftedGamma:
    """Law of half-light radii: ``loc`` + ``scale`` times a Gamma(``shape``) variate.

    Parameters
    ----------
    shape : float
        Shape parameter of the Gamma distribution.
    loc, scale : float
        Shift and scale, arcsec.
    """

    shape: float
    loc: float
    scale: float

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Radius below which a given share of galaxies lies, arcsec."""
        gamma: np.ndarray = special.gammaincinv(self.shape, probability)
        return self.loc + self.scale * gamma


@dataclass(frozen=True)
class CatalogPrior:
    """Table 1 of the paper. Axis ratios and disk fraction are U(0, 1), the angle is U[0, pi).

    Parameters
    ----------
    density : float
        Mean number of sources per pixel; the default is 4 per image.
    galaxy_probability : float
        Probability that a source is a galaxy.
    star_flux, galaxy_flux : TruncatedPareto
        Laws of the flux.
    disk_radius, bulge_radius : ShiftedGamma
        Laws of the half-light radii.

    Notes
    -----
    Table 1 prints a scale of 3.29 for ``galaxy_flux``, which puts the faintest galaxy at zero
    flux. With 3.92, loc + scale is 0.63 nanomaggies (magnitude 23.0), the flux of the faintest
    star.
    """

    density: float = 6.25e-4
    galaxy_probability: float = 0.514
    star_flux: TruncatedPareto = TruncatedPareto(0.469, 1000, -0.553, 1.185)
    galaxy_flux: TruncatedPareto = TruncatedPareto(1.561, 1000, -3.29, 3.92)
    disk_radius: ShiftedGamma = ShiftedGamma(0.393, 0.837, 4.432)
    bulge_radius: ShiftedGamma = ShiftedGamma(0.393, 0.419, 2.216)

    @cached_property
    def mean_count(self) -> float:
        """Mean number of sources per image."""
        return self.density * IMAGE_SIZE**2

    @cached_property
    def capacity(self) -> int:
        """The largest count that a double-precision uniform can give, so that none is clipped."""
        return int(stats.poisson.ppf(1 - 2.0**-53, self.mean_count))

    @cached_property
    def _count_steps(self) -> np.ndarray:
        """Cumulative distribution of the count: float64 (capacity,)."""
        cumulative: np.ndarray = stats.poisson.cdf(np.arange(self.capacity), self.mean_count)
        return cumulative

    def to_dict(self) -> dict[str, Any]:
        """All parameters, for the attributes of a store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "CatalogPrior":
        """Inverse of to_dict."""
        values: dict[str, Any] = {}
        for parameter in fields(cls):
            kind, value = parameter.type, content[parameter.name]
            values[parameter.name] = kind(**value) if is_dataclass(kind) else value  # type: ignore[operator]
        return cls(**values)

    def draw(self, seed: int, split: str, *, indices: range) -> Catalog:
        """Draw the catalogs of some images of a split.

        Parameters
        ----------
        seed : int
            Seed of the store, in [0, 2^64).
        split : str
            One of streams.SPLITS.
        indices : range
            Indices of the images in the split.

        Returns
        -------
        Catalog
            One row per index; ``snr`` is NaN, since it depends on the rendered images.

        Raises
        ------
        NpecatError
            If the seed is out of its range.
        """
        count = np.empty(len(indices), dtype=np.int32)
        uniform = []
        for row, index in enumerate(indices):
            generator = stream(seed, split, index=index, purpose=Purpose.CATALOG)
            count[row] = np.searchsorted(self._count_steps, generator.random(), side="right")
            uniform.append(generator.random((count[row], UNIFORMS_PER_SOURCE)))
        values = self._transform(np.concatenate(uniform))

        present = np.arange(self.capacity) < count[:, None]
        columns = {}
        for column in COLUMNS:
            empty = False if column.dtype == "bool" else np.nan
            columns[column.name] = np.full(present.shape, empty, dtype=column.dtype)
            if column.name in values:
                columns[column.name][present] = values[column.name]
        return Catalog(count, columns)

    def draw_around(self, generator: np.random.Generator, *, margin: int) -> dict[str, np.ndarray]:
        """Draw the sources in one image and around it.

        Parameters
        ----------
        generator : numpy.random.Generator
            Source of the random numbers.
        margin : int
            Pixels beyond each edge of the image to which sources are drawn.

        Returns
        -------
        dict of str to ndarray
            Column but ``snr`` -> float64 or bool (source,); positions are those in the image.
        """
        side = IMAGE_SIZE + 2 * margin
        count = generator.poisson(self.density * side**2)
        values = self._transform(generator.random((count, UNIFORMS_PER_SOURCE)))
        for axis in ("x", "y"):
            values[axis] = (values[axis] + 0.5) * (side / IMAGE_SIZE) - margin - 0.5
        return values

    def _transform(self, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Properties of sources from uniforms in [0, 1), axes (source, UNIFORMS_PER_SOURCE)."""
        x, y, kind, flux, *of_shape = uniform.T
        galaxy = kind < self.galaxy_probability
        shape = self.shapes(np.array(of_shape))
        return {
            "x": x * IMAGE_SIZE - 0.5,
            "y": y * IMAGE_SIZE - 0.5,
            "is_galaxy": galaxy,
            "flux": np.where(
                galaxy, self.galaxy_flux.quantile(flux), self.star_flux.quantile(flux)
            ),
            **{name: np.where(galaxy, value, np.nan) for name, value in shape.items()},
        }

    def shapes(self, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Shapes of galaxies from uniform random numbers.

        Parameters
        ----------
        uniform : ndarray
            float64 (GALAXY_ONLY, galaxy), in [0, 1).

        Returns
        -------
        dict of str to ndarray
            Name in GALAXY_ONLY -> float64 (galaxy,), with the units of catalog.COLUMNS.
        """
        angle, fraction, disk_q, bulge_q, disk_a, bulge_a = uniform
        return {
            "angle": np.pi * angle,
            "disk_fraction": fraction,
            "disk_axis_ratio": 1 - disk_q,  # in (0, 1]: a ratio of zero cannot be drawn
            "bulge_axis_ratio": 1 - bulge_q,
            "disk_half_light_radius": self.disk_radius.quantile(disk_a),
            "bulge_half_light_radius": self.bulge_radius.quantile(bulge_a),
        }


PAPER_PRIOR = CatalogPrior()
"""The paper's prior over catalogs, its Table 1."""
