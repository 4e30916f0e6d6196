"""The six-parameter circular PSF of SDSS: two Gaussians and a power-law wing.

Parameters stand everywhere in the order of PARAMETERS; radii are in pixels. SDSS fits the profile
to stars as they were recorded, so it holds the pixel response already: images are point samples
of it and nothing is convolved with the pixel again.
"""

import numpy as np
from scipy.optimize import brentq

from npecat_sim.errors import NpecatError
from npecat_sim.units import PIXEL_SCALE

PARAMETERS = ("sigma1", "sigma2", "sigmap", "beta", "b", "p0")

CALIBRATION_RADIUS = 7.43 / PIXEL_SCALE
"""Pixels: SDSS calibrates fluxes to an aperture of 7.43 arcsec; the PSF holds unit flux there."""


def check(parameters: np.ndarray, where: str) -> None:
    """Refuse parameters that describe no PSF.

    parameters: (..., 6). Raises NpecatError, naming ``where``, the parameter and the row.
    """
    rows = np.atleast_2d(parameters)
    least = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])  # a wing with beta <= 2 has infinite flux
    strict = np.array([True, True, True, True, False, False])
    good = np.isfinite(rows) & np.where(strict, rows > least, rows >= least)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        sign = ">" if strict[column] else ">="
        raise NpecatError(
            f"{where}, row {row}: PSF parameter {PARAMETERS[column]} is {rows[row, column]:g}; "
            f"it must be finite and {sign} {least[column]:g}"
        )


def from_text(text: str) -> np.ndarray:
    """float64 (6,) of numbers apart by commas or blanks; NpecatError where it is something else."""
    try:
        parameters = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        parameters = np.empty(0)
    if len(parameters) != len(PARAMETERS):
        raise NpecatError(f"psf is {text!r}; give six numbers: {','.join(PARAMETERS)}")
    check(parameters, "psf")
    return parameters


def component_fluxes(parameters: np.ndarray) -> np.ndarray:
    """Flux of (core, second Gaussian, wing) with unit flux inside CALIBRATION_RADIUS together.

    parameters: (6,). Their sum exceeds 1 by the flux beyond that radius.
    """
    sigma1, sigma2, sigmap, beta, b, p0 = parameters
    radius2 = CALIBRATION_RADIUS**2
    total = 2 * np.pi * np.array([sigma1**2, b * sigma2**2, p0 * beta * sigmap**2 / (beta - 2)])
    inside = total * np.array(
        [
            -np.expm1(-radius2 / (2 * sigma1**2)),
            -np.expm1(-radius2 / (2 * sigma2**2)),
            1 - (1 + radius2 / (beta * sigmap**2)) ** (1 - beta / 2),
        ]
    )
    return total / inside.sum()


def profile(parameters: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Share of a star's flux in a pixel at the given distance in pixels (any shape)."""
    sigma1, sigma2, sigmap, beta, b, p0 = parameters
    core = np.exp(-(radius**2) / (2 * sigma1**2))
    second = b * np.exp(-(radius**2) / (2 * sigma2**2))
    wing = p0 * (1 + radius**2 / (beta * sigmap**2)) ** (-beta / 2)
    scale = component_fluxes(parameters)[0] / (2 * np.pi * sigma1**2)
    return scale * (core + second + wing)


def scaled(parameters: np.ndarray, factor: float) -> np.ndarray:
    """The PSF with all its radii ``factor`` times as large; parameters: (6,)."""
    return parameters * np.array([factor, factor, factor, 1.0, 1.0, 1.0])


def fwhm(parameters: np.ndarray) -> float:
    """Pixels: the width of the profile at half of its peak; parameters: (6,).

    SDSS's own PSF_WIDTH is the width of a Gaussian with as many effective pixels, 4 to 25 % more.
    """
    peak = profile(parameters, np.zeros(()))
    beyond = 10 * max(parameters[:3])
    return 2 * brentq(lambda radius: profile(parameters, radius) - peak / 2, 0, beyond)
