"""What is physically possible: the rows of a perfect method.

Flux: the Cramer-Rao bound of a source whose shape and place are known, as are its neighbours, the
sky and the PSF. Then the flux is the only unknown of a linear model with template t, the image of
the source for unit flux, and variance V of each pixel, of sky and all sources:
sigma^2 = 1 / sum(t^2 / V). Detection: every source of SNR > 5 and no other.
"""

import math
from dataclasses import dataclass

import numpy as np

from npecat_eval.metrics.binned_means import EVERY, Label, Mean, mean_of
from npecat_eval.metrics.bins import OVERALL, Bins, coordinate
from npecat_sim.render import compiled
from npecat_sim.store.reader import Batch
from npecat_sim.units import sky_sigma

DETECTABLE_SNR = 5.0
"""What surveys call a detection."""

MEAN_OVER_SIGMA = math.sqrt(2 / math.pi)
"""Mean absolute value of a normal deviate over its standard deviation."""


@dataclass(frozen=True)
class Bound:
    """Of every true source of a test set, (source,), in the order of Catalog.flat.

    image: of the source. magnitude: true. snr: see observe. flux_sigma: least standard deviation
    of an unbiased flux, as a share of the flux.
    """

    image: np.ndarray
    magnitude: np.ndarray
    snr: np.ndarray
    flux_sigma: np.ndarray

    def means(self, axes: list[Bins], n_images: int) -> list[Mean]:
        """Flux error and recall, overall and along the axes of magnitude and SNR."""
        values = {
            "recall": self.snr > DETECTABLE_SNR,
            "flux_error_percent": 100 * MEAN_OVER_SIGMA * self.flux_sigma,
        }
        means = []
        for metric, value in values.items():
            for bins in (OVERALL, *axes):
                at = coordinate(bins, self.magnitude, self.snr)
                label = Label(metric, EVERY, axis=bins.axis)
                means.append(mean_of(label, bins, self.image, at, value, n_images))
        return means


def relative_flux_sigma(batch: Batch, row: int) -> np.ndarray:
    """float64 (source,): least standard deviation of flux over flux, for one image of a batch."""
    sources = batch.catalog.sources(row)
    background, electrons = batch.backgrounds[row], batch.electrons_per_nmgy[row]
    noise = sky_sigma(background.mean(), electrons)
    drawn = compiled.draw_sources(sources, batch.psf_of(row), background.shape[0], noise)
    variance = (background + drawn.sum(axis=0, dtype=np.float64)) / electrons
    # The template is the drawn source over its flux, so the flux cancels.
    return 1 / np.sqrt((drawn.astype(np.float64) ** 2 / variance).sum(axis=(1, 2)))
