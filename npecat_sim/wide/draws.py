"""Draw the conditions of an image of prior ``wide``: telescope, sky, density, what goes wrong."""

from dataclasses import replace

import numpy as np

from npecat_sim.fields.images import Fields, ImageTable
from npecat_sim.fields.table import FieldTable
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR, CatalogPrior
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.units import PIXEL_SCALE, flux_of_magnitude
from npecat_sim.wide.chance import gradient, half_plane, log_uniform, uniform
from npecat_sim.wide.conditions import BrightStar, Conditions, regular_stamp
from npecat_sim.wide.sections import MAX_DENSITY, Artifacts
from npecat_sim.wide.survey import Survey
from npecat_sim.wide.telescope import (
    Level,
    Telescope,
    draw_image_of,
    draw_level,
    draw_telescope,
)

SDSS_SPREAD = 0.3
"""Standard deviation of the log of the density of images as of prior ``many``, so that a network is
not tuned to the paper's density alone."""

SDSS_STAR_SPREAD = 0.1
"""Standard deviation of their star share."""

SDSS_FLAWED = 0.3
"""Share of them that have cosmic rays, bad pixels and saturation; prior ``many`` has none."""

STEP = (1.2, 2.5)
"""Ratio of the noise on both sides of an edge: 1.4 to 6 times the exposures."""

SATURATING = (30.0, 3000.0)
"""Faintest star that saturates, in units of the faintest source: magnitudes 19.3 to 14.3 where that
is of 23.0. SDSS saturates at 14 (Gunn et al. 1998), larger telescopes earlier."""

BRIGHT_MAGNITUDES = (8.0, 14.0)
"""Magnitudes of very bright stars where the faintest source has the paper's faint end."""

BRIGHT_REACH = 150
"""Pixels beyond the image within which there may be one."""

HALO_SHARE = (0.01, 0.05)
"""Share of the light of a bright star that is in its halo, see image.halo. Scattered light beyond
the wings of a PSF is a few per cent (King 1971, PASP 83, 199; Sandin 2014, A&A 567, A97)."""


def draw_conditions(
    survey: Survey, fields: Fields, seed: int, *, split: str, index: int
) -> Conditions:
    """Draw the conditions of an image.

    Parameters
    ----------
    survey : Survey
        What may be drawn.
    fields : FieldTable or ImageTable
        SDSS's fields, for images and PSFs as of prior ``many``; or one's own images, whose PSF,
        pixels, gain and noise are drawn instead of those of the survey.
    seed : int
        Seed of the store.
    split : str
        One of streams.SPLITS.
    index : int
        Index of the image in the split.

    Returns
    -------
    Conditions
        They depend on nothing else.
    """
    generator = stream(seed, split, index=index, purpose=Purpose.CONDITIONS)
    if isinstance(fields, ImageTable):
        return _of_images(survey, fields, generator)
    if generator.random() < survey.sdss_share:
        return _as_many(survey, fields, generator)
    kernels = stream(seed, split, index=index, purpose=Purpose.PSF_KERNEL)
    telescope = draw_telescope(survey, fields, generator, kernels=kernels)
    prior = _population(survey, survey.catalog_prior, telescope.pixel_scale, generator)
    level = draw_level(survey, telescope, generator)
    return _conditions(survey, prior, telescope, level, generator)


def _of_images(survey: Survey, images: ImageTable, generator: np.random.Generator) -> Conditions:
    """Conditions as of one's own images, with sources and defects that the survey allows."""
    telescope, level = draw_image_of(images, survey, generator)
    laws = survey.catalog_prior
    if survey.sources.faint_magnitude is None:
        stamp, noise = telescope.stamp, np.sqrt(level.sky) / level.electrons_per_nmgy
        under_psf = float(noise / np.sqrt(np.sum(stamp**2)))
        laws = survey.catalog_prior_to(under_psf / log_uniform(survey.sky.depth, generator))
    prior = _population(survey, laws, telescope.pixel_scale, generator)
    return _conditions(survey, prior, telescope, level, generator)


def _as_many(survey: Survey, fields: FieldTable, generator: np.random.Generator) -> Conditions:
    """Conditions as of prior ``many``."""
    row = int(generator.integers(len(fields)))
    electrons = float(fields.electrons_per_nmgy[row])
    background = fields.background(row, IMAGE_SIZE, generator=generator).astype(np.float64)
    density = PAPER_PRIOR.density * np.exp(SDSS_SPREAD * generator.standard_normal())
    galaxies = PAPER_PRIOR.galaxy_probability + SDSS_STAR_SPREAD * generator.standard_normal()
    prior = replace(
        PAPER_PRIOR,
        density=float(min(density, MAX_DENSITY)),
        galaxy_probability=float(np.clip(galaxies, 0, 1)),
    )
    psf = fields.psf_of(row)
    stamp = regular_stamp(psf)
    flawed = generator.random() < SDSS_FLAWED
    saturation = _saturation(prior, electrons * float(stamp.max()), generator)
    return Conditions(
        psf=psf,
        irregularity=None,
        stamp=stamp,
        pixel_scale=PIXEL_SCALE,
        catalog_prior=prior,
        electrons_per_nmgy=electrons,
        variance=background * electrons,
        sky=float(background.mean()) * electrons,
        sky_error=np.zeros((IMAGE_SIZE, IMAGE_SIZE)),
        correlation=0.0,
        saturation=saturation if flawed else np.inf,
        bright_star=None,
        artifacts=survey.artifacts if flawed else NO_ARTIFACTS,
    )


NO_ARTIFACTS = Artifacts((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 0.0, 0.0)
"""Rates of an image without defects."""


def _population(
    survey: Survey, laws: CatalogPrior, pixel_scale: float, generator: np.random.Generator
) -> CatalogPrior:
    """Laws of flux and size with a density and a star share that the survey allows."""
    only_stars = generator.random() < survey.sources.only_stars
    stars = uniform(survey.sources.star_share, generator)
    return replace(
        laws,
        density=log_uniform(survey.density(pixel_scale), generator),
        galaxy_probability=0.0 if only_stars else 1 - stars,
    )


def _conditions(
    survey: Survey,
    prior: CatalogPrior,
    telescope: Telescope,
    level: Level,
    generator: np.random.Generator,
) -> Conditions:
    """Conditions of a telescope, with errors and defects that the survey allows."""
    sky, electrons = level.sky, level.electrons_per_nmgy
    slope = gradient(generator) * uniform(survey.sky.slope, generator)
    variance = sky * (1 + slope) + level.read_noise**2
    if generator.random() < survey.sky.steps:
        ratio = log_uniform(STEP, generator)
        variance = np.where(half_plane(generator, IMAGE_SIZE / 2), variance * ratio**2, variance)
    sigma = np.sqrt(sky + level.read_noise**2) / electrons
    error = survey.sky.error * sigma * generator.standard_normal(2)
    sky_error = error[0] + error[1] * gradient(generator)
    correlated = generator.random() < survey.sky.correlated
    correlation = log_uniform(survey.sky.correlation, generator)
    if level.correlation is not None:
        correlated, correlation = True, level.correlation
    bright = generator.random() < survey.artifacts.bright_stars
    star = _bright_star(prior, generator)
    if survey.detector.saturation:
        saturation = log_uniform(survey.detector.saturation, generator) * level.gain
    else:
        saturates = generator.random() < survey.artifacts.saturated or bright
        saturation = sky + _saturation(prior, electrons * float(telescope.stamp.max()), generator)
        saturation = saturation if saturates else np.inf
    return Conditions(
        psf=telescope.psf,
        irregularity=telescope.irregularity,
        stamp=telescope.stamp,
        pixel_scale=telescope.pixel_scale,
        catalog_prior=prior,
        electrons_per_nmgy=electrons,
        variance=variance,
        sky=sky,
        sky_error=sky_error,
        correlation=correlation if correlated else 0.0,
        saturation=saturation,
        bright_star=star if bright else None,
        artifacts=survey.artifacts,
    )


def _saturation(prior: CatalogPrior, peak: float, generator: np.random.Generator) -> float:
    """Electrons, without the sky, above which a pixel is saturated; peak: that of one nanomaggy."""
    faint_flux = prior.star_flux.loc + prior.star_flux.scale
    return log_uniform(SATURATING, generator) * faint_flux * peak


def _bright_star(prior: CatalogPrior, generator: np.random.Generator) -> BrightStar:
    """A very bright star in or near an image with this prior."""
    reach = BRIGHT_REACH * generator.random()
    x, y = generator.uniform(-0.5 - reach, IMAGE_SIZE - 0.5 + reach, size=2)
    paper = PAPER_PRIOR.star_flux
    flux = float(flux_of_magnitude(generator.uniform(*BRIGHT_MAGNITUDES)))
    flux *= (prior.star_flux.loc + prior.star_flux.scale) / (paper.loc + paper.scale)
    share = generator.uniform(*HALO_SHARE)
    return BrightStar(float(x), float(y), flux * (1 - share), flux * share)
