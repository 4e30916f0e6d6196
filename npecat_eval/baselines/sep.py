"""The classical method on the same images: Source Extractor's algorithms (SEP, Barbary 2016).

SEP is given what the networks are given: sky, noise and PSF. Images are sky-subtracted, filtered
with the true PSF and thresholded at a multiple of the known noise. Positions are windowed
centroids. Stars get the flux of the best-fitting PSF, galaxies a Kron flux. The difference of the
two magnitudes separates stars from galaxies.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sep

from npecat_eval.catalog.detections import Detections, joined_rows
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.metrics.matching import Positions, match
from npecat_sim.errors import NpecatError
from npecat_sim.model.catalog import Catalog
from npecat_sim.psf.base import Psf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.surveys.extraction import extract
from npecat_sim.units import magnitude

DETECTION_THRESHOLD = 0.8
"""Sigmas of one pixel's noise (see docs/log.md, SEP's detection threshold): five adjacent pixels of
the filtered image above it are a source."""

FILTER_RADIUS = 7
"""Pixels: half width of the filter kernel, three sigmas of the widest PSF of SDSS."""

MAX_CENTROID_SHIFT = 3.0
"""Pixels: a windowed centroid farther than this from the barycentre moved to a neighbour."""

KRON_SEARCH = 6.0
"""Scale of the ellipse inside which the Kron radius is measured (Bertin & Arnouts 1996)."""

KRON_FACTOR = 2.5
"""Size of the aperture in Kron radii (Kron 1980; the default of Source Extractor)."""

MIN_APERTURE = 1.75
"""Pixels: a circle of this radius replaces a Kron aperture that is smaller or undefined (the recipe
for FLUX_AUTO in SEP's documentation)."""


@dataclass(frozen=True)
class SepSources:
    """What SEP measured: n sources, sorted by image.

    Parameters
    ----------
    image : ndarray
        int64 (n,), index of the image.
    x, y : ndarray
        float64 (n,), 0-indexed pixels.
    psf_flux, kron_flux : ndarray
        float64 (n,), nanomaggies, of any sign.
    """

    image: np.ndarray
    x: np.ndarray
    y: np.ndarray
    psf_flux: np.ndarray
    kron_flux: np.ndarray

    @property
    def extent(self) -> np.ndarray:
        """float64 (n,): PSF minus Kron magnitude, large for galaxies.

        Infinite where the PSF flux is not positive: the source does not look like the PSF. NaN
        where only the PSF flux is positive: such a source is never classified as a galaxy.
        """
        difference: np.ndarray = magnitude(self.psf_flux) - magnitude(self.kron_flux)
        difference[self.psf_flux <= 0] = np.inf
        return difference

    def classify(self, class_threshold: float) -> Detections:
        """The sources with types: galaxies where ``extent`` exceeds the threshold.

        Sources whose flux is not positive are left out. All probabilities are 0 or 1.

        Parameters
        ----------
        class_threshold : float
            Magnitudes, see best_class_threshold.

        Returns
        -------
        Detections
        """
        galaxy = self.extent > class_threshold
        flux = np.where(galaxy, self.kron_flux, self.psf_flux)
        kept = flux > 0
        return Detections(
            image=self.image[kept],
            x=self.x[kept],
            y=self.y[kept],
            flux=flux[kept],
            prob_source=np.ones(kept.sum()),
            prob_located=np.ones(kept.sum()),
            prob_galaxy=galaxy[kept].astype(np.float64),
        )


def best_class_threshold(sources: SepSources, truth: Catalog) -> float:
    """The threshold on ``extent`` with the best star/galaxy accuracy on matched pairs at r < 22.

    Parameters
    ----------
    sources : SepSources
        What SEP measured.
    truth : Catalog
        True sources of the same images.

    Returns
    -------
    float
        Magnitudes.

    Raises
    ------
    NpecatError
        If fewer than two pairs match.
    """
    table = truth.flat()
    pairs = match(Positions(table["image"], table["x"], table["y"]), sources)
    extent, galaxy = sources.extent[pairs.detection], table["is_galaxy"][pairs.truth]
    used = np.isfinite(extent) & (magnitude(table["flux"][pairs.truth]) < MAGNITUDE_LIMIT)
    if used.sum() < 2:
        raise NpecatError("SEP finds too few true sources to tune its star/galaxy threshold")
    order = np.argsort(extent[used])
    extent, galaxy = extent[used][order], galaxy[used][order]
    right = np.cumsum(~galaxy)[:-1] + np.cumsum(galaxy[::-1])[-2::-1]
    best = np.argmax(right)  # the cut lies between sources best and best + 1
    return float(extent[best : best + 2].mean())


def measure(
    images: np.ndarray,
    backgrounds: np.ndarray,
    psf_parameters: np.ndarray,
    electrons_per_nmgy: np.ndarray,
) -> SepSources:
    """Detect and measure the sources of all images.

    Parameters
    ----------
    images : ndarray
        (image, y, x), nanomaggies per pixel, sky-subtracted.
    backgrounds : ndarray
        (image, y, x), nanomaggies per pixel, the sky that was subtracted.
    psf_parameters : ndarray
        (image, 6), see psf.PARAMETERS.
    electrons_per_nmgy : ndarray
        (image,), electrons that one nanomaggy yields.

    Returns
    -------
    SepSources
    """
    parts = []
    for row in range(len(images)):
        image = np.ascontiguousarray(images[row], dtype=np.float64)
        noise = np.sqrt(backgrounds[row].astype(np.float64) / electrons_per_nmgy[row])
        parts.append(_measure_image(row, image, noise, SixNumberPsf.of(psf_parameters[row])))
    return joined_rows(parts)


def _measure_image(row: int, image: np.ndarray, noise: np.ndarray, psf: Psf) -> SepSources:
    """Sources of one image; image and noise: float64 (y, x), nanomaggies per pixel."""
    objects, segments = _extract(image, noise, _kernel(psf))
    x, y = _centroids(image, objects, psf)
    return SepSources(
        image=np.full(len(objects), row),
        x=x,
        y=y,
        psf_flux=_psf_fluxes(image, noise, x, y, psf),
        kron_flux=_kron_fluxes(image, objects, segments),
    )


@lru_cache(maxsize=1024)
def _kernel(psf: Psf) -> np.ndarray:
    """float32 (2 FILTER_RADIUS + 1, same): the PSF at pixel centres."""
    return psf.stamp(2 * FILTER_RADIUS + 1).astype(np.float32)


def _extract(
    image: np.ndarray, noise: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SEP's objects (n,) and its int32 (y, x) map of their pixels.

    SEP's "conv" is the matched filter, since the noise of an image is uniform to a few per cent.
    Its "matched" takes the threshold as an SNR (see docs/log.md, SEP's detection threshold).
    """
    options = {
        "err": noise,
        "filter_kernel": kernel,
        "filter_type": "conv",
        "segmentation_map": True,
    }
    found: tuple[np.ndarray, np.ndarray] = extract(image, DETECTION_THRESHOLD, **options)
    return found


def _centroids(image: np.ndarray, objects: np.ndarray, psf: Psf) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,) each: centroids in a Gaussian window of the PSF's core, in pixels.

    The barycentre where the windowed centroid moved away, see MAX_CENTROID_SHIFT.
    """
    x, y = objects["x"], objects["y"]
    window_x, window_y, _ = sep.winpos(image, x, y, np.full(len(x), psf.core_sigma))
    near = np.hypot(window_x - x, window_y - y) < MAX_CENTROID_SHIFT
    return np.where(near, window_x, x), np.where(near, window_y, y)


def _psf_fluxes(
    image: np.ndarray,
    noise: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    psf: Psf,
) -> np.ndarray:
    """float64 (n,): nanomaggies, the fluxes of stars at (x, y) that together fit the image best."""
    row, column = np.indices(image.shape)[..., None]
    design = psf.shares(column - x, row - y) / noise[..., None]
    fluxes: np.ndarray
    fluxes, *_ = np.linalg.lstsq(design.reshape(image.size, len(x)), (image / noise).ravel())
    return fluxes


def _kron_fluxes(image: np.ndarray, objects: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """float64 (n,): nanomaggies in Kron apertures, without the pixels of other objects.

    SEP gives a Kron radius of zero where the light in its ellipse is not positive.
    """
    x, y, a, b = [objects[name] for name in ("x", "y", "a", "b")]
    # single precision rounds an angle of pi / 2 up, which SEP refuses
    theta = np.clip(objects["theta"].astype(np.float64), -np.pi / 2, np.pi / 2)
    own = {"segmap": segments, "seg_id": np.arange(1, len(objects) + 1)}
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, KRON_SEARCH, **own)
    ellipse, _, _ = sep.sum_ellipse(image, x, y, a, b, theta, KRON_FACTOR * radius, **own)
    circle, _, _ = sep.sum_circle(image, x, y, MIN_APERTURE, **own)
    is_large = KRON_FACTOR * radius * np.sqrt(a * b) > MIN_APERTURE
    fluxes: np.ndarray = np.where(is_large, ellipse, circle)
    return fluxes
