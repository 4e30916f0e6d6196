"""The exact posterior of one source of a simulated image, all other sources known.

Nested sampling (Skilling 2006; dynesty, Speagle 2020, arXiv:1904.02180) of the forward model
itself: Table 1's prior of flux, type and shape, and the likelihood of the image's pixels. It takes
seconds per source. It is given the PSF, the sky and the truth about every other source. So,
averaged over the prior, no method that is given the image alone can be better.
"""

from collections.abc import Callable
from dataclasses import dataclass

import dynesty
import numpy as np

from npecat_sim.model.prior import PAPER_PRIOR
from npecat_sim.render import compiled
from npecat_sim.store.reader import Batch
from npecat_sim.units import sky_sigma

PLACE_SPAN = 3.0
"""Pixels: side of the square, around the centre of the source's own pixel, that its position may
take."""

LIVE_POINTS = 150
"""Of the nested sampling of each type."""

EVIDENCE_LEFT = 0.2
"""Sampling ends when the log of the evidence can grow by no more than this."""

N_STAR, N_GALAXY = 3, 9
"""Parameters of a star (x, y and flux) and of a galaxy (six of its shape in addition)."""

FLUX = 2
"""Index of the flux among the parameters."""


@dataclass(frozen=True)
class ExactPosterior:
    """The exact posterior of one source, as weighted draws.

    Parameters
    ----------
    flux : ndarray
        float64 (draw,), nanomaggies.
    weight : ndarray
        float64 (draw,), of the draws; they sum to 1.
    prob_galaxy : float
        Probability that the source is a galaxy.
    """

    flux: np.ndarray
    weight: np.ndarray
    prob_galaxy: float

    def flux_quantile(self, probability: float) -> float:
        """The flux, in nanomaggies, below which the posterior has this probability."""
        order = np.argsort(self.flux)
        reached = int(np.searchsorted(np.cumsum(self.weight[order]), probability))
        return float(self.flux[order[min(reached, len(order) - 1)]])


def exact_posterior(one: Batch, source: int, *, seed: int) -> ExactPosterior:
    """The exact posterior of one source of an image, everything else known.

    Both types are sampled, and weighted by their evidence and the prior's share of galaxies.

    Parameters
    ----------
    one : Batch
        A single image with its true catalog.
    source : int
        Index of the source in that catalog.
    seed : int
        Of the sampling.

    Returns
    -------
    ExactPosterior
    """
    loglikelihood = _loglikelihood(one, source)
    generator = np.random.default_rng(seed)
    log_odds = np.log(PAPER_PRIOR.galaxy_probability) - np.log1p(-PAPER_PRIOR.galaxy_probability)
    fluxes, evidences = [], []  # of stars, then of galaxies
    for law, n_parameters in ((PAPER_PRIOR.star_flux, N_STAR), (PAPER_PRIOR.galaxy_flux, N_GALAXY)):
        sampler = dynesty.NestedSampler(
            loglikelihood,
            lambda uniform: uniform,
            n_parameters,
            nlive=LIVE_POINTS,
            sample="rwalk",
            rstate=generator,
        )
        sampler.run_nested(dlogz=EVIDENCE_LEFT, print_progress=False)
        results = sampler.results
        fluxes.append(law.quantile(results.samples_equal(rstate=generator)[:, FLUX]))
        evidences.append(float(results.logz[-1]))
    prob_galaxy = 1 / (1 + np.exp(np.clip(evidences[0] - evidences[1] - log_odds, -700, 700)))
    shares = 1 - prob_galaxy, prob_galaxy
    weights = [np.full(len(f), share / len(f)) for f, share in zip(fluxes, shares, strict=True)]
    return ExactPosterior(np.concatenate(fluxes), np.concatenate(weights), float(prob_galaxy))


def _loglikelihood(one: Batch, source: int) -> Callable[[np.ndarray], float]:
    """The log-likelihood of the image, up to a constant, as a function of uniform numbers.

    The prior turns N_STAR of them into a star and N_GALAXY into a galaxy.
    """
    electrons = float(one.electrons_per_nmgy[0])
    psf, sky = one.psf_of(0), one.backgrounds[0].astype(np.float64)
    observed = (one.images[0] + sky) * electrons
    noise, size = sky_sigma(sky.mean(), electrons), len(sky)
    sources = one.catalog.sources(0)
    others = {name: np.delete(column, source) for name, column in sources.items()}
    known = sky + compiled.draw_sources(others, psf, size, noise).sum(0, dtype=np.float64)
    corner_x = round(float(sources["x"][source])) - PLACE_SPAN / 2
    corner_y = round(float(sources["y"][source])) - PLACE_SPAN / 2

    def loglikelihood(uniform: np.ndarray) -> float:
        """The log-likelihood at uniform numbers (N_STAR,) or (N_GALAXY,)."""
        is_galaxy = len(uniform) == N_GALAXY
        law = PAPER_PRIOR.galaxy_flux if is_galaxy else PAPER_PRIOR.star_flux
        shape = uniform[N_STAR:] if is_galaxy else np.full(N_GALAXY - N_STAR, 0.5)
        candidate = {
            "x": corner_x + PLACE_SPAN * uniform[:1],
            "y": corner_y + PLACE_SPAN * uniform[1:2],
            "flux": law.quantile(uniform[FLUX : FLUX + 1]),
            "is_galaxy": np.array([is_galaxy]),
            **PAPER_PRIOR.shapes(shape[:, None]),
        }
        light = known + compiled.draw_sources(candidate, psf, size, noise)[0]
        expected = light * electrons
        return -0.5 * float(((observed - expected) ** 2 / expected + np.log(expected)).sum())

    return loglikelihood
