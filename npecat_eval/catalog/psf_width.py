"""How wide an image's PSF is, as its own stars tell.

The network takes the PSF that it is given for true. SDSS's six numbers describe a fit to the stars
of a larger region, by a circle; the stars of frame 94/1/12 are 2 % wider, and their fluxes come
out 1.4 % too low where the network is not told. So all radii of the PSF are scaled by one factor,
the median of what the image's bright, lone, clean stars ask for one by one.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.flags import source_flags
from npecat_sim.surveys.image import SurveyImage

REACH = 12
"""Pixels from a star's centre that its fit looks at; 97 % of the light of SDSS's stars."""

LONE_WITHIN, LONE_SHARE = 2 * REACH, 0.02
"""Pixels within which no other source has more than this share of a star's flux."""

MOST_GALAXY = 0.1
"""The largest probability of being a galaxy that a star may have."""

LEAST_SNR = 100.0
"""A star of this tells its width to about 1 %."""

SHAPE_ERROR = 0.02
"""Of the PSF in a pixel: the six numbers differ from the Karhunen-Loeve PSFs of four SDSS fields by
0.8 to 2 % of the peak."""

LEAST_STARS, MOST_STARS = 10, 100
"""Fewer are not trusted; more, the fainter ones, add nothing."""

MOST_CHANGE = 1.25
"""A factor beyond this or its inverse is no refinement of the PSF that was given."""


@dataclass(frozen=True)
class StarWidth:
    """The factor by which stars are wider than the PSF, its standard error, and their number."""

    factor: float
    error: float
    n_stars: int


def with_width_of_stars(image: SurveyImage, found: Detections) -> tuple[SurveyImage, str]:
    """The image with its PSF as wide as its stars, and what was done, in words.

    found: a catalog of the image. It stays as it is where its stars are too few or too odd.
    """
    width = star_width(image, found)
    if width is None:
        return image, f"as given, for fewer than {LEAST_STARS} stars could tell its width"
    told = f"{width.n_stars} stars are {width.factor:.3f} +- {width.error:.3f} times as wide"
    if not 1 / MOST_CHANGE < width.factor < MOST_CHANGE:
        return image, f"as given, though {told}: give a better one"
    wider = image.psf.scaled(width.factor)
    return replace(image, psf=wider), f"scaled to its stars: {told} as it was given"


def star_width(image: SurveyImage, found: Detections) -> StarWidth | None:
    """What the stars of an image tell of the width of its PSF; None if they are too few."""
    stars = _clean_stars(image, found)
    factors = np.array([_factor(image, found.x[star], found.y[star]) for star in stars])
    factors = factors[np.isfinite(factors)]
    if len(factors) < LEAST_STARS:
        return None
    # Of the median of a normal distribution.
    error = np.sqrt(np.pi / 2) * factors.std(ddof=1) / np.sqrt(len(factors))
    return StarWidth(float(np.median(factors)), float(error), len(factors))


def _clean_stars(image: SurveyImage, found: Detections) -> np.ndarray:
    """Rows of the brightest suitable stars, at most MOST_STARS."""
    height, width = image.image.shape
    inside = (np.minimum(found.x, width - 1 - found.x) > REACH + 1) & (
        np.minimum(found.y, height - 1 - found.y) > REACH + 1
    )
    electrons = found.flux * image.electrons_per_nmgy
    sigma = image.psf.fwhm / np.sqrt(8 * np.log(2))
    sky = 4 * np.pi * sigma**2 * image.background.mean() * image.electrons_per_nmgy
    good = inside & (electrons / np.sqrt(electrons + sky) > LEAST_SNR)
    good &= found.prob_galaxy < MOST_GALAXY
    good &= source_flags(found.x, found.y, image) == 0
    places = np.column_stack([found.x, found.y])
    candidates = np.flatnonzero(good)
    near = KDTree(places).query_ball_point(places[candidates], LONE_WITHIN)
    lone = [
        star
        for star, others in zip(candidates, near, strict=True)
        if np.sum(found.flux[others]) < (1 + LONE_SHARE) * found.flux[star]
    ]
    return np.array(sorted(lone, key=lambda star: -found.flux[star])[:MOST_STARS], dtype=int)


def _factor(image: SurveyImage, x: float, y: float) -> float:
    """The factor that fits one star best, its place, flux and local sky free; NaN without a fit."""
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
        return light * weight - linear @ np.linalg.lstsq(linear, light * weight, rcond=None)[0]

    fit = least_squares(residual, np.zeros(3), diff_step=1e-4, x_scale=(0.01, 0.1, 0.1))
    return float(np.exp(fit.x[0])) if fit.success else np.nan
