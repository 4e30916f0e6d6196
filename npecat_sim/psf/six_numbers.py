"""The six-parameter circular PSF of SDSS: two Gaussians and a power-law wing.

Parameters are everywhere in the order of PARAMETERS; radii are in pixels. SDSS fits the profile
to stars as they were recorded, so it includes the pixel response already: images are point samples
of it and nothing is convolved with the pixel again.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.optimize import brentq

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.units import PIXEL_SCALE

if TYPE_CHECKING:
    import galsim

RADII = ("sigma1", "sigma2", "sigmap")
"""Names of the parameters that are radii."""

PARAMETERS = (*RADII, "beta", "b", "p0")
"""Names of the parameters; class SixNumberPsf describes them."""

CALIBRATION_RADIUS = 7.43 / PIXEL_SCALE
"""Pixels: SDSS calibrates fluxes to an aperture of 7.43 arcsec; the PSF has unit flux there."""

MINIMUM = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])
"""Minimum of each parameter; a wing with beta <= 2 has infinite flux."""

EXCLUSIVE = np.array([True, True, True, True, False, False])
"""Whether each parameter must exceed its minimum."""


@dataclass(frozen=True)
class SixNumberPsf(Psf):
    """The profile of a star's light, with unit flux within 7.43 arcsec.

    At the distance r from the centre of the star

    PSF(r) = (exp(-r^2 / 2 sigma1^2) + b exp(-r^2 / 2 sigma2^2)
    + p0 (1 + r^2 / (beta sigmap^2))^(-beta/2)) / norm

    Parameters
    ----------
    sigma1, sigma2 : float
        Standard deviations of the core and of the second Gaussian, pixels.
    sigmap : float
        Width of the wing, pixels.
    beta : float
        Slope of the wing, which falls as r^-beta; above 2.
    b, p0 : float
        Central values of the second Gaussian and of the wing in units of the core's.

    Notes
    -----
    The profile is that of SDSS's photo pipeline, fitted by its PSP to the stars of each field
    (Lupton et al. 2001, ASP Conf. Ser. 238, 269).
    """

    sigma1: float
    sigma2: float
    sigmap: float
    beta: float
    b: float
    p0: float

    @classmethod
    def of(cls, parameters: Iterable[float]) -> Self:
        """The PSF of six numbers in the order of PARAMETERS, without a check."""
        return cls(*map(float, parameters))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The PSF of six numbers with commas or blanks between them.

        Parameters
        ----------
        text : str
            Six numbers in the order of PARAMETERS.

        Returns
        -------
        SixNumberPsf
            The PSF.

        Raises
        ------
        NpecatError
            If the text is something else, or its numbers describe no PSF.
        """
        try:
            parameters = [float(word) for word in text.replace(",", " ").split()]
        except ValueError:
            parameters = []
        if len(parameters) != len(PARAMETERS):
            raise NpecatError(f"psf is {text!r}; give six numbers: {','.join(PARAMETERS)}")
        check_parameters(np.array(parameters), "psf")
        return cls(*parameters)

    @property
    def parameters(self) -> np.ndarray:
        """All six numbers in the order of PARAMETERS: float64 (6,)."""
        return np.array(astuple(self))

    def check(self, where: str) -> None:
        """Raise NpecatError, naming `where` and the parameter, if the numbers describe no PSF."""
        check_parameters(self.parameters, where)

    @cached_property
    def component_fluxes(self) -> np.ndarray:
        """Fluxes of the core, the second Gaussian and the wing: float64 (3,).

        Together they have unit flux within CALIBRATION_RADIUS; their sum exceeds 1 by the flux
        beyond it.
        """
        radius2 = CALIBRATION_RADIUS**2
        wing = self.p0 * self.beta * self.sigmap**2 / (self.beta - 2)
        total = 2 * np.pi * np.array([self.sigma1**2, self.b * self.sigma2**2, wing])
        inside = total * np.array(
            [
                -np.expm1(-radius2 / (2 * self.sigma1**2)),
                -np.expm1(-radius2 / (2 * self.sigma2**2)),
                1 - (1 + radius2 / (self.beta * self.sigmap**2)) ** (1 - self.beta / 2),
            ]
        )
        fluxes: np.ndarray = total / inside.sum()
        return fluxes

    def profile(self, radius: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel.

        Parameters
        ----------
        radius : ndarray
            Distances of pixels from the star, pixels, of any shape.

        Returns
        -------
        ndarray
            Shares, of the same shape.
        """
        core = np.exp(-(radius**2) / (2 * self.sigma1**2))
        second = self.b * np.exp(-(radius**2) / (2 * self.sigma2**2))
        wing = self.p0 * (1 + radius**2 / (self.beta * self.sigmap**2)) ** (-self.beta / 2)
        scale = self.component_fluxes[0] / (2 * np.pi * self.sigma1**2)
        share: np.ndarray = scale * (core + second + wing)
        return share

    def shares(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of a star's flux in a pixel, see Psf.shares."""
        return self.profile(np.hypot(x, y))

    def scaled(self, factor: float) -> Self:
        """The PSF with all its radii `factor` times as large."""
        radii = {name: getattr(self, name) * factor for name in RADII}
        return replace(self, **radii)

    @property
    def core_sigma(self) -> float:
        """Standard deviation of the core, pixels."""
        return self.sigma1

    def galsim_profile(self, gsparams: "galsim.GSParams") -> "galsim.GSObject":
        """The PSF as a GalSim profile in pixel units; unit flux within CALIBRATION_RADIUS."""
        import galsim  # takes half a second

        core, second, wing = self.component_fluxes
        core_params, second_params, wing_params = [
            _for_share(gsparams, flux) for flux in self.component_fluxes
        ]
        radius = np.sqrt(self.beta) * self.sigmap
        return galsim.Sum(
            galsim.Gaussian(sigma=self.sigma1, flux=core, gsparams=core_params),
            galsim.Gaussian(sigma=self.sigma2, flux=second, gsparams=second_params),
            galsim.Moffat(beta=self.beta / 2, scale_radius=radius, flux=wing, gsparams=wing_params),
            gsparams=gsparams,
            propagate_gsparams=False,
        )

    @cached_property
    def fwhm(self) -> float:
        """Full width at half maximum of the profile, pixels.

        SDSS's own PSF_WIDTH is the width of a Gaussian with as many effective pixels, which is 4
        to 25 % larger.
        """
        peak = self.profile(np.zeros(()))
        beyond = 10 * max(self.sigma1, self.sigma2, self.sigmap)
        radius: float = brentq(lambda radius: self.profile(radius) - peak / 2, 0, beyond)
        return 2 * radius


def _for_share(gsparams: "galsim.GSParams", share: float) -> "galsim.GSParams":
    """Thresholds for a component with this share of the flux.

    GalSim's thresholds are fractions of a profile's own flux. Without this a PSF wing with a
    millionth of the flux would need FFTs of 40,000 pixels.
    """
    share = max(share, 1e-9)
    return gsparams.withParams(
        folding_threshold=min(0.5, gsparams.folding_threshold / share),
        maxk_threshold=min(0.5, gsparams.maxk_threshold / share),
    )


def check_parameters(parameters: np.ndarray, where: str) -> None:
    """Raise NpecatError if parameters describe no PSF.

    Parameters
    ----------
    parameters : ndarray
        float64 (6,) or (row, 6), in the order of PARAMETERS.
    where : str
        The object or file that has the parameters, for the message.

    Raises
    ------
    NpecatError
        If a parameter is not finite or too small; it names `where`, the row and the parameter.
    """
    rows = np.atleast_2d(parameters)
    good = np.isfinite(rows) & np.where(EXCLUSIVE, rows > MINIMUM, rows >= MINIMUM)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        sign = ">" if EXCLUSIVE[column] else ">="
        raise NpecatError(
            f"{where}, row {row}: PSF parameter {PARAMETERS[column]} is {rows[row, column]:g}; "
            f"it must be finite and {sign} {MINIMUM[column]:g}"
        )
