"""Radial profiles and their Fourier transforms, in the form in which compiled.py sums them.

A transform is F(k) = integral of I(r) exp(-i k r), so F(0) is the flux; k is in radians per
unit of length: a pixel for the PSF, the half-light radius for a galaxy.
"""

import math
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from npecat_sim.psf.six_numbers import SixNumberPsf

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

PSF_NODES = 4096
"""Nodes of a PSF's table; linear interpolation errs by 2e-6, and by 1e-5 at the cusp at k = 0."""

PSF_FLOOR = 1e-9
"""Smaller PSF transforms are set to zero: 1e-4 sky sigma for a source of 3,000 nanomaggies."""


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


class PsfModel(NamedTuple):
    """A PSF with unit flux within psf.CALIBRATION_RADIUS, in pixels and radians per pixel.

    Parameters
    ----------
    centre : ndarray
        float64 (3,), value at r = 0 of the core, the second Gaussian and the wing.
    sigma : ndarray
        float64 (2,), standard deviations of both Gaussians.
    wing_radius, wing_exponent : float
        The wing falls as (1 + (r / wing_radius)^2)^-wing_exponent.
    transform : Table
        PSF_NODES nodes, transform of all three together as a function of k.
    tail : ndarray
        float64 (PSF_NODES,), integral of transform k dk / (2 pi) from the same k to infinity.
    """

    centre: np.ndarray
    sigma: np.ndarray
    wing_radius: float
    wing_exponent: float
    transform: Table
    tail: np.ndarray


@lru_cache(maxsize=2048)  # 50 KB and 1 ms each: enough for all fields of a large import
def psf_model(psf: SixNumberPsf) -> PsfModel:
    """The PSF as compiled.py needs it, kept for the next call."""
    fluxes = psf.component_fluxes
    sigma = np.array([psf.sigma1, psf.sigma2])
    wing_radius = math.sqrt(psf.beta) * psf.sigmap
    # A Gaussian's transform is exp(-(k sigma)^2 / 2), a wing's roughly exp(-k wing_radius).
    depth = -math.log(PSF_FLOOR)
    end = max(math.sqrt(2 * depth) / sigma.min(), depth / wing_radius if psf.p0 > 0 else 0)
    wavenumber = np.linspace(0, end, PSF_NODES)
    transform = fluxes[:2] @ np.exp(-0.5 * np.outer(sigma, wavenumber) ** 2)
    transform[0] += fluxes[2]
    transform[1:] += fluxes[2] * moffat_transform(psf.beta / 2, wavenumber[1:] * wing_radius)
    transform[-1] = 0
    density = transform * wavenumber / (2 * np.pi)
    steps = (density[1:] + density[:-1]) / 2 * wavenumber[1]
    return PsfModel(
        centre=fluxes[0] / (2 * np.pi * psf.sigma1**2) * np.array([1, psf.b, psf.p0]),
        sigma=sigma,
        wing_radius=wing_radius,
        wing_exponent=psf.beta / 2,
        transform=Table(transform.astype(np.float32), 1 / wavenumber[1]),
        tail=np.append(np.cumsum(steps[::-1])[::-1], 0),
    )
