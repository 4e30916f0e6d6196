"""Families of PSFs on which networks of variant wide are tested; the last three are held out.

Prior ``wide`` trains on Gaussian, Moffat and Kolmogorov profiles with straight ellipses as
isophotes, on those of SDSS, and on small random departures from these. It has no aberrated optics,
no von Karman turbulence and no sum of two profiles.
"""

from collections.abc import Callable

import galsim
import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf

BETA = (2.5, 4.5)
"""Exponents of Moffat profiles."""

ELLIPTICITY = (0.03, 0.12)
"""(a - b) / (a + b) of elliptical PSFs."""

ABERRATIONS = {
    "defocus": 0.25,
    "astig1": 0.2,
    "astig2": 0.2,
    "coma1": 0.2,
    "coma2": 0.2,
    "trefoil1": 0.15,
    "trefoil2": 0.15,
}
"""Standard deviations of aberrations, waves: a choice for which most PSFs are seen to be distorted
and the worst have a tail as long as their FWHM."""

DIFFRACTION = (0.08, 0.2)
"""Wavelength over diameter in units of the FWHM of the seeing: from a telescope of 1.3 m to one of
0.5 m under 1.2 arcsec, at 620 nm. On larger ones the same wavefronts err by more waves."""

OBSCURATION = (0.2, 0.45)
"""Diameter of the central obscuration over that of the aperture."""

OUTER_SCALE = (10.0, 50.0)
"""Outer scale of the turbulence, metres (Martin et al. 2000, A&AS 144, 39)."""

FRIED = 0.12
"""Fried parameter, metres: 1.1 arcsec at 620 nm. The profile is scaled to its width afterwards."""

WAVELENGTH = 620.0
"""Nanometres: the r band."""

SECOND_WIDTH = (2.0, 3.0)
SECOND_SHARE = (0.05, 0.2)
"""Width of the second Gaussian over that of the first, and its share of the flux."""

STEPS = 5
"""Samples per FWHM."""

REACH = 8.0
"""Half the side of a sampled PSF in units of its FWHM, and MIN_REACH in pixels at least: 0.4 % of
the light of a Kolmogorov profile lies beyond."""

MIN_REACH = 12.0

Family = Callable[[np.random.Generator, float], Psf]
"""A PSF drawn with a random generator, whose light has a given FWHM (pixels) before it meets the
pixels."""


def round_moffat(generator: np.random.Generator, width: float) -> Psf:
    """A circular Moffat profile."""
    return ParametricPsf("moffat", width, beta=float(generator.uniform(*BETA)))


def elliptical(generator: np.random.Generator, width: float) -> Psf:
    """A sheared Moffat profile."""
    g1, g2 = _shear(generator)
    return ParametricPsf("moffat", width, g1, g2, float(generator.uniform(*BETA)))


def aberrated(generator: np.random.Generator, width: float) -> Psf:
    """Kolmogorov turbulence seen by a telescope out of focus and of collimation."""
    optics = galsim.OpticalPSF(
        lam_over_diam=float(generator.uniform(*DIFFRACTION)),
        obscuration=float(generator.uniform(*OBSCURATION)),
        **{name: float(sigma * generator.standard_normal()) for name, sigma in ABERRATIONS.items()},
    )
    return _sampled(galsim.Convolve(optics, galsim.Kolmogorov(fwhm=1.0)), width)


def von_karman(generator: np.random.Generator, width: float) -> Psf:
    """Turbulence with an outer scale, slightly sheared by the guiding."""
    outer = float(generator.uniform(*OUTER_SCALE))
    seeing = galsim.VonKarman(lam=WAVELENGTH, r0=FRIED, L0=outer)
    g1, g2 = _shear(generator)
    return _sampled(seeing.shear(g1=g1, g2=g2), width)


def double_gaussian(generator: np.random.Generator, width: float) -> Psf:
    """A Gaussian core and a wider Gaussian, sheared together."""
    share = float(generator.uniform(*SECOND_SHARE))
    core = galsim.Gaussian(fwhm=1.0, flux=1 - share)
    second = galsim.Gaussian(fwhm=float(generator.uniform(*SECOND_WIDTH)), flux=share)
    g1, g2 = _shear(generator)
    return _sampled((core + second).shear(g1=g1, g2=g2), width)


FAMILIES: dict[str, Family] = {
    "round": round_moffat,
    "elliptical": elliptical,
    "aberrated": aberrated,
    "von_karman": von_karman,
    "double_gaussian": double_gaussian,
}
"""Name -> family; the last three are held out from training."""


def _shear(generator: np.random.Generator) -> tuple[float, float]:
    """A shear of random direction, g1 and g2."""
    size, turn = generator.uniform(*ELLIPTICITY), 2 * np.pi * generator.random()
    return float(size * np.cos(turn)), float(size * np.sin(turn))


def _sampled(light: galsim.GSObject, width: float) -> SampledPsf:
    """Light of an FWHM of about 1, as samples of the recorded PSF of another, in the middle."""
    light = light.shift(-light.centroid)
    scaled = light.dilate(width / _draw(light, 1 / STEPS, REACH).fwhm)
    recorded = galsim.Convolve(scaled, galsim.Pixel(1.0))
    return _draw(recorded, width / STEPS, max(REACH * width, MIN_REACH))


def _draw(profile: galsim.GSObject, step: float, reach: float) -> SampledPsf:
    """Samples of a profile at a step, to a distance from the middle along each axis."""
    side = 2 * int(np.ceil(reach / step)) + 1
    image = profile.drawImage(nx=side, ny=side, scale=step, method="no_pixel", dtype=np.float64)
    return SampledPsf(image.array, step)
