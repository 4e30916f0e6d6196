"""Shapes of the single stars of an image: width, ellipticity and slope of the wings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import kernel
from npecat_sim.surveys.inspection.stars import SHAPE_ERROR

STEPS = {"width": 0.02, "g1": 0.01, "g2": 0.01}
"""Shape parameter of a Moffat profile -> step of its numerical derivative; of the width as a
share."""

FIRST_WIDTH = 1.7
"""Width of the first guess of the Moffat profile over the half-light radius of stars."""

BETA_LIMITS = (1.5, 12.0)
"""Minimum and maximum of its exponent; from 12 on it is as good as Gaussian."""

KERNEL = "quintic"
"""Kernel between samples, see SampledPsf."""

N_STEPS, NEAR = 2, 0.05
"""Linear steps by which the place of a star is found, and half the width of a slope, pixels."""

MIN_SPREAD = 0.005
"""Share by which shapes of stars may differ in any case."""

OUTLIER = 4.0
"""Robust standard deviations from which a star is none."""


@dataclass(frozen=True)
class StarStamp:
    """The pixels around a star, and where the star is from their middle."""

    light: np.ndarray
    error: np.ndarray
    use: np.ndarray
    x: float
    y: float


def star_stamp(
    residual: np.ndarray,
    place: Sequence[float],
    flux: float,
    guess: ParametricPsf,
    *,
    reach: int,
    spoilt: np.ndarray,
    noise: tuple[float, float],
) -> StarStamp:
    """The pixels around a star.

    Their errors follow from a guess of the light, since its own noise would bias the weights.
    """
    x, y = place
    column, row = round(x), round(y)
    cut = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    step_y, step_x = np.indices((2 * reach + 1,) * 2) - reach
    light = flux * guess.shares(step_x + column - x, step_y + row - y)
    sigma, electrons = noise
    error = np.sqrt(sigma**2 + light / electrons + (SHAPE_ERROR * light) ** 2)
    return StarStamp(residual[cut].astype(float), error, ~spoilt[cut], x - column, y - row)


def fit_moffat(stamp: StarStamp, guess: ParametricPsf) -> np.ndarray | None:
    """Width, beta, g1 and g2 of one star, with place, flux and local sky free; None if it fails."""
    reach = stamp.light.shape[0] // 2
    step_y, step_x = [axis[stamp.use] for axis in np.indices(stamp.light.shape) - reach]
    light, error = stamp.light[stamp.use], stamp.error[stamp.use]

    def remainder(parameters: np.ndarray) -> np.ndarray:
        width, beta, g1, g2, x, y = parameters
        psf = ParametricPsf("moffat", width, g1, g2, beta)
        shares = psf.shares(step_x - x, step_y - y)
        linear = np.column_stack([shares / error, 1 / error])  # flux and sky: solved for directly
        fluxes, *_ = np.linalg.lstsq(linear, light / error, rcond=None)
        rest: np.ndarray = light / error - linear @ fluxes
        return rest

    first = np.array([guess.width, guess.beta, 0, 0, stamp.x, stamp.y])
    far = np.array([0.7 * guess.width, 0, 0.5, 0.5, 1.5, 1.5])
    low, high = first - far, first + 3 * far
    low[1], high[1] = BETA_LIMITS
    fit = least_squares(
        remainder,
        first,
        bounds=(low, high),
        diff_step=1e-3,
        x_scale=(0.1, 1, 0.1, 0.1, 0.1, 0.1),
        ftol=1e-5,
    )
    shape: np.ndarray = fit.x[:4]
    return shape if fit.success else None


def change_with(moffat: ParametricPsf, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Derivative of the shares of a Moffat profile by a shape parameter, of the width as a log."""
    value, step = getattr(moffat, name), STEPS[name]
    change = step * (value if name == "width" else 1)
    low, high = [
        replace(moffat, **{name: end}).shares(x, y) for end in (value - change, value + change)
    ]
    derivative: np.ndarray = (high - low) / (2 * step)
    return derivative


def fit_shapes(
    stamps: list[StarStamp], images: np.ndarray, step: float
) -> tuple[list[StarStamp], np.ndarray, np.ndarray]:
    """Fit place, flux, sky and shape of each star, and leave out what is no star.

    Parameters
    ----------
    stamps : list of StarStamp
        The stars.
    images : ndarray
        float64 (4, row, column): samples of the PSF and of its changes with STEPS.
    step : float
        Pixels between samples.

    Returns
    -------
    stamps : list of StarStamp
        The stars that are left, at the places that fit, with flux 1 and no sky.
    shapes : ndarray
        float64 (star, 3): how much wider (a log) and more elliptical (g1, g2) than the PSF.
    kept : ndarray
        int (star,): their numbers.
    """
    placed, shapes = [], []
    for first in stamps:
        stamp = first
        for _ in range(N_STEPS):
            star, left, right, down, up = _around(images, step, stamp)
            slopes = (left[0] - right[0]) / (2 * NEAR), (down[0] - up[0]) / (2 * NEAR)
            terms = np.stack([star[0], np.ones_like(star[0]), *slopes, *star[1:]])
            linear = (terms[:, stamp.use] / stamp.error[stamp.use]).T
            light = stamp.light[stamp.use] / stamp.error[stamp.use]
            found, *_ = np.linalg.lstsq(linear, light, rcond=None)
            flux, sky = found[:2]
            move = np.clip(found[2:4] / flux, -0.5, 0.5)
            stamp = replace(stamp, x=stamp.x + move[0], y=stamp.y + move[1])
        placed.append(
            replace(stamp, light=(stamp.light - sky) / flux, error=stamp.error / abs(flux))
        )
        shapes.append(found[4:] / flux)
    table = np.array(shapes)
    middle = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - middle), axis=0) + MIN_SPREAD
    moved = [max(abs(a.x - b.x), abs(a.y - b.y)) for a, b in zip(placed, stamps, strict=True)]
    good = (np.abs(table - middle) < OUTLIER * spread).all(axis=1) & (np.array(moved) < 1)
    kept = np.flatnonzero(good)
    return [placed[star] for star in kept], table[kept], kept


def _around(images: np.ndarray, step: float, stamp: StarStamp) -> list[np.ndarray]:
    """Images on the pixels of a stamp, (image, y, x): of its star, and moved left, right, etc."""
    reach = stamp.light.shape[0] // 2
    n_samples = images.shape[-1]
    sample = np.arange(n_samples) - n_samples // 2
    along = []
    for at in (stamp.x, stamp.y):
        moves = at + np.array([0, NEAR, -NEAR])
        offset = (np.arange(-reach, reach + 1) - moves[:, None]) / step
        weights = kernel(KERNEL).xval((offset[..., None] - sample).ravel())
        along.append(np.asarray(weights).reshape(*offset.shape, n_samples))
    x, y = along
    places = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2))
    return [y[j] @ images[: 4 if i == j else 1] @ x[i].T for i, j in places]
