"""What to believe of what was told of an image, once the image was measured.

Each decision returns what to use and what was done, in words; some add a warning.
"""

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.model.psf import Psf
from npecat_sim.surveys.inspection.noise import CROWDED_SHARE, Noise, over_pixels
from npecat_sim.surveys.inspection.sky import Sky
from npecat_sim.surveys.inspection.stars import MIN_STARS, StarWidth
from npecat_sim.surveys.inspection.told import Told

SKY_LEFT = 0.09
"""Noise sigmas a pixel of sky in an image that was said to have none, from which the user is
warned: 0.1, less the error of the measurement. A tenth adds 8 false rows to 64 and a quarter to the
fluxes of faint sources."""

MAX_SKY_LEFT = 0.4
"""Noise sigmas from which such an image is refused: at -0.48 two fifths of its sources are lost."""

NOISE_RATIO = (0.85, 1.25)
"""Measured noise over that which sky and gain explain, outside of which the user is warned."""

MAX_NOISE_RATIO = 5.0
"""A ratio above this, or below its inverse, is refused: the noise is 25 times that of the sky, so
the gain or its unit is wrong, and so would be the noise of all sources. White noise is judged by
that of a pixel, to which structure in the image adds nothing."""

SAME_NOISE = 0.03
"""Relative difference of the measured and the explained noise up to which the explained one, which
knows how the sky varies, is used."""

SAME_WIDTH = 0.03
"""Relative difference of the widths of the PSF and of the stars, above which the user is warned."""

SAME_EXPOSURE = 1.4
"""Factor within which gain times exposure time fits the noise of an image in counts per second."""

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


def decide_gain(sky: Sky, noise: Noise, told: Told) -> tuple[float, str]:
    """The gain as told, or from the noise of the sky, and where it comes from.

    Raises
    ------
    NpecatError
        If neither is known.
    """
    if told.gain is not None:
        return told.gain, told.gain_was
    if told.sky is not None or not sky.median > 0:
        raise NpecatError(
            f"{told.name}: the gain of an image without its sky cannot be measured; give it",
            parameters=("gain",),
        )
    return sky.median / noise.sigma**2, "from the noise of the sky"


def decide_noise(
    explained: np.ndarray, noise: Noise, gain: float, *, told: Told, warnings: list[str]
) -> tuple[np.ndarray, float]:
    """The sky whose photon noise is that of each pixel, and the noise over the explained one.

    Parameters
    ----------
    explained : ndarray
        float32 (y, x): sky whose noise is expected.
    noise : Noise
        As it was measured.
    gain : float
        Electrons per unit.
    told : Told
        What was told.
    warnings : list of str
        A warning is appended if the ratio is outside of NOISE_RATIO.

    Returns
    -------
    background : ndarray
        float32 (y, x).
    ratio : float
        Measured noise over explained noise.

    Raises
    ------
    NpecatError
        If the ratio is far from 1, and not for structure on the scale of stars alone.
    """
    level = float(np.median(explained))
    ratio = noise.sigma / float(np.sqrt(level / gain))
    lowest, highest = NOISE_RATIO
    if not lowest <= ratio <= highest:
        fact = (
            f"its noise under the PSF is {ratio:.3g} times that of a sky of {level:.4g} "
            f"{told.unit} at a gain of {gain:.4g}"
        )
        reasons = _reasons(ratio, level, noise, gain=gain, told=told)
        of_pixel = noise.pixel / noise.sigma * ratio if noise.is_white else ratio
        if not 1 / MAX_NOISE_RATIO < of_pixel < MAX_NOISE_RATIO:
            raise NpecatError(f"{told.name}: {fact}: {reasons}", parameters=("gain", "sky"))
        warnings.append(f"{fact}, and the measured noise is used: {reasons}")
    relative = over_pixels(noise.cells, explained.shape)
    if told.noise is not None:
        relative = relative * told.noise
    scale = 1.0 if abs(ratio - 1) < SAME_NOISE and told.noise is None else ratio
    return (explained * np.float32(scale**2) * relative**2).astype(np.float32), ratio


def _reasons(ratio: float, level: float, noise: Noise, *, gain: float, told: Told) -> str:
    """What may explain a noise that sky and gain do not."""
    fitting = f"a gain of {gain / ratio**2:.4g} would fit"
    _, highest = NOISE_RATIO
    if not noise.is_white:
        return (
            "neighbouring pixels share noise, so the image was resampled; as sky give what was "
            f"subtracted from it; {gain * noise.sigma**2:.4g} {told.unit} would fit"
        )
    if noise.sigma > highest * noise.pixel:
        return (
            f"in a pixel it is {noise.pixel:.4g} {told.unit}, so the image has structure on the "
            "scale of stars, such as fringes or a nebula, which counts as noise"
        )
    if ratio > 1 and told.sky is None and level < noise.sigma:
        return f"its sky may be subtracted already; then give sky as well; or {fitting}"
    if ratio > 1:
        extra = np.sqrt(noise.sigma**2 - level / gain)
        return f"the detector may add {extra:.4g} {told.unit} of read noise, or {fitting}"
    seconds = told.seconds or np.nan
    if 1 / SAME_EXPOSURE < seconds * ratio**2 < SAME_EXPOSURE:
        return (
            f"pixels may be counts per second; then the gain is to be multiplied by the exposure "
            f"time, which makes {gain * seconds:.4g}"
        )
    if told.sky is None:
        pedestal = level - gain * noise.sigma**2
        return (
            f"a bias pedestal of about {pedestal:.4g} {told.unit} may be left in the image, "
            f"pixels may be counts per second, or {fitting}"
        )
    return f"pixels may be counts per second, or {fitting}"
