"""What to believe of what was told of an image, once the image was measured.

Each decision returns what to use and what was done, in words; some add a warning.
"""

from dataclasses import replace

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import PsfMap
from npecat_sim.surveys.inspection.noise import CROWDED_SHARE
from npecat_sim.surveys.inspection.sky import Sky
from npecat_sim.surveys.inspection.stars import MIN_STARS, StarWidth
from npecat_sim.surveys.inspection.told import Told

SKY_LEFT = 0.09
"""Noise sigmas a pixel of sky in an image that was said to have none, from which the user is
warned: 0.1, less the error of the measurement. A tenth adds 8 false rows to 64 and a quarter to the
fluxes of faint sources."""

MAX_SKY_LEFT = 0.4
"""Noise sigmas from which such an image is refused: at -0.48 two fifths of its sources are lost."""

SAME_WIDTH = 0.03
"""Relative difference of the widths of the PSF and of the stars, above which the user is warned."""

FWHM_LIMITS = (0.5, 38.0)
"""Pixels between which the FWHM of a PSF must be. A narrower star lies in one pixel; a wider one
has half of its light outside of the aperture to which fluxes are calibrated."""

TYPICAL_FWHM = 3.5
"""Pixels: FWHM of the PSF that is scaled to the stars where none was told, that of SDSS."""


def decide_sky(
    pixels: np.ndarray,
    sky: Sky,
    *,
    hidden: np.ndarray,
    sigma: float,
    told: Told,
    warnings: list[str],
) -> tuple[np.ndarray, str]:
    """Subtract the sky if it was never said to be gone or if asked, else check that it is gone.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x).
    sky : Sky
        As it was measured.
    hidden : ndarray
        bool (y, x): pixels without data.
    sigma : float
        Noise of a pixel.
    told : Told
        What was told.
    warnings : list of str
        Warnings are appended.

    Returns
    -------
    pixels : ndarray
        float32 (y, x), sky-subtracted.
    words : str
        What was done.

    Raises
    ------
    NpecatError
        If a sky was said to be subtracted and is still there, or the reverse.
    """
    if told.sky is None:
        faintest = np.min(sky.level, where=~hidden, initial=np.inf)
        if not faintest > 0:
            missing = ("sky",) if told.gain is not None else ("sky", "gain")
            raise NpecatError(
                f"{told.name}: the sky that was measured falls to {faintest:.4g} {told.unit}; if "
                f"it was subtracted already, give {' and '.join(missing)}",
                parameters=missing,
            )
        return pixels - sky.level, "subtracted"
    if told.subtract_sky:
        return pixels - sky.level, "the rest, subtracted"
    left = sky.median / sigma
    worst = max(abs(left), sky.gradient / sigma / 2)
    fact = (
        f"a sky of {sky.median:+.4g} {told.unit} ({left:+.2f} noise sigmas a pixel) is left, with "
        f"a change of {sky.gradient:.3g} over the image"
    )
    if abs(left) > MAX_SKY_LEFT and sky.lit.mean() < CROWDED_SHARE:
        raise NpecatError(
            f"{told.name}: {fact}, though {np.median(told.sky):.4g} were said to be subtracted; "
            "have it subtracted, or leave sky out if the image still holds its sky",
            parameters=("subtract_sky", "sky"),
        )
    if worst > SKY_LEFT:
        warnings.append(f"{fact}: fluxes of faint sources err by it; have it subtracted")
    return pixels, "the rest, left in place"


def check_psf(told: Told) -> None:
    """Raise NpecatError if the PSF that was told is far wider or narrower than any of a survey."""
    narrowest, widest = FWHM_LIMITS
    if told.psf is not None and not narrowest <= told.psf.fwhm <= widest:
        raise NpecatError(
            f"{told.name}: its PSF ({told.psf_was}) is {told.psf.fwhm:.4g} pixels wide at half "
            f"maximum; give one between {narrowest:g} and {widest:g}",
            parameters=("fwhm", "psf"),
        )


def decide_psf(width: StarWidth | None, told: Told, warnings: list[str]) -> tuple[Psf, str]:
    """The PSF, as wide as the stars where there are enough of them, and where it comes from.

    Parameters
    ----------
    width : StarWidth or None
        The width of the stars, if it is known.
    told : Told
        What was told.
    warnings : list of str
        A warning is appended if the told PSF is not that of the stars.

    Returns
    -------
    psf : Psf
        The PSF to use.
    words : str
        Where it comes from.

    Raises
    ------
    NpecatError
        If none was told and there are too few stars.
    """
    if width is None:
        if told.psf is None:
            raise NpecatError(
                f"{told.name}: fewer than {MIN_STARS} bright, lone stars tell its PSF; give fwhm "
                "or psf",
                parameters=("fwhm", "psf"),
            )
        return told.psf, f"{told.psf_was}; fewer than {MIN_STARS} bright, lone stars could tell it"
    arcsec = width.psf.fwhm * told.pixel_scale
    measured = f"{width.n_stars} stars are {arcsec:.3f} +- {arcsec * width.error:.3f} arcsec wide"
    if told.psf is None:
        return width.psf, f"that of the stars: {measured}"
    factor = width.psf.fwhm / told.psf.fwhm
    given = f"{told.psf.fwhm * told.pixel_scale:.3f} arcsec, {told.psf_was}"
    is_other = abs(factor - 1) > max(SAME_WIDTH, 3 * width.error)
    if told.trust_psf:
        if is_other:
            warnings.append(f"the PSF is trusted ({given}), though {measured}")
        return told.psf, f"trusted, {told.psf_was}; {measured}"
    if is_other:
        warnings.append(f"the PSF is that of the stars: {measured}, not {given}")
    return width.psf, f"scaled to its stars: {measured}, {factor:.3f} times {given}"


def decide_map(
    psf_map: PsfMap, middle: Psf, width: StarWidth | None, told: Told, warnings: list[str]
) -> tuple[PsfMap, str]:
    """The PSF at every place as it was told, scaled to the stars as decide_psf does.

    Parameters
    ----------
    psf_map : PsfMap
        As it was told.
    middle : Psf
        The PSF of the map in the middle of the image.
    width : StarWidth or None
        The width of the stars there, if it is known.
    told : Told
        What was told.
    warnings : list of str
        A warning is appended if the told PSF is not that of the stars.

    Returns
    -------
    psf_map : PsfMap
        The map to use.
    words : str
        Where it comes from.
    """
    psf, words = decide_psf(width, replace(told, psf=middle), warnings)
    return psf_map.scaled(psf.fwhm / middle.fwhm), words
