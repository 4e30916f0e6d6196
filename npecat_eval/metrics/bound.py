"""The physical bound: metrics of a perfect method.

Flux: the Cramer-Rao bound of a source whose shape and position are known, as are its neighbours,
the sky and the PSF. Then the flux is the only unknown of a linear model. With the template t, the
image of the source for unit flux, and the variance V of each pixel, due to the sky and all sources,
sigma^2 = 1 / sum(t^2 / V). Masked pixels have no weight. If the noise of neighbouring pixels is
correlated, sigma is that of the same weights, which are then nearly the best. Detection: a perfect
method finds exactly the sources of SNR > 5.
"""

import math
from dataclasses import dataclass

import numpy as np

from npecat_eval.metrics.binned_means import EVERY, Label, Mean, mean_of
from npecat_eval.metrics.bins import OVERALL, Bins, coordinate
from npecat_sim.render import compiled
from npecat_sim.store.reader import Batch
from npecat_sim.units import PIXEL_SCALE, sky_sigma

DETECTABLE_SNR = 5.0
"""Sources with a higher SNR count as detectable, as is usual in surveys."""

MEAN_OVER_SIGMA = math.sqrt(2 / math.pi)
"""Mean absolute deviation of a normal distribution over its standard deviation."""


@dataclass(frozen=True)
class Bound:
    """The true sources of a test set with the best possible errors of their fluxes.

    Parameters
    ----------
    image : ndarray
        int (source,), in the order of Catalog.flat: index of the image of each source.
    magnitude : ndarray
        float64 (source,): true r magnitude; NaN where a source does not count.
    snr : ndarray
        float64 (source,): true SNR, see npecat_sim.render.noise.observe.
    flux_sigma : ndarray
        float64 (source,): minimum standard deviation of an unbiased estimate of the flux, as a
        fraction of the flux.
    """

    image: np.ndarray
    magnitude: np.ndarray
    snr: np.ndarray
    flux_sigma: np.ndarray

    def means(self, axes: list[Bins], n_images: int) -> list[Mean]:
        """Compute flux error and recall, overall and in bins.

        Parameters
        ----------
        axes : list of Bins
            Bins of magnitude and of SNR.
        n_images : int
            Number of images.

        Returns
        -------
        list of Mean
        """
        values = {
            "recall": self.snr > DETECTABLE_SNR,
            "flux_error_percent": 100 * MEAN_OVER_SIGMA * self.flux_sigma,
        }
        means = []
        for metric, value in values.items():
            for bins in (OVERALL, *axes):
                at = coordinate(bins, self.magnitude, snr=self.snr)
                label = Label(metric, EVERY, axis=bins.axis)
                means.append(
                    mean_of(label, bins, image=self.image, at=at, value=value, n_images=n_images)
                )
        return means


def relative_flux_sigma(batch: Batch, row: int) -> np.ndarray:
    """Compute the minimum relative errors of the fluxes of the sources in an image.

    Parameters
    ----------
    batch : Batch
        Images with their true catalogs.
    row : int
        Index of the image in the batch.

    Returns
    -------
    ndarray
        float64 (source,): minimum standard deviation of the flux over the flux; infinite if all
        pixels of a source are masked.
    """
    sources = batch.catalog.sources(row)
    background, electrons = batch.backgrounds[row], batch.electrons_per_nmgy[row]
    noise = sky_sigma(background.mean(), electrons)
    scale = PIXEL_SCALE if batch.pixel_scale is None else float(batch.pixel_scale[row])
    drawn = compiled.draw_sources(sources, batch.psf_of(row), background.shape[0], noise, scale)
    variance = (background + drawn.sum(axis=0, dtype=np.float64)) / electrons
    if batch.mask is not None:
        variance[batch.mask[row] > 0] = np.inf
    # The template is the drawn source over its flux, so the flux cancels.
    with np.errstate(divide="ignore"):
        sigma: np.ndarray = 1 / np.sqrt((drawn.astype(np.float64) ** 2 / variance).sum(axis=(1, 2)))
    return sigma if batch.noise_correlation is None else sigma * batch.noise_correlation[row]
