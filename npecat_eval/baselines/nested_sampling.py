"""The exact posterior of one source of a simulated image, all other sources known.

Nested sampling (Skilling 2006; dynesty, Speagle 2020, arXiv:1904.02180) of the forward model
itself: Table 1's prior of flux, type and shape, and the likelihood of the image's pixels. It takes
seconds a source, and it is told all but that source: PSF, sky and every neighbour. So on average
over the prior nothing that sees the image alone can know more.
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
"""Pixels along each side of the square, around the centre of the source's own pixel, in which its
place is sought."""

LIVE_POINTS = 150
EVIDENCE_LEFT = 0.2
"""Sampling ends when the log of the evidence can grow by no more than this."""

N_STAR, N_GALAXY = 3, 9
"""Parameters: place (two) and flux; and the six of a galaxy's shape."""


@dataclass(frozen=True)
class ExactPosterior:
    """flux: float64 (draw,), nanomaggies, with weight (draw,), which sum to 1.

    prob_galaxy: of the source.
    """

    flux: np.ndarray
    weight: np.ndarray
    prob_galaxy: float

    def flux_quantile(self, probability: float) -> float:
        """Nanomaggies."""
        order = np.argsort(self.flux)
        reached = int(np.searchsorted(np.cumsum(self.weight[order]), probability))
        return float(self.flux[order[min(reached, len(order) - 1)]])


def exact_posterior(one: Batch, source: int, seed: int) -> ExactPosterior:
    """Of source number ``source`` of the catalog of a batch of one image.

    Both types are sampled, and weighted by their evidence and the prior's share of galaxies.
    """
    loglikelihood = _loglikelihood(one, source)
    generator = np.random.default_rng(seed)
    log_odds = np.log(PAPER_PRIOR.galaxy_probability) - np.log1p(-PAPER_PRIOR.galaxy_probability)
    fluxes, evidences = [], []
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
        fluxes.append(law.quantile(results.samples_equal(rstate=generator)[:, 2]))
        evidences.append(float(results.logz[-1]))
    prob_galaxy = 1 / (1 + np.exp(np.clip(evidences[0] - evidences[1] - log_odds, -700, 700)))
    shares = 1 - prob_galaxy, prob_galaxy
    weights = [np.full(len(f), share / len(f)) for f, share in zip(fluxes, shares, strict=True)]
    return ExactPosterior(np.concatenate(fluxes), np.concatenate(weights), float(prob_galaxy))


def _loglikelihood(one: Batch, source: int) -> Callable[[np.ndarray], float]:
    """Of uniforms (N_STAR,) or (N_GALAXY,), which the prior turns into a star or a galaxy."""
    electrons = float(one.electrons_per_nmgy[0])
    psf, sky = one.psf_of(0), one.backgrounds[0].astype(np.float64)
    observed = (one.images[0] + sky) * electrons
    noise, size = sky_sigma(sky.mean(), electrons), len(sky)
    sources = one.catalog.sources(0)
    others = {name: np.delete(column, source) for name, column in sources.items()}
    known = sky + compiled.draw_sources(others, psf, size, noise).sum(0, dtype=np.float64)
    corner_x, corner_y = (round(float(sources[axis][source])) - PLACE_SPAN / 2 for axis in "xy")

    def loglikelihood(uniform: np.ndarray) -> float:
        is_galaxy = len(uniform) == N_GALAXY
        law = PAPER_PRIOR.galaxy_flux if is_galaxy else PAPER_PRIOR.star_flux
        shape = uniform[N_STAR:] if is_galaxy else np.full(N_GALAXY - N_STAR, 0.5)
        candidate = {
            "x": corner_x + PLACE_SPAN * uniform[:1],
            "y": corner_y + PLACE_SPAN * uniform[1:2],
            "flux": law.quantile(uniform[2:3]),
            "is_galaxy": np.array([is_galaxy]),
            **PAPER_PRIOR.shapes(shape[:, None]),
        }
        light = known + compiled.draw_sources(candidate, psf, size, noise)[0]
        expected = light * electrons
        return -0.5 * float(((observed - expected) ** 2 / expected + np.log(expected)).sum())

    return loglikelihood
