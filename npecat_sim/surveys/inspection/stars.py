"""The width of an image's stars, from its pixels alone.

SEP detects the bright sources. The round, isolated ones whose half-light radii agree are the stars,
since galaxies have many sizes. One factor on all radii of a PSF, with position, flux and local sky
free, is fitted to each star; the width is the median. No network and no told width is believed, so
a PSF that was told twice too wide is mended like one that is off by 2 %. See docs/log.md, width of
the PSF.
"""

from dataclasses import dataclass

import numpy as np
import sep
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import PsfMap

MIN_SNR = 100.0
"""Minimum SNR of a star; at this SNR its width is determined to about 1 %."""

FAINT_SNR = 30.0
"""Minimum SNR where there are fewer than MIN_STARS brighter stars; the width is good to 3 %."""

MIN_RADIUS = 0.75
"""Pixels: minimum half-light radius of a star. That of two or three hot pixels side by side is 0.55
to 0.72, that of a star 1.5 pixels wide at half maximum 0.87."""

MAX_AXIS_RATIO = 1.3
"""Maximum ratio of the axes of a star. Those of an ellipticity of 12 % are 1.28."""

REACH_FWHM, MIN_REACH, MAX_REACH = 3.0, 8, 24
"""Radius around a star of the pixels that are fitted, in FWHM, with its bounds in pixels; it holds
97 % of the light of a star of SDSS."""

LONE_SHARE = 0.02
"""A star is isolated if the other sources within two reaches have less than this share of its
flux, all together."""

SAME_SIZE = 0.15
"""Relative spread of the half-light radii, and of the fitted widths, of sources that count as
stars."""

SHAPE_ERROR = 0.02
"""Assumed error of the PSF model in a pixel, as a share of the light there; see docs/log.md."""

MIN_STARS = 5
"""Minimum number of stars; with fewer, the width is not known."""

MAX_STARS = 100
"""Maximum number of stars, the brightest; fainter ones do not improve the estimate."""

FWHM_OF_RADIUS = 1.83
"""FWHM over half-light radius of the typical PSF of SDSS; 2 for a Gaussian."""


@dataclass(frozen=True)
class StarWidth:
    """The width of an image's stars.

    Parameters
    ----------
    psf : Psf
        The given PSF in the middle of the image, scaled to the stars.
    error : float
        Relative standard error of the width.
    n_stars : int
        Number of stars.
    """

    psf: Psf
    error: float
    n_stars: int


@dataclass(frozen=True)
class Stars:
    """Round, lone sources of one size.

    Parameters
    ----------
    x, y, flux : ndarray
        float64 (star,): places and fluxes as SEP measures them, the brightest first.
    size : float
        Their half-light radius, pixels.
    reach : int
        Radius around a star that holds its light, and no bright neighbour, pixels.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    size: float
    reach: int


def pick_stars(
    residual: np.ndarray,
    sources: np.ndarray,
    *,
    spoilt: np.ndarray,
    sigma: float,
    electrons: float,
    most: int = MAX_STARS,
    bright_suffice: bool = True,
) -> Stars | None:
    """The sources that are stars.

    Parameters
    ----------
    residual, sources, spoilt, sigma, electrons
        See measure_width.
    most : int
        Maximum number of stars.
    bright_suffice : bool
        Whether stars below MIN_SNR are left out where there are enough brighter ones.

    Returns
    -------
    Stars or None
        None if fewer than MIN_STARS sources look like stars, before neighbours are looked for.
    """
    x, y = sources["x"].astype(float), sources["y"].astype(float)
    flux, radius = _half_light(residual, sources, spoilt)
    noise = np.sqrt(np.maximum(flux, 0) / electrons + 4 * np.pi * (radius**2) * sigma**2)
    with np.errstate(invalid="ignore"):
        round_ = sources["a"] < MAX_AXIS_RATIO * sources["b"]
        good = round_ & (radius > MIN_RADIUS) & np.isfinite(radius) & (flux > FAINT_SNR * noise)
    bright = good & (flux > MIN_SNR * noise)
    if bright_suffice and bright.sum() >= 2 * MIN_STARS:
        good = bright
    if good.sum() < MIN_STARS:
        return None
    size = float(np.exp(_mode(np.log(radius[good]))))
    good &= np.abs(np.log(np.where(radius > 0, radius, 1) / size)) < SAME_SIZE
    reach = int(np.clip(np.ceil(REACH_FWHM * FWHM_OF_RADIUS * size), MIN_REACH, MAX_REACH))
    lone = _lone(np.flatnonzero(good), x, y, flux=flux, reach=reach, spoilt=spoilt, most=most)
    return Stars(x[lone], y[lone], flux[lone], size, reach)


def measure_width(
    residual: np.ndarray,
    sources: np.ndarray,
    *,
    spoilt: np.ndarray,
    sigma: float,
    electrons: float,
    psf: PsfMap,
) -> StarWidth | None:
    """Measure the width of the stars of an image.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    sources : ndarray
        From detection.bright_sources.
    spoilt : ndarray
        bool (y, x): pixels that no star may have in its core, such as saturated ones.
    sigma : float
        Noise of a pixel of blank sky.
    electrons : float
        Electrons per unit of the image.
    psf : PsfMap
        Gives the shape at every place; its width in the middle of the image does not matter.

    Returns
    -------
    StarWidth or None
        None if there are fewer than MIN_STARS stars.
    """
    stars = pick_stars(residual, sources, spoilt=spoilt, sigma=sigma, electrons=electrons)
    if stars is None:
        return None
    height, width = residual.shape
    middle = psf.at((width - 1) / 2, (height - 1) / 2)
    first = FWHM_OF_RADIUS * stars.size / middle.fwhm
    factors = np.array(
        [
            _factor(
                residual,
                (x, y),
                stars.reach,
                sigma=sigma,
                electrons=electrons,
                hidden=spoilt,
                psf=psf.at(x, y).scaled(first),
            )
            for x, y in zip(stars.x, stars.y, strict=True)
        ]
    )
    factors = factors[np.isfinite(factors)]
    if len(factors) < MIN_STARS:
        return None
    typical = np.exp(_mode(np.log(factors)))
    factors = factors[np.abs(np.log(factors / typical)) < SAME_SIZE]
    if len(factors) < MIN_STARS:
        return None
    # The standard error of the median of a normal distribution.
    error = np.sqrt(np.pi / 2) * factors.std(ddof=1) / np.sqrt(len(factors))
    factor = float(np.median(factors))
    return StarWidth(middle.scaled(first).scaled(factor), float(error) / factor, len(factors))


def _half_light(
    residual: np.ndarray, sources: np.ndarray, spoilt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flux within four isophotal radii, and the radius of half of it; float64 (source,) each."""
    x, y = sources["x"], sources["y"]
    outer = np.clip(4 * np.sqrt(sources["a"] * sources["b"]), 4, MAX_REACH)
    flux, _, _ = sep.sum_circle(residual, x, y, outer, mask=spoilt)
    radius, _ = sep.flux_radius(residual, x, y, outer, 0.5, normflux=flux, mask=spoilt, subpix=5)
    return flux.astype(float), radius.astype(float)


def _mode(values: np.ndarray) -> float:
    """The half-sample mode: the densest half of the densest half, down to two values."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        widths = values[half - 1 :] - values[: len(values) - half + 1]
        start = int(np.argmin(widths))
        values = values[start : start + half]
    return float(values.mean())


def _lone(
    candidates: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    flux: np.ndarray,
    reach: int,
    spoilt: np.ndarray,
    most: int,
) -> np.ndarray:
    """The brightest candidates without neighbours, inside the image, at most `most`."""
    height, width = spoilt.shape
    places = np.column_stack([x, y])
    tree = KDTree(places)
    kept = []
    for star in candidates[np.argsort(-flux[candidates])]:
        row, column = round(y[star]), round(x[star])
        inside = reach < column < width - reach - 1 and reach < row < height - reach - 1
        if not inside or spoilt[row - 2 : row + 3, column - 2 : column + 3].any():
            continue
        near = tree.query_ball_point(places[star], 2 * reach)
        others = np.maximum(flux[near], 0).sum() - flux[star]
        if others < LONE_SHARE * flux[star]:
            kept.append(star)
        if len(kept) == most:
            break
    return np.array(kept, dtype=int)


def _factor(
    residual: np.ndarray,
    place: tuple[float, float],
    reach: int,
    *,
    sigma: float,
    electrons: float,
    hidden: np.ndarray,
    psf: Psf,
) -> float:
    """Best factor for one star, with position, flux and local sky free; NaN if no fit is found."""
    x, y = place
    column, row = round(x), round(y)
    step_y, step_x = np.indices((2 * reach + 1,) * 2) - reach
    cut = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    use = (np.hypot(step_x, step_y) <= reach) & ~hidden[cut]
    light = residual[cut][use].astype(float)
    step_x, step_y = step_x[use] + column - x, step_y[use] + row - y
    photons = sigma**2 + light.clip(min=0) / electrons
    weight = 1 / np.sqrt(photons + (SHAPE_ERROR * light) ** 2)

    def remainder(guess: np.ndarray) -> np.ndarray:
        scale, at_x, at_y = guess
        profile = psf.scaled(np.exp(scale)).shares(step_x - at_x, step_y - at_y)
        linear = np.column_stack([profile * weight, weight])  # flux and sky: solved for directly
        coefficients, *_ = np.linalg.lstsq(linear, light * weight, rcond=None)
        rest: np.ndarray = light * weight - linear @ coefficients
        return rest

    bounds = ([-0.7, -2, -2], [0.7, 2, 2])
    fit = least_squares(
        remainder, np.zeros(3), bounds=bounds, diff_step=1e-4, x_scale=(0.01, 0.1, 0.1)
    )
    return float(np.exp(fit.x[0])) if fit.success else np.nan
