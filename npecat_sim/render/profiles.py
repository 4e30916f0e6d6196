"""Profiles of galaxies and their Fourier transforms, in the form in which compiled.py sums them.

A transform is F(k) = integral of I(r) exp(-i k r), so F(0) is the flux; k is in radians per
unit of length: a pixel for the PSF, the half-light radius for a galaxy.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import special

EXPONENTIAL_SCALE = 1 / 1.6783469900166605
"""Scale radius of an exponential over its half-light radius: (1 + x) exp(-x) = 1/2."""

EXPONENTIAL_CENTRE = 1 / (2 * math.pi * EXPONENTIAL_SCALE**2)
"""Central surface brightness at unit flux and half-light radius."""

DE_VAUCOULEURS_B = 7.669249442500804
"""I(r) = I(0) exp(-b r^(1/4)) has unit half-light radius: P(8, b) = 1/2."""

DE_VAUCOULEURS_CENTRE = DE_VAUCOULEURS_B**8 / (8 * math.pi * math.gamma(8))
"""Central surface brightness at unit flux and half-light radius."""

ROOT_NODES = 512
"""Nodes of the de Vaucouleurs table per unit of sqrt(k); linear interpolation errs by 1e-6."""

ROOT_END = 32
"""Last sqrt(k) of that table: the transform is 5e-5 there, and 1e-4 of the light lies beyond."""


class Table(NamedTuple):
    """A function tabulated at 0, 1 / density, 2 / density and so on.

    Parameters
    ----------
    values : ndarray
        float32 (node,).
    density : float
        Nodes per unit of the argument.
    """

    values: np.ndarray
    density: float


@cache
def de_vaucouleurs_transform() -> Table:
    """The transform at unit flux and half-light radius as a function of sqrt(k), from GalSim."""
    import galsim  # takes half a second, so only if galaxies are drawn

    profile = galsim.DeVaucouleurs(half_light_radius=1.0)
    wavenumber = (np.arange(ROOT_END * ROOT_NODES + 1) / ROOT_NODES) ** 2
    values = np.array([profile.kValue(k, 0).real for k in wavenumber], dtype=np.float32)
    return Table(values, float(ROOT_NODES))


def moffat_transform(exponent: float, wavenumber: np.ndarray) -> np.ndarray:
    """Transform of (1 + r^2)^-exponent, normalised to unit flux.

    Parameters
    ----------
    exponent : float
        Exponent, above 1.
    wavenumber : ndarray
        k > 0, radians per unit of r, of any shape.

    Returns
    -------
    ndarray
        2 (k/2)^n K_n(k) / Gamma(n) with n = exponent - 1 and K_n the modified Bessel function.
    """
    order = exponent - 1
    bessel: np.ndarray = special.kv(order, wavenumber)
    gamma: float = special.gamma(order)
    transform: np.ndarray = 2 * (wavenumber / 2) ** order * bessel / gamma
    return transform
