"""Where a network is not to be trusted: images unlike those that it was trained on."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from npecat_eval.catalog.observe import Observation
from npecat_eval.catalog.population import Population, noise_under_psf
from npecat_sim.errors import NpecatError
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.psf.base import SIGMA_TO_FWHM
from npecat_sim.render.noise import noise_correlation
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.units import PIXEL_SCALE
from npecat_sim.wide.survey import WIDE
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.settings import RunSettings

log = logging.getLogger(__name__)

SCALES = (PIXEL_SCALE / 3, PIXEL_SCALE * 3)
"""Arcsec per pixel outside of which the paper's networks refuse an image. They recognise galaxies
by their size in pixels of 0.396 arcsec; beyond a factor of 3 few look like those of the prior."""

KNOWN_SCALES = (PIXEL_SCALE / 1.1, PIXEL_SCALE * 1.1)
"""Arcsec per pixel between which galaxies differ by less than 10 % from their size in training."""

KNOWN_FWHM = (1.8, 4.3)
"""Pixels: minimum and maximum FWHM of the paper's networks without a warning, about those of prior
``many``; see docs/log.md, checks of survey images."""

MIN_CROWDED = 0.005
"""Share of the image in crowded regions above which the user is warned. A large galaxy, or the halo
of a bright star, makes less of an image of 1,000 x 1,000 pixels."""

PIXEL_FWHM = SIGMA_TO_FWHM / np.sqrt(12)
"""FWHM of a Gaussian as wide as a pixel, by which the pixel widens the light of a star."""

TOLERANCE = 1.02
"""Factor by which a measured quantity may lie outside of a limit for its own error."""


def refuse(image: SurveyImage, settings: RunSettings) -> None:
    """Raise NpecatError if a network cannot make a catalog of an image that is worth anything."""
    low, high = SCALES
    if not settings.is_wide and not low <= image.pixel_scale <= high:
        raise NpecatError(
            f"{image.name}: pixels measure {image.pixel_scale:.3g} arcsec; resample the image to "
            f"{PIXEL_SCALE}, as networks of variant {settings.variant} know galaxies by their size "
            "in such pixels"
        )


def judged(image: SurveyImage, population: Population | None) -> SurveyImage:
    """The image with flags and warnings of what was unlike the training of its network.

    Parameters
    ----------
    image : SurveyImage
        The image, see observe.as_used.
    population : Population or None
        What a network of variant wide was told; None for the paper's networks.

    Returns
    -------
    SurveyImage
        For a network of variant wide CROWDED marks pixels as dense as the greatest density of its
        training, and no others. Warnings are logged, and added to the findings.
    """
    if population is None:
        warnings = list(_of_six_numbers(image))
    else:
        image = replace(image, flags=_crowded(image, population))
        warnings = list(_of_wide(image, population))
    for warning in warnings:
        log.warning("%s: %s", image.name, warning)
    if image.findings is None:
        return image
    findings = replace(image.findings, warnings=(*image.findings.warnings, *warnings))
    return replace(image, findings=findings)


def _of_six_numbers(image: SurveyImage) -> Iterator[str]:
    """What is unlike prior ``many``."""
    low, high = KNOWN_SCALES
    if not low <= image.pixel_scale <= high:
        yield (
            f"pixels of {image.pixel_scale:.3g} arcsec: sizes of galaxies are unlike those in "
            "training"
        )
    narrowest, widest = KNOWN_FWHM
    stars = f"stars {image.psf.fwhm:.3g} pixels wide at half maximum"
    if image.psf.fwhm > widest:
        yield (
            f"{stars}, wider than in training: bin the image 2 x 2, or bright stars will be missed"
        )
    elif image.psf.fwhm < narrowest:
        yield f"{stars}, narrower than in training"
    crowded = image.findings.crowded if image.findings else 0.0
    if crowded > MIN_CROWDED:
        yield (
            f"{crowded:.1%} of the image holds more sources, or more light of theirs, than images "
            "in training; rows there bear the flag CROWDED"
        )


def _of_wide(image: SurveyImage, population: Population) -> Iterator[str]:
    """What is outside of prior ``wide``."""
    stamp = image.psf.stamp(PSF_SIDE)
    depth = noise_under_psf(image) / population.faint_flux
    correlation = Observation(image, population).noise_correlation
    most_correlated = noise_correlation(stamp, WIDE.sky.correlation[1])
    narrowest, widest = [float(np.hypot(width, PIXEL_FWHM)) for width in WIDE.psf.width]
    for what, value, (low, high) in (
        ("pixels of {:.3g} arcsec", image.pixel_scale, WIDE.pixel_scale),
        ("stars {:.3g} pixels wide at half maximum", image.psf.fwhm, (narrowest, widest)),
        ("stars with an ellipticity of {:.2f}", ellipticity(stamp), WIDE.psf.ellipticity),
        ("a noise under the PSF of {:.3g} times the faintest source", depth, WIDE.sky.depth),
        (
            "correlated noise, under the PSF {:.3g} times that of its pixels",
            correlation,
            (1.0, most_correlated),
        ),
    ):
        if not low / TOLERANCE <= value <= high * TOLERANCE:
            yield (
                f"{what.format(value)}; training held {low:.3g} to {high:.3g}, and the catalog "
                "is not to be trusted"
            )
    crowded = float(((image.flags & int(PixelFlag.CROWDED)) != 0).mean())
    if crowded > MIN_CROWDED:
        yield (
            f"{crowded:.1%} of the image holds {WIDE.sources.density[1]:g} sources a pixel or "
            "more, the most in training; rows there bear the flag CROWDED"
        )


def _crowded(image: SurveyImage, population: Population) -> np.ndarray:
    """Flags in which CROWDED marks pixels as dense as the densest images in training."""
    dense = population.density >= np.float32(WIDE.sources.density[1])
    height, width = image.flags.shape
    at_pixels = dense.repeat(TILE_SIZE, axis=0).repeat(TILE_SIZE, axis=1)[:height, :width]
    at_pixels &= (image.flags & int(PixelFlag.NO_DATA)) == 0
    others = image.flags & np.uint8(255 - int(PixelFlag.CROWDED))
    flags: np.ndarray = others | at_pixels * np.uint8(PixelFlag.CROWDED)
    return flags


def ellipticity(stamp: np.ndarray) -> float:
    """Ellipticity (a - b) / (a + b) of a PSF, from second moments weighted with itself.

    Parameters
    ----------
    stamp : ndarray
        float64 (side, side), the PSF with the star on the middle pixel.

    Returns
    -------
    float
    """
    offset = np.arange(len(stamp)) - (len(stamp) - 1) / 2
    place = offset + 1j * offset[:, None]
    weight = stamp**2
    distortion = abs(np.sum(weight * place**2)) / np.sum(weight * np.abs(place) ** 2)
    return float(distortion / (1 + np.sqrt(1 - distortion**2)))
