"""The PSF of an image from its own stars, and how it varies over the image.

A Moffat profile is fitted to the brightest stars. Where there are enough, photutils builds the
effective PSF (Anderson & King 2000) of all of them; the Moffat profile stands for its wings, which
stars of an image do not tell. Then the width and the ellipticity of each star against this PSF are
fitted by polynomials of the place, of the degree that predicts stars best that it has not seen.
See docs/log.md, PSF of an image's own stars.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.varying import ConstantMap, PolynomialMap, PsfMap
from npecat_sim.surveys.inspection.stars import Stars
from npecat_sim.surveys.star_shapes import (
    FIRST_WIDTH,
    KERNEL,
    STEPS,
    StarStamp,
    change_with,
    fit_moffat,
    fit_shapes,
    star_stamp,
)

MAX_STARS = 200
"""Maximum number of stars, the brightest: they tell the PSF to 0.5 % of its peak, in 2 to 5 s."""

MIN_EPSF_STARS = 8
"""Minimum number of stars whose pixels tell the shape; fewer tell a Moffat profile."""

N_MOFFAT = 20
"""Number of stars, the brightest, to which the Moffat profile is fitted."""

OVERSAMPLED_FWHM, OVERSAMPLING = 3.0, 2
"""FWHM, pixels, below which stars are too narrow for one sample per pixel, and samples per pixel
that suffice for one of 1.6 pixels."""

WING_FWHM = (2.0, 2.5)
"""FWHM between which the profile passes from that of the pixels to the Moffat wing."""

SIDE_FWHM = 6.0
"""Half side of the samples in FWHM: of a Moffat profile of beta 2.5, 0.3 % lies outside."""

MAX_HALF_SIDE = 60
"""Maximum of it, pixels."""

STARS_OF_DEGREE = {1: 12, 2: 30}
"""Degree of a polynomial of the place -> minimum number of stars."""

MIN_GAIN = 0.9
"""A polynomial must leave less than this share of the squared errors of that of the next lower
degree, of stars that it has not seen."""

N_BUILDS = 3
"""Maximum iterations of the effective PSF, whose stars are at their places already."""


@dataclass(frozen=True)
class PsfOfStars:
    """The PSF of an image from its own stars.

    Parameters
    ----------
    psf_map : PsfMap
        The PSF at every place.
    words : str
        What it was made of.
    """

    psf_map: PsfMap
    words: str


def psf_of_stars(
    residual: np.ndarray,
    stars: Stars,
    *,
    spoilt: np.ndarray,
    sigma: float,
    electrons: float,
) -> PsfOfStars | None:
    """Measure the PSF of an image.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    stars : Stars
        From inspection.stars.pick_stars.
    spoilt : ndarray
        bool (y, x): pixels that are not used, such as saturated ones.
    sigma : float
        Noise of a pixel of blank sky.
    electrons : float
        Electrons per unit of the image.

    Returns
    -------
    PsfOfStars or None
        None if no star can be fitted.
    """
    guess = ParametricPsf("moffat", FIRST_WIDTH * stars.size)
    stamps = [
        star_stamp(
            residual, place, flux, guess, reach=stars.reach, spoilt=spoilt, noise=(sigma, electrons)
        )
        for *place, flux in zip(stars.x, stars.y, stars.flux, strict=True)
    ]
    fits = [fit_moffat(stamp, guess) for stamp in stamps[:N_MOFFAT]]
    found = np.array([fit for fit in fits if fit is not None])
    if len(found) == 0:
        return None
    width, beta, g1, g2 = np.median(found, axis=0)
    moffat = ParametricPsf("moffat", width, g1, g2, beta)
    only = PsfOfStars(ConstantMap(moffat), f"a Moffat profile from {len(found)} stars of the image")
    if len(stamps) < MIN_EPSF_STARS:
        return only
    factor = OVERSAMPLING if moffat.fwhm < OVERSAMPLED_FWHM else 1
    half_side = min(int(np.ceil(SIDE_FWHM * moffat.fwhm)), MAX_HALF_SIDE) * factor
    offset = np.arange(-half_side, half_side + 1) / factor
    x, y = np.meshgrid(offset, offset)
    profile, changes = moffat.shares(x, y), [change_with(moffat, name, x, y) for name in STEPS]
    step = 1 / factor
    stamps, _, kept = fit_shapes(stamps, np.array([profile, *changes]), step)
    if len(stamps) < MIN_EPSF_STARS:
        return only
    samples = _effective_psf(stamps, profile, np.hypot(x, y) / moffat.fwhm, factor=factor)
    places = np.column_stack([stars.x, stars.y])[kept]
    stamps, shapes, good = fit_shapes(stamps, np.array([samples, *changes]), step)
    centre, half = np.array(residual.shape[::-1]) / 2 - 0.5, np.array(residual.shape[::-1]) / 2
    powers, weights = _polynomial((places[good] - centre) / half, shapes)
    images = np.tensordot(weights, np.array(changes), 1)
    images[0] += samples
    if len(powers) == 1:
        psf_map: PsfMap = ConstantMap(SampledPsf(images[0], step))
    else:
        psf_map = PolynomialMap(
            images,
            powers,
            zero=(centre[0], centre[1]),
            scale=(half[0], half[1]),
            step=step,
            interpolant=KERNEL,
        )
    degree = int(powers.sum(axis=1).max())
    how = f"with a polynomial of degree {degree}" if degree else "the same everywhere"
    return PsfOfStars(psf_map, f"from {len(stamps)} stars of the image, {how}")


def _effective_psf(
    stamps: list[StarStamp], profile: np.ndarray, radius: np.ndarray, *, factor: int
) -> np.ndarray:
    """The effective PSF with the wings of a Moffat profile.

    Parameters
    ----------
    stamps : list of StarStamp
        Stars of flux 1, without sky.
    profile : ndarray
        float64 (row, column): samples of the Moffat profile.
    radius : ndarray
        float64 (row, column): distances from the star in FWHM.
    factor : int
        Samples per pixel.

    Returns
    -------
    ndarray
        float64 (row, column).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from photutils.psf import EPSFBuilder, EPSFStar, EPSFStars  # takes a second

        middle = stamps[0].light.shape[0] // 2
        stars = [
            EPSFStar(
                stamp.light,
                weights=stamp.use / stamp.error,
                cutout_center=(middle + stamp.x, middle + stamp.y),
                flux=1.0,
            )
            for stamp in stamps
        ]
        build = EPSFBuilder(
            oversampling=factor,
            smoothing_kernel="quartic" if factor > 1 else None,
            maxiters=N_BUILDS,
            progress_bar=False,
        )
        built = np.asarray(build(EPSFStars(stars)).epsf.data, dtype=np.float64)
    half, half_built = profile.shape[0] // 2, built.shape[0] // 2
    core, least = np.zeros_like(profile), min(half, half_built)
    core[half - least : half + least + 1, half - least : half + least + 1] = built[
        half_built - least : half_built + least + 1, half_built - least : half_built + least + 1
    ]
    inner, outer = WING_FWHM
    inside = np.clip((outer - radius) / (outer - inner), 0, 1)
    core *= (inside * profile).sum() / (inside * core).sum()
    whole: np.ndarray = inside * core + (1 - inside) * profile
    return whole


def _polynomial(places: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Powers (term, 2) and coefficients (term, 3) of the polynomial that predicts shapes best."""
    best_powers = np.zeros((1, 2), int)
    best = shapes.mean(axis=0, keepdims=True)
    n = len(shapes)
    least = _missed(shapes - best, np.full(n, 1 / n))
    for degree, fewest in STARS_OF_DEGREE.items():
        if n < fewest:
            break
        powers = np.array([(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)])
        terms = (places[:, None] ** powers).prod(axis=2)
        inverse = np.linalg.pinv(terms)
        weights = inverse @ shapes
        missed = _missed(shapes - terms @ weights, (terms * inverse.T).sum(axis=1))
        if missed < MIN_GAIN * least:
            best_powers, best, least = powers, weights, missed
    return best_powers, best


def _missed(rest: np.ndarray, leverage: np.ndarray) -> float:
    """Mean squared error of the predictions of each star from all others."""
    return float(np.mean((rest / (1 - leverage)[:, None]) ** 2))
