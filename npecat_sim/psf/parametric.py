"""Gaussian, Moffat and Kolmogorov PSFs with ellipticity."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.interpolate import CubicSpline

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import SIGMA_TO_FWHM, Psf

if TYPE_CHECKING:
    import galsim

PROFILES = ("gaussian", "moffat", "kolmogorov")
"""Radial profiles of the light before it meets the pixels."""

NODES, WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(5))
"""Gauss-Legendre nodes and weights over a pixel, along one axis: the integral of a profile of FWHM
1.5 px is right to 1e-7 of its peak."""

KOLMOGOROV_REACH = 60.0
"""Half-light radii to which a Kolmogorov profile is tabulated; 2e-4 of the light lies beyond."""


@dataclass(frozen=True)
class ParametricPsf(Psf):
    """A profile with straight ellipses as isophotes, averaged over each pixel.

    Parameters
    ----------
    profile : str
        One of PROFILES.
    width : float
        FWHM of the round profile before it meets the pixels, pixels.
    g1, g2 : float
        Ellipticity, the shear of GalSim: (a - b) / (a + b) times cos and sin of twice the angle
        between the major axis and x; a and b are the half axes and the area is kept.
    beta : float
        Exponent of a Moffat profile, (1 + r^2)^-beta; others do not use it.
    """

    profile: str
    width: float
    g1: float = 0.0
    g2: float = 0.0
    beta: float = 3.0

    @cached_property
    def to_round(self) -> np.ndarray:
        """Matrix from an offset on the image to that in the round profile: float64 (2, 2)."""
        shear = np.array([[1 - self.g1, -self.g2], [-self.g2, 1 + self.g1]])
        matrix: np.ndarray = shear / np.sqrt(1 - self.g1**2 - self.g2**2)
        return matrix

    def light(self, radius2: np.ndarray) -> np.ndarray:
        """Flux of the round profile per square pixel at squared distances, square pixels."""
        if self.profile == "gaussian":
            variance = (self.width / SIGMA_TO_FWHM) ** 2
            gaussian: np.ndarray = np.exp(-radius2 / (2 * variance)) / (2 * np.pi * variance)
            return gaussian
        if self.profile == "moffat":
            scale2 = self.moffat_radius**2
            moffat: np.ndarray = (1 + radius2 / scale2) ** -self.beta
            return moffat * (self.beta - 1) / (np.pi * scale2)
        return _kolmogorov(np.sqrt(radius2) / self.width) / self.width**2

    @property
    def moffat_radius(self) -> float:
        """Scale radius of a Moffat profile, pixels."""
        return float(self.width / (2 * np.sqrt(2 ** (1 / self.beta) - 1)))

    def shares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel, see Psf.shares."""
        total = np.zeros(np.broadcast(x, y).shape)
        (xx, xy), (yx, yy) = self.to_round
        for step_x, weight_x in zip(NODES, WEIGHTS, strict=True):
            for step_y, weight_y in zip(NODES, WEIGHTS, strict=True):
                at_x, at_y = x + step_x, y + step_y
                radius2 = (xx * at_x + xy * at_y) ** 2 + (yx * at_x + yy * at_y) ** 2
                total += weight_x * weight_y * self.light(radius2)
        return total

    def scaled(self, factor: float) -> Self:
        """The PSF with light `factor` times as wide, before it meets the pixels."""
        return replace(self, width=self.width * factor)

    def check(self, where: str) -> None:
        """Raise NpecatError, naming `where` and the parameter, unless this is a PSF."""
        if self.profile not in PROFILES:
            raise NpecatError(
                f"{where}: profile is {self.profile!r}; give one of {', '.join(PROFILES)}"
            )
        ranges = {
            "width": (self.width, 0, np.inf),
            "ellipticity": (np.hypot(self.g1, self.g2), -np.inf, 1),
            "beta": (self.beta, 1, np.inf),
        }
        for name, (value, low, high) in ranges.items():
            if not low < value < high:
                limits = f"above {low:g}" if np.isfinite(low) else f"below {high:g}"
                raise NpecatError(f"{where}: {name} is {value:g}; it must be finite and {limits}")

    def galsim_profile(self, gsparams: "galsim.GSParams") -> "galsim.GSObject":
        """The PSF as a GalSim profile in pixel units, see Psf.galsim_profile."""
        import galsim  # takes half a second

        kinds = {
            "gaussian": lambda: galsim.Gaussian(fwhm=self.width, gsparams=gsparams),
            "moffat": lambda: galsim.Moffat(self.beta, fwhm=self.width, gsparams=gsparams),
            "kolmogorov": lambda: galsim.Kolmogorov(fwhm=self.width, gsparams=gsparams),
        }
        light = kinds[self.profile]().shear(g1=self.g1, g2=self.g2)
        return galsim.Convolve(light, galsim.Pixel(1.0, gsparams=gsparams), gsparams=gsparams)


def _kolmogorov(radius: np.ndarray) -> np.ndarray:
    """Flux per area of a Kolmogorov profile of unit FWHM at distances in units of it."""
    values: np.ndarray = np.exp(_log_kolmogorov()(np.arcsinh(radius)))
    return values


@lru_cache(maxsize=1)
def _log_kolmogorov() -> CubicSpline:
    """Log of that profile over asinh of the distance, from GalSim."""
    import galsim  # takes half a second

    profile = galsim.Kolmogorov(fwhm=1.0)
    node = np.linspace(0, np.arcsinh(KOLMOGOROV_REACH), 1000)
    values = [profile.xValue(radius, 0) for radius in np.sinh(node)]
    return CubicSpline(node, np.log(values))
