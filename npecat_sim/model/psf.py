"""The six-parameter circular PSF of SDSS: two Gaussians and a power-law wing.

Parameters stand everywhere in the order of PARAMETERS; radii are in pixels. SDSS fits the profile
to stars as they were recorded, so it holds the pixel response already: images are point samples
of it and nothing is convolved with the pixel again.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.optimize import brentq

from npecat_sim.errors import NpecatError
from npecat_sim.units import PIXEL_SCALE

PARAMETERS = ("sigma1", "sigma2", "sigmap", "beta", "b", "p0")

CALIBRATION_RADIUS = 7.43 / PIXEL_SCALE
"""Pixels: SDSS calibrates fluxes to an aperture of 7.43 arcsec; the PSF holds unit flux there."""

MINIMUM = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])
"""Of each parameter; a wing with beta <= 2 has infinite flux."""

EXCLUSIVE = np.array([True, True, True, True, False, False])
"""Whether a parameter must exceed its minimum."""


@dataclass(frozen=True)
class Psf:
    """The light of a star at the distance r from its centre, with unit flux within 7.43 arcsec.

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
        """The PSF of six numbers in the order of PARAMETERS, unchecked."""
        return cls(*map(float, parameters))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The PSF of six numbers with commas or blanks between them.

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
        """float64 (6,), in the order of PARAMETERS."""
        return np.array(astuple(self))

    def check(self, where: str) -> None:
        """Raise NpecatError, naming `where` and the parameter, if the numbers describe no PSF."""
        check_parameters(self.parameters, where)

    @cached_property
    def component_fluxes(self) -> np.ndarray:
        """float64 (3,): flux of the core, the second Gaussian and the wing.

        Together they hold unit flux within CALIBRATION_RADIUS; their sum exceeds 1 by the flux
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
        return total / inside.sum()

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
        return scale * (core + second + wing)

    def scaled(self, factor: float) -> Self:
        """The PSF with all its radii `factor` times as large."""
        radii = {name: getattr(self, name) * factor for name in PARAMETERS[:3]}
        return replace(self, **radii)

    @cached_property
    def fwhm(self) -> float:
        """Width of the profile at half of its peak, pixels.

        SDSS's own PSF_WIDTH is the width of a Gaussian with as many effective pixels, 4 to 25 %
        more.
        """
        peak = self.profile(np.zeros(()))
        beyond = 10 * max(self.sigma1, self.sigma2, self.sigmap)
        return 2 * brentq(lambda radius: self.profile(radius) - peak / 2, 0, beyond)


def check_parameters(parameters: np.ndarray, where: str) -> None:
    """Refuse parameters that describe no PSF.

    Parameters
    ----------
    parameters : ndarray
        (..., 6), in the order of PARAMETERS.
    where : str
        What they are of, for the message.

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
