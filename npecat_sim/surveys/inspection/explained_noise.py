"""The noise that was measured, beside the noise that sky and gain explain.

The measured one is used; what may be wrong with sky or gain is told.
"""

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.inspection.noise import Noise, over_pixels
from npecat_sim.surveys.inspection.sky import Sky
from npecat_sim.surveys.inspection.told import Told

NOISE_RATIO = (0.85, 1.25)
"""Measured noise over that which sky and gain explain, outside of which the user is warned."""

MAX_NOISE_RATIO = 5.0
"""A ratio above this, or below its inverse, is refused: the noise is 25 times that of the sky, so
the gain or its unit is wrong, and so would be the noise of all sources. White noise is judged by
that of a pixel, to which structure in the image adds nothing."""

SAME_NOISE = 0.03
"""Relative difference of the measured and the explained noise up to which the explained one, which
knows how the sky varies, is used."""

SAME_EXPOSURE = 1.4
"""Factor within which gain times exposure time fits the noise of an image in counts per second."""


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
