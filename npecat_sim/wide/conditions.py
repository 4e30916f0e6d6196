"""The conditions of one image of prior ``wide``, as draws.py draws them or a test makes them."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.model.prior import GALAXY_ONLY, PSF_SIDE, CatalogPrior
from npecat_sim.psf.base import SIGMA_TO_FWHM, Psf
from npecat_sim.psf.parametric import PROFILES, ParametricPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render.compiled import draw_sources
from npecat_sim.wide.irregular import Irregularity
from npecat_sim.wide.sections import SIX_NUMBERS, Artifacts

KINDS = (SIX_NUMBERS, *PROFILES, "other")
"""Names of the numbers in the array psf_kind of a store."""

STAMP_NOISE = 1e-6
"""Noise, as a share of the flux of a star, below a thousandth of which the told PSF is cut. Only a
star of 10,000 sigma could show it."""


@dataclass(frozen=True)
class BrightStar:
    """A very bright star, in the image or beyond its edge.

    Parameters
    ----------
    x, y : float
        Position, pixels.
    flux : float
        Flux without the halo, nanomaggies.
    halo : float
        Flux of the halo, nanomaggies.
    """

    x: float
    y: float
    flux: float
    halo: float


@dataclass(frozen=True, eq=False)
class Conditions:
    """Everything about an image but its sources, its noise and the places of its defects.

    Parameters
    ----------
    psf : Psf
        The regular part of the PSF.
    irregularity : Irregularity, optional
        How it departs from that.
    stamp : ndarray
        float64 (PSF_SIDE, PSF_SIDE), the recorded PSF, irregularity included.
    pixel_scale : float
        Arcsec per pixel.
    catalog_prior : CatalogPrior
        Density and laws of the sources.
    electrons_per_nmgy : float
        Electrons per nanomaggy.
    variance : ndarray
        float64 (y, x), variance of an empty pixel, electrons squared.
    sky : float
        Mean light of the sky, electrons per pixel.
    sky_error : ndarray
        float64 (y, x), what is left of the sky in the image and not told, nanomaggies.
    correlation : float
        Standard deviation of the Gaussian that correlates the noise, pixels; 0 for white noise.
    saturation : float
        Electrons, with those of the sky, above which a pixel is saturated.
    bright_star : BrightStar, optional
        A very bright star.
    artifacts : Artifacts
        Rates of the other defects.
    """

    psf: Psf
    irregularity: Irregularity | None
    stamp: np.ndarray
    pixel_scale: float
    catalog_prior: CatalogPrior
    electrons_per_nmgy: float
    variance: np.ndarray
    sky: float
    sky_error: np.ndarray
    correlation: float
    saturation: float
    bright_star: BrightStar | None
    artifacts: Artifacts

    @property
    def star_share(self) -> float:
        """Share of the sources that are stars."""
        return 1 - self.catalog_prior.galaxy_probability

    @property
    def faint_flux(self) -> float:
        """Flux of the faintest source of the flux law, nanomaggies."""
        return self.catalog_prior.star_flux.loc + self.catalog_prior.star_flux.scale

    @property
    def sigma(self) -> float:
        """Standard deviation of an empty pixel, nanomaggies: the least of the image."""
        return float(np.sqrt(self.variance.min())) / self.electrons_per_nmgy

    @property
    def psf_kind(self) -> int:
        """Place of the kind of the PSF in KINDS."""
        if isinstance(self.psf, SixNumberPsf):
            return KINDS.index(SIX_NUMBERS)
        return KINDS.index(self.psf.profile if isinstance(self.psf, ParametricPsf) else "other")

    @property
    def psf_shape(self) -> tuple[float, float, float, float]:
        """Width (pixels), g1, g2 and beta of the PSF; 0 where it has none."""
        psf = self.psf
        if isinstance(psf, ParametricPsf):
            return psf.width, psf.g1, psf.g2, psf.beta if psf.profile == "moffat" else 0.0
        return psf.fwhm, 0.0, 0.0, psf.beta if isinstance(psf, SixNumberPsf) else 0.0

    @property
    def effective_pixels(self) -> float:
        """Pixels over which the noise counts in the best flux of a star."""
        return float(1 / np.sum(self.stamp**2))

    @property
    def fwhm(self) -> float:
        """FWHM of a Gaussian with as many effective pixels, arcsec, as SDSS's PSF_WIDTH."""
        sigma = np.sqrt(self.effective_pixels / (4 * np.pi))
        return float(SIGMA_TO_FWHM * sigma * self.pixel_scale)


def regular_stamp(psf: Psf) -> np.ndarray:
    """A star of unit flux on the middle pixel, under a PSF without irregularity.

    Parameters
    ----------
    psf : Psf
        The PSF.

    Returns
    -------
    ndarray
        float64 (PSF_SIDE, PSF_SIDE): the share of the flux in each pixel.
    """
    middle = np.array([PSF_SIDE // 2])
    star = {name: np.full(1, np.nan) for name in GALAXY_ONLY}
    star |= {"x": middle, "y": middle, "flux": np.ones(1), "is_galaxy": np.zeros(1, dtype=bool)}
    stamp: np.ndarray = draw_sources(star, psf, PSF_SIDE, STAMP_NOISE)[0].astype(np.float64)
    return stamp
