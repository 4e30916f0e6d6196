"""Estimate the width of an image's PSF from the stars in the image.

The network assumes that the given PSF is exact, but the PSF that comes with an image may be
slightly too narrow or too wide. So all radii of the PSF are multiplied by one factor: the median of
the factors that fit the bright, isolated, unflagged stars of the image best. See docs/log.md, width
of the PSF.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.flags import source_flags
from npecat_sim.surveys.image import SurveyImage

REACH = 12
"""Radius around a star of the pixels that are fitted, pixels; holds 97 % of the light of a star in
SDSS."""

LONE_WITHIN, LONE_SHARE = 2 * REACH, 0.02
"""A star is isolated if the other sources within LONE_WITHIN pixels have less than the share
LONE_SHARE of its flux, all together."""

MAX_PROB_GALAXY = 0.1
"""Sources with a higher probability of being a galaxy are not used as stars."""

MIN_SNR = 100.0
"""Minimum SNR of a star; at this SNR its width is determined to about 1 %."""

SHAPE_ERROR = 0.02
"""Assumed error of the PSF model in a pixel, as a share of the light there; see docs/log.md."""

MIN_STARS = 10
"""Minimum number of stars; with fewer, the PSF stays as given."""

MAX_STARS = 100
"""Maximum number of stars, the brightest; fainter ones do not improve the estimate."""

MAX_CHANGE = 1.25
"""A factor above this or below its inverse is not applied: it is more than a small correction."""


@dataclass(frozen=True)
class StarWidth:
    """The width of an image's stars in units of the width of its PSF.

    Parameters
    ----------
    factor : float
        Width of the stars over the width of the PSF.
    error : float
        Standard error of the factor.
    n_stars : int
        Number of stars.
    """

    factor: float
    error: float
    n_stars: int


def with_width_of_stars(image: SurveyImage, found: Detections) -> tuple[SurveyImage, str]:
    """Scale the PSF of an image to the width of its stars.

    The PSF stays as it is if there are fewer than MIN_STARS suitable stars, or if the factor
    exceeds MAX_CHANGE.

    Parameters
    ----------
    image : SurveyImage
        Image with the given PSF.
    found : Detections
        A catalog of the image.

    Returns
    -------
    image : SurveyImage
        The image with the scaled PSF.
    words : str
        What was done, in words.
    """
    width = star_width(image, found)
    if width is None:
        return image, f"as given, for fewer than {MIN_STARS} stars could tell its width"
    measured = f"{width.n_stars} stars are {width.factor:.3f} +- {width.error:.3f} times as wide"
    if not 1 / MAX_CHANGE < width.factor < MAX_CHANGE:
        return image, f"as given, though {measured}: give a better one"
    wider = image.psf.scaled(width.factor)
    return replace(image, psf=wider), f"scaled to its stars: {measured} as it was given"


def star_width(image: SurveyImage, found: Detections) -> StarWidth | None:
    """Estimate the factor by which the stars of an image are wider than its PSF.

    Parameters
    ----------
    image : SurveyImage
        Image with the given PSF.
    found : Detections
        A catalog of the image.

    Returns
    -------
    StarWidth or None
        None if there are fewer than MIN_STARS suitable stars.
    """
    stars = _clean_stars(image, found)
    factors = np.array([_factor(image, found.x[star], found.y[star]) for star in stars])
    factors = factors[np.isfinite(factors)]
    if len(factors) < MIN_STARS:
        return None
    # The standard error of the median of a normal distribution.
    error = np.sqrt(np.pi / 2) * factors.std(ddof=1) / np.sqrt(len(factors))
    return StarWidth(float(np.median(factors)), float(error), len(factors))


def _clean_stars(image: SurveyImage, found: Detections) -> np.ndarray:
    """Rows of the brightest suitable stars, at most MAX_STARS."""
    height, width = image.image.shape
    inside = (np.minimum(found.x, width - 1 - found.x) > REACH + 1) & (
        np.minimum(found.y, height - 1 - found.y) > REACH + 1
    )
    electrons = found.flux * image.electrons_per_nmgy
    sigma = image.psf.fwhm / np.sqrt(8 * np.log(2))
    sky = 4 * np.pi * sigma**2 * image.background.mean() * image.electrons_per_nmgy
    good = inside & (electrons / np.sqrt(electrons + sky) > MIN_SNR)
    good &= found.prob_galaxy < MAX_PROB_GALAXY
    good &= source_flags(found.x, found.y, image=image) == 0
    places = np.column_stack([found.x, found.y])
    candidates = np.flatnonzero(good)
    near = KDTree(places).query_ball_point(places[candidates], LONE_WITHIN)
    lone = [
        star
        for star, others in zip(candidates, near, strict=True)
        if np.sum(found.flux[others]) < (1 + LONE_SHARE) * found.flux[star]
    ]
    return np.array(sorted(lone, key=lambda star: -found.flux[star])[:MAX_STARS], dtype=int)


def _factor(image: SurveyImage, x: float, y: float) -> float:
    """Best factor for one star, with position, flux and local sky free; NaN if no fit is found."""
    column, row = round(x), round(y)
    step_y, step_x = np.indices((2 * REACH + 1,) * 2) - REACH
    cut = np.s_[row - REACH : row + REACH + 1, column - REACH : column + REACH + 1]
    use = (np.hypot(step_x, step_y) <= REACH) & (image.flags[cut] == 0)
    light = image.image[cut][use].astype(float)
    step_x, step_y = step_x[use] + column - x, step_y[use] + row - y
    photons = (image.background[cut][use] + light.clip(min=0)) / image.electrons_per_nmgy
    weight = 1 / np.sqrt(photons + (SHAPE_ERROR * light) ** 2)

    def residual(guess: np.ndarray) -> np.ndarray:
        scale, at_x, at_y = guess
        distance = np.hypot(step_x - at_x, step_y - at_y)
        profile = image.psf.scaled(np.exp(scale)).profile(distance)
        linear = np.column_stack([profile * weight, weight])  # flux and sky: solved for directly
        coefficients, *_ = np.linalg.lstsq(linear, light * weight, rcond=None)
        remainder: np.ndarray = light * weight - linear @ coefficients
        return remainder

    fit = least_squares(residual, np.zeros(3), diff_step=1e-4, x_scale=(0.01, 0.1, 0.1))
    scale, _, _ = fit.x
    return float(np.exp(scale)) if fit.success else np.nan
