"""The classical choice on the same images: Source Extractor's algorithms (SEP, Barbary 2016).

It knows what the networks know, sky, noise and PSF: images are sky-subtracted, filtered with
the true PSF and cut at a multiple of the known noise. Positions are windowed centroids. Stars
get the flux of the best-fitting PSF, galaxies a Kron flux; which is which is settled by the
difference of the two magnitudes.
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
from npecat_sim.model.psf import Psf
from npecat_sim.units import magnitude

DETECTION_THRESHOLD = 0.8
"""Five joined pixels of the filtered image above this many sigmas of one pixel's noise are a
source: the threshold of best F1 among 0.5, 0.8, 1, 1.5, 2 and 4 on images of 500 SDSS fields, so
that SEP is shown at its best. It is about four sigmas of the filtered noise."""

FILTER_RADIUS = 7
"""Pixels: half width of the filter kernel, three sigmas of the widest SDSS PSF."""

MAX_CENTROID_SHIFT = 3.0
"""Pixels: a windowed centroid farther than this from the barycentre went to a neighbour."""

KRON_SEARCH = 6.0
"""Ellipse scale out to which the Kron radius is measured (Bertin & Arnouts 1996)."""

KRON_FACTOR = 2.5
"""Kron radii in the aperture (Kron 1980; the default of Source Extractor)."""

MIN_APERTURE = 1.75
"""Pixels: a smaller Kron aperture, or none, gives way to a circle of this radius (the recipe
for FLUX_AUTO in SEP's documentation)."""


@dataclass(frozen=True)
class SepSources:
    """What SEP measured, n sources sorted by image; every array is (n,).

    image: int64. x, y: float64 pixels. psf_flux, kron_flux: float64 nanomaggies, of any sign.
    """

    image: np.ndarray
    x: np.ndarray
    y: np.ndarray
    psf_flux: np.ndarray
    kron_flux: np.ndarray

    @property
    def extent(self) -> np.ndarray:
        """PSF minus Kron magnitude, large for galaxies.

        Infinite where there is no PSF flux: the source is nothing like the PSF. NaN where there
        is only a PSF flux: no threshold calls that a galaxy.
        """
        difference = magnitude(self.psf_flux) - magnitude(self.kron_flux)
        difference[self.psf_flux <= 0] = np.inf
        return difference

    def classify(self, class_threshold: float) -> Detections:
        """Galaxies where ``extent`` exceeds the threshold in mag; sources without flux go."""
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
    """The threshold in mag with the best star/galaxy accuracy on matched pairs at r < 22.

    truth: of the images that were measured. Raises NpecatError where fewer than two pairs match.
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
    """Sources of all images.

    images, backgrounds: (n, height, width) nanomaggies per pixel, sky-subtracted images and the
    sky. psf_parameters: (n, 6), see psf.PARAMETERS. electrons_per_nmgy: (n,).
    """
    parts = []
    for row in range(len(images)):
        image = np.ascontiguousarray(images[row], dtype=np.float64)
        noise = np.sqrt(backgrounds[row].astype(np.float64) / electrons_per_nmgy[row])
        parts.append(_measure_image(row, image, noise, Psf.of(psf_parameters[row])))
    return joined_rows(parts)


def _measure_image(row: int, image: np.ndarray, noise: np.ndarray, psf: Psf) -> SepSources:
    """Sources of one image; image and noise: float64 (height, width) nanomaggies per pixel."""
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
    offset = np.arange(-FILTER_RADIUS, FILTER_RADIUS + 1)
    stamp = psf.profile(np.hypot(offset[:, None], offset))
    return stamp.astype(np.float32)


def _extract(
    image: np.ndarray, noise: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SEP's objects (n,) and its int32 map of their pixels.

    SEP's "conv" is the matched filter, the noise of an image being uniform to a few per cent. Its
    "matched" reads the threshold as a signal-to-noise ratio; at 1.5 that finds fewer of the true
    sources and more false ones.
    """
    options = {
        "err": noise,
        "filter_kernel": kernel,
        "filter_type": "conv",
        "segmentation_map": True,
    }
    try:
        return sep.extract(image, DETECTION_THRESHOLD, **options)
    except Exception:  # SEP's only type: more sub-objects than it has room for
        return sep.extract(image, DETECTION_THRESHOLD, deblend_nthresh=1, **options)


def _centroids(image: np.ndarray, objects: np.ndarray, psf: Psf) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,) each: centroids in a Gaussian window of the PSF's core, in pixels.

    The barycentre where the window drifts away.
    """
    x, y = objects["x"], objects["y"]
    window_x, window_y, _ = sep.winpos(image, x, y, np.full(len(x), psf.sigma1))
    near = np.hypot(window_x - x, window_y - y) < MAX_CENTROID_SHIFT
    return np.where(near, window_x, x), np.where(near, window_y, y)


def _psf_fluxes(
    image: np.ndarray,
    noise: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    psf: Psf,
) -> np.ndarray:
    """float64 (n,): fluxes of stars at (x, y) that together fit the image best."""
    row, column = np.indices(image.shape)[..., None]
    radius = np.hypot(column - x, row - y)
    design = psf.profile(radius) / noise[..., None]
    return np.linalg.lstsq(design.reshape(image.size, len(x)), (image / noise).ravel())[0]


def _kron_fluxes(image: np.ndarray, objects: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """float64 (n,): sums in Kron apertures, without the pixels of other objects.

    SEP gives a Kron radius of zero where the light in its ellipse is not positive.
    """
    x, y, a, b = (objects[name] for name in ("x", "y", "a", "b"))
    # single precision rounds an angle of pi / 2 up, which SEP refuses
    theta = np.clip(objects["theta"].astype(np.float64), -np.pi / 2, np.pi / 2)
    own = {"segmap": segments, "seg_id": np.arange(1, len(objects) + 1)}
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, KRON_SEARCH, **own)
    ellipse, _, _ = sep.sum_ellipse(image, x, y, a, b, theta, KRON_FACTOR * radius, **own)
    circle, _, _ = sep.sum_circle(image, x, y, MIN_APERTURE, **own)
    return np.where(KRON_FACTOR * radius * np.sqrt(a * b) > MIN_APERTURE, ellipse, circle)
