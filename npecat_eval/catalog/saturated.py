"""A row for every saturated star, its flux fitted to the pixels around its core.

A network reads a flat top as no star at all, or as a fainter one. So what it lists there is
replaced: adjacent saturated pixels are one star, whose position, flux and local sky are fitted with
the PSF to the unsaturated pixels around them, with less weight for those that fit badly. The wings
of a PSF are known less well than its core, which the stated error allows for. Where no fit is found
the flux is NaN; so it is where the fitted star has less light than its core holds at least.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    center_of_mass,
    distance_transform_edt,
    find_objects,
    label,
)
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.samples import CatalogDraws
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.inspection.noise import SIGMA_OF_MAD

MIN_PIXELS = 4
"""Minimum number of adjacent saturated pixels of a star; fewer are hot pixels."""

JOIN = 2
"""Pixels: saturated pixels at most twice as far apart are of one star."""

RING_FWHM, MIN_RING = 3.0, 8
"""Width of the ring of pixels around the core that is fitted, in FWHM, and at least in pixels."""

WING_ERROR = 0.1
"""Assumed error of the PSF model in a pixel of its wings, as a share of the light there."""

FLUX_ERROR = 0.3
"""Assumed relative error of a flux from the wings alone, besides that of the fit. Where the PSF is
a typical one of SDSS and the true one a Moffat profile whose beta is 2.5 or 3, fluxes are 40 % too
low to 40 % too high. The wings of other profiles fit badly, and the error grows with the misfit: at
a beta of 4.5, where the flux of a star of r = 10 is a fifth of the true one, it is doubled."""

DEEP = 0.8
"""Pixels of a core that lie deeper in it than this share of its depth are its middle; a trail of
bleeding charge is less deep."""

MIN_FIT_PIXELS = 30
"""Minimum number of pixels to fit."""

MAX_SHIFT = 0.5
"""Maximum distance of the fitted position from the middle of the core, in radii of the core."""

SPOILT = PixelFlag.NO_DATA | PixelFlag.SATURATED | PixelFlag.COSMIC_RAY | PixelFlag.INTERPOLATED
"""Pixels with one of these flags are not fitted."""

MAX_HALO_FWHM = 10
"""Width of the largest halo around a core, in FWHM."""

MAX_FIT = 40_000
"""Maximum number of pixels that are fitted, thinned out evenly where there are more."""


@dataclass(frozen=True)
class SaturatedStars:
    """Saturated stars of an image.

    Parameters
    ----------
    x, y : ndarray
        float64 (star,), 0-indexed pixels.
    place_sigma : ndarray
        float64 (star,): standard deviation of x and of y, pixels.
    radius : ndarray
        float64 (star,): of the largest circle within the saturated core, pixels.
    flux : ndarray
        float64 (star,), nanomaggies; NaN where no fit was found.
    log_flux_sigma : ndarray
        float64 (star,): standard deviation of the natural logarithm of the flux.
    pixels : ndarray
        int64 (pixel, 2): x and y of the saturated pixels of all stars.
    """

    x: np.ndarray
    y: np.ndarray
    place_sigma: np.ndarray
    radius: np.ndarray
    flux: np.ndarray
    log_flux_sigma: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, image: SurveyImage) -> "SaturatedStars":
        """Find and measure the saturated stars of an image."""
        saturated = (image.flags & int(PixelFlag.SATURATED)) != 0
        joined, _ = label(
            binary_dilation(saturated, iterations=JOIN) if saturated.any() else saturated
        )
        rows, pixels = [], [np.zeros((0, 2), np.int64)]
        for number, box in enumerate(find_objects(joined), start=1):
            core = (joined[box] == number) & saturated[box]
            if core.sum() >= MIN_PIXELS:
                rows.append(_measured(image, core, box))
                pixels.append(np.argwhere(core)[:, ::-1] + (box[1].start, box[0].start))
        x, y, place_sigma, radius, flux, spread = np.array(rows, np.float64).reshape(-1, 6).T
        return cls(x, y, place_sigma, radius, flux, spread, np.concatenate(pixels))

    def __len__(self) -> int:
        return len(self.x)

    def own(self, x: np.ndarray, y: np.ndarray, *, fwhm: float) -> np.ndarray:
        """Whether a place lies within an FWHM of a saturated pixel of a star: bool (place,)."""
        if len(self) == 0 or len(x) == 0:
            return np.zeros(len(x), bool)
        distance, _ = KDTree(self.pixels).query(np.column_stack([x, y]))
        inside: np.ndarray = distance < fwhm
        return inside

    def draws(self, n: int, *, seed: int, first_row: int) -> CatalogDraws:
        """Draw every star n times; `first_row` is the row of the first one in the catalog."""
        generator = np.random.default_rng(seed)
        noise = generator.standard_normal((3, n, len(self)))
        draw, source = np.indices((n, len(self)))
        return CatalogDraws(
            draw=draw.ravel(),
            source=source.ravel() + first_row,
            x=(self.x + noise[0] * self.place_sigma).ravel(),
            y=(self.y + noise[1] * self.place_sigma).ravel(),
            flux=(self.flux * np.exp(noise[2] * self.log_flux_sigma)).ravel(),
            is_galaxy=np.zeros(n * len(self), bool),
        )

    def detections(self) -> Detections:
        """The stars with a flux, for pictures and models of the image."""
        known = np.isfinite(self.flux)
        one = np.ones(known.sum())
        return Detections(
            image=np.zeros(known.sum(), int),
            x=self.x[known],
            y=self.y[known],
            flux=self.flux[known],
            prob_source=one,
            prob_located=one,
            prob_galaxy=0 * one,
        )


def with_halos(image: SurveyImage, stars: SaturatedStars) -> SurveyImage:
    """The image with HALO set where a saturated star is brighter than the noise of the sky.

    A star without a flux is given twice the radius of its core, and an FWHM more.
    """
    flags = image.flags.copy()
    for x, y, radius, flux in zip(stars.x, stars.y, stars.radius, stars.flux, strict=True):
        reach = int(radius + MAX_HALO_FWHM * image.psf.fwhm)
        top, left = max(round(y) - reach, 0), max(round(x) - reach, 0)
        cut = np.s_[top : round(y) + reach + 1, left : round(x) + reach + 1]
        rows, columns = np.indices(flags[cut].shape)
        from_x, from_y = columns + left - x, rows + top - y
        if np.isfinite(flux):
            bright = flux * image.psf.shares(from_x, from_y) > image.sky_sigma
        else:
            bright = np.hypot(from_x, from_y) < 2 * radius + image.psf.fwhm
        flags[cut][bright] |= int(PixelFlag.HALO)
    return replace(image, flags=flags)


def _measured(image: SurveyImage, core: np.ndarray, box: tuple[slice, slice]) -> tuple[float, ...]:
    """The columns of SaturatedStars for one core, bool (y, x) in its box."""
    # Depth tells the star's own core from a trail of bleeding charge.
    depth = distance_transform_edt(np.pad(core, 1))[1:-1, 1:-1]
    radius = float(depth.max())
    y0, x0 = center_of_mass(depth > DEEP * radius)
    rows, columns = np.nonzero(core)
    from_middle = np.hypot(columns - x0, rows - y0)
    x, y = x0 + box[1].start, y0 + box[0].start
    failed = (x, y, from_middle.max() / 2, radius, np.nan, np.nan)
    reach = int(np.ceil(radius + max(RING_FWHM * image.psf.fwhm, MIN_RING)))
    height, width = image.flags.shape
    top, left = max(round(y) - reach, 0), max(round(x) - reach, 0)
    cut = np.s_[top : min(round(y) + reach + 1, height), left : min(round(x) + reach + 1, width)]
    at_y, at_x = np.nonzero(_usable(image.flags[cut]))
    step = -(-len(at_y) // MAX_FIT)
    at_y, at_x = at_y[::step] + top, at_x[::step] + left
    near = np.hypot(at_x - x, at_y - y) <= reach
    at_y, at_x = at_y[near], at_x[near]
    if len(at_y) < MIN_FIT_PIXELS:
        return failed
    light = image.image[at_y, at_x].astype(float)
    photons = (image.background[at_y, at_x] + light.clip(min=0)) / image.electrons_per_nmgy
    weight = 1 / np.sqrt(photons + (WING_ERROR * light.clip(min=0)) ** 2)
    start = np.array([x, y, max(float(light.clip(min=0).sum()), 1e-6)])

    def residual(guess: np.ndarray) -> np.ndarray:
        at, to, log_flux, sky = guess
        model = np.exp(log_flux) * image.psf.shares(at_x - at, at_y - to) + sky
        rest: np.ndarray = (light - model) * weight
        return rest

    shift = max(MAX_SHIFT * radius, 1.0)
    first = np.array([start[0], start[1], np.log(start[2]), 0.0])
    spread = 20 * image.sky_sigma
    bounds = (
        [x - shift, y - shift, first[2] - 5, -spread],
        [x + shift, y + shift, first[2] + 12, spread],
    )
    fit = least_squares(
        residual, first, bounds=bounds, loss="soft_l1", x_scale=(0.1, 0.1, 0.1, image.sky_sigma)
    )
    at, to, log_flux, _ = fit.x
    information = fit.jac.T @ fit.jac
    if not fit.success or np.linalg.cond(information) > 1e16 or fit.active_mask[:3].any():
        return failed
    error = np.sqrt(np.diag(np.linalg.inv(information)))
    flux = float(np.exp(log_flux))
    if flux * (1 + FLUX_ERROR) < image.image[box][core][from_middle <= radius].sum():
        return failed
    misfit = max(float(np.median(np.abs(residual(fit.x)))) * SIGMA_OF_MAD, 1.0)
    place_sigma = float(np.hypot(*error[:2]) / np.sqrt(2))
    log_flux_sigma = float(np.hypot(error[2], FLUX_ERROR)) * misfit
    return at, to, place_sigma * misfit, radius, flux, log_flux_sigma


def _usable(flags: np.ndarray) -> np.ndarray:
    """Pixels without flags that are not next to a saturated one, into which charge may have run."""
    bad = (flags & SPOILT) != 0
    grown = binary_dilation((flags & int(PixelFlag.SATURATED)) != 0)
    usable: np.ndarray = ~(bad | grown)
    return usable
