"""The telescope and the noise of an image: as a survey allows, or as one's own images have them."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from npecat_sim.fields.images import ImageTable
from npecat_sim.fields.table import FieldTable
from npecat_sim.psf.base import Psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.render.noise import noise_correlation
from npecat_sim.units import flux_of_magnitude
from npecat_sim.wide.chance import log_uniform, uniform
from npecat_sim.wide.conditions import regular_stamp
from npecat_sim.wide.irregular import Irregularity, draw_irregularity
from npecat_sim.wide.sections import SIX_NUMBERS
from npecat_sim.wide.survey import Survey

BETA_STEP = 0.1
"""Steps of the exponent of Moffat profiles: finer ones change a PSF by less than its noise."""

WIDTH_SPREAD = 0.03
"""Standard deviation of the log of the width of a PSF over that of the image that tells it, so that
a network does not know these images alone. A choice."""

CORRELATIONS = (0.05, 1.5)
"""Least and greatest standard deviation, pixels, of the Gaussian that correlates noise as an image
has it; below, noise is white, and above, it would reach farther than it is drawn."""


@dataclass(frozen=True, eq=False)
class Telescope:
    """What makes an image of the sky.

    Parameters
    ----------
    psf : Psf
        The regular part of the PSF.
    irregularity : Irregularity or None
        How it departs from that.
    stamp : ndarray
        float64 (PSF_SIDE, PSF_SIDE), the recorded PSF, irregularity included.
    pixel_scale : float
        Arcsec per pixel.
    """

    psf: Psf
    irregularity: Irregularity | None
    stamp: np.ndarray
    pixel_scale: float


@dataclass(frozen=True)
class Level:
    """The noise of an empty pixel, and the units of an image.

    Parameters
    ----------
    sky : float
        Light of the sky, electrons per pixel.
    read_noise : float
        Electrons per pixel.
    electrons_per_nmgy : float
        Electrons per nanomaggy.
    gain : float
        Electrons per count.
    correlation : float or None
        Standard deviation of the Gaussian that correlates the noise, pixels; None if the image does
        not tell it.
    """

    sky: float
    read_noise: float
    electrons_per_nmgy: float
    gain: float = 1.0
    correlation: float | None = None


def draw_telescope(
    survey: Survey,
    fields: FieldTable,
    generator: np.random.Generator,
    *,
    kernels: np.random.Generator,
) -> Telescope:
    """Draw a telescope that a survey allows.

    Parameters
    ----------
    survey : Survey
        What may be drawn.
    fields : FieldTable
        SDSS's fields, for their PSFs.
    generator, kernels : numpy.random.Generator
        Sources of the random numbers, of all and of the irregularity.

    Returns
    -------
    Telescope
    """
    scale = log_uniform(survey.pixel_scale, generator)
    width = log_uniform(survey.width(scale), generator)
    psf = _psf(survey, fields, width, generator)
    stamp, irregularity = regular_stamp(psf), None
    if generator.random() < survey.psf.irregular and survey.psf.irregularity:
        largest = survey.psf.irregularity
        stamp, irregularity = draw_irregularity(
            psf, stamp, width=width, largest=largest, generator=kernels
        )
    return Telescope(psf, irregularity, stamp, scale)


def _psf(survey: Survey, fields: FieldTable, width: float, generator: np.random.Generator) -> Psf:
    """A PSF whose light, before it meets the pixels, has this FWHM (pixels)."""
    names, shares = list(survey.psf.profile), np.array(list(survey.psf.profile.values()))
    place = np.searchsorted(shares.cumsum() / shares.sum(), generator.random(), side="right")
    profile = names[place]
    if profile == SIX_NUMBERS:
        of_field = fields.psf_of(int(generator.integers(len(fields))))
        return of_field.scaled(width / of_field.fwhm)
    ellipticity = uniform(survey.psf.ellipticity, generator)
    turn = 2 * np.pi * generator.random()  # twice the position angle
    beta = round(uniform(survey.psf.beta, generator) / BETA_STEP) * BETA_STEP
    return ParametricPsf(
        profile,
        width,
        g1=float(ellipticity * np.cos(turn)),
        g2=float(ellipticity * np.sin(turn)),
        beta=float(beta),
    )


def draw_level(survey: Survey, telescope: Telescope, generator: np.random.Generator) -> Level:
    """Draw the noise of an image of a telescope that a survey allows."""
    detector = survey.detector
    read = log_uniform(detector.read_noise, generator)
    if detector.zero_point and detector.gain and survey.sky.brightness:
        gain = log_uniform(detector.gain, generator)
        electrons = gain / flux_of_magnitude(uniform(detector.zero_point, generator))
        brightness = flux_of_magnitude(uniform(survey.sky.brightness, generator))
        return Level(brightness * telescope.pixel_scale**2 * electrons, read, electrons, gain)
    sky = log_uniform(survey.sky.electrons, generator)
    under_psf = log_uniform(survey.sky.depth, generator) * survey.faint_flux
    effective_pixels = 1 / np.sum(telescope.stamp**2)
    electrons = float(np.sqrt((sky + read**2) * effective_pixels)) / under_psf
    return Level(sky, read, electrons)


def draw_image_of(
    images: ImageTable, survey: Survey, generator: np.random.Generator
) -> tuple[Telescope, Level]:
    """Draw telescope and noise as one of one's own images has them.

    Parameters
    ----------
    images : ImageTable
        What was measured in the images.
    survey : Survey
        It tells the counts of saturation and their gain.
    generator : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    telescope : Telescope
        The PSF at a random place of a random image, of a slightly other width.
    level : Level
        That of the image. The read noise is in the sky.
    """
    row = int(generator.integers(len(images)))
    place = int(generator.integers(len(images.psf[row])))
    factor = float(np.exp(WIDTH_SPREAD * generator.standard_normal()))
    psf = images.psf_of(row, place=place).scaled(factor)
    stamp = regular_stamp(psf)
    electrons = float(images.electrons_per_nmgy[row])
    return (
        Telescope(psf, None, stamp, float(images.pixel_scale[row])),
        Level(
            sky=(images.noise(row) * electrons) ** 2,
            read_noise=0.0,
            electrons_per_nmgy=electrons,
            gain=log_uniform(survey.detector.gain, generator) if survey.detector.gain else 1.0,
            correlation=spread_of(stamp, float(images.correlation[row])),
        ),
    )


def spread_of(stamp: np.ndarray, correlation: float) -> float:
    """The Gaussian that correlates noise as much as it was measured.

    Parameters
    ----------
    stamp : ndarray
        float64 (y, x), the PSF at whole pixels.
    correlation : float
        Noise under the PSF over that of white noise.

    Returns
    -------
    float
        Its standard deviation, pixels: 0 for white noise, or one of CORRELATIONS.
    """
    least, most = CORRELATIONS
    if correlation <= noise_correlation(stamp, least):
        return 0.0
    if correlation >= noise_correlation(stamp, most):
        return most
    spread: float = brentq(lambda s: noise_correlation(stamp, s) - correlation, least, most)
    return spread
