"""The classical method on the same images: Source Extractor's algorithms (SEP, Barbary 2016).

SEP is given what the networks are given: sky, noise, mask and PSF. Images are sky-subtracted,
filtered with the true PSF and thresholded at a multiple of the known noise. Positions are windowed
centroids. Stars get the flux of the best-fitting PSF, galaxies a Kron flux. The difference of the
two magnitudes separates stars from galaxies.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import sep

from npecat_eval.baselines.recipe import Recipe
from npecat_eval.catalog.detections import Detections, joined_rows
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT
from npecat_eval.metrics.matching import Positions, match
from npecat_sim.errors import NpecatError
from npecat_sim.model.catalog import Catalog
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.store.reader import Batch
from npecat_sim.surveys.extraction import extract
from npecat_sim.units import magnitude

MAX_CENTROID_SHIFT = 3.0
"""Pixels: a windowed centroid farther than this from the barycentre moved to a neighbour."""

KRON_SEARCH = 6.0
"""Scale of the ellipse inside which the Kron radius is measured (Bertin & Arnouts 1996)."""

KRON_FACTOR = 2.5
"""Size of the aperture in Kron radii (Kron 1980; the default of Source Extractor)."""


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

    def times(self, factors: np.ndarray) -> "SepSources":
        """The sources with their fluxes multiplied by a factor of their image, (image,)."""
        factor = factors[self.image]
        return replace(self, psf_flux=self.psf_flux * factor, kron_flux=self.kron_flux * factor)

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
    """Detect and measure the sources of all images, of PSFs of six numbers.

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
    rows = zip(backgrounds, electrons_per_nmgy, map(SixNumberPsf.of, psf_parameters), strict=True)
    return _measured(images, (Recipe.six_numbers(*row) for row in rows))


def measure_batch(batch: Batch) -> SepSources:
    """Detect and measure the sources of the images of a store of any prior.

    Parameters
    ----------
    batch : Batch
        The images with what is known of each.

    Returns
    -------
    SepSources
    """
    if batch.psf_parameters is not None:
        return measure(
            batch.images, batch.backgrounds, batch.psf_parameters, batch.electrons_per_nmgy
        )
    recipes = (Recipe.wide(batch, row) for row in range(len(batch.images)))
    return _measured(batch.images, recipes)


def _measured(images: np.ndarray, recipes: Iterable[Recipe]) -> SepSources:
    """Sources of all images, each by its recipe."""
    parts = []
    for row, (pixels, recipe) in enumerate(zip(images, recipes, strict=True)):
        image = np.ascontiguousarray(pixels, dtype=np.float64)
        if recipe.mask is not None:  # SEP's filter looks under its mask
            image = np.where(recipe.mask, 0, image)
        objects, segments = _extract(image, recipe)
        x, y = _centroids(image, objects, recipe)
        parts.append(
            SepSources(
                image=np.full(len(objects), row),
                x=x,
                y=y,
                psf_flux=_psf_fluxes(image, x, y, recipe),
                kron_flux=_kron_fluxes(image, objects, segments, recipe),
            )
        )
    return joined_rows(parts)


def _extract(image: np.ndarray, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """SEP's objects (n,) and its int32 (y, x) map of their pixels.

    SEP's "conv" is the matched filter, since the noise of an image is uniform to a few per cent.
    Its "matched" takes the threshold as an SNR (see docs/log.md, SEP's detection threshold).
    """
    options = {
        "err": recipe.noise,
        "mask": recipe.mask,
        "minarea": recipe.min_area,
        "deblend_cont": recipe.contrast,
        "filter_kernel": recipe.kernel,
        "filter_type": "conv",
        "segmentation_map": True,
    }
    found: tuple[np.ndarray, np.ndarray] = extract(image, recipe.threshold, **options)
    return found


def _centroids(
    image: np.ndarray, objects: np.ndarray, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,) each: centroids in a Gaussian window of the PSF's core, in pixels.

    The barycentre where the windowed centroid moved away, see MAX_CENTROID_SHIFT.
    """
    x, y = objects["x"], objects["y"]
    sigma = np.full(len(x), recipe.stars.core_sigma)
    window_x, window_y, _ = sep.winpos(image, x, y, sigma, mask=recipe.mask)
    near = np.hypot(window_x - x, window_y - y) < MAX_CENTROID_SHIFT
    return np.where(near, window_x, x), np.where(near, window_y, y)


def _psf_fluxes(image: np.ndarray, x: np.ndarray, y: np.ndarray, recipe: Recipe) -> np.ndarray:
    """float64 (n,): nanomaggies, the fluxes of stars at (x, y) that together fit the image best."""
    noise = recipe.noise if recipe.mask is None else np.where(recipe.mask, np.inf, recipe.noise)
    row, column = np.indices(image.shape)[..., None]
    design = recipe.stars.shares(column - x, row - y) / noise[..., None]
    fluxes: np.ndarray
    fluxes, *_ = np.linalg.lstsq(design.reshape(image.size, len(x)), (image / noise).ravel())
    return fluxes


def _kron_fluxes(
    image: np.ndarray, objects: np.ndarray, segments: np.ndarray, recipe: Recipe
) -> np.ndarray:
    """float64 (n,): nanomaggies in Kron apertures, without the pixels of other objects.

    SEP gives a Kron radius of zero where the light in its ellipse is not positive.
    """
    x, y, a, b = [objects[name] for name in ("x", "y", "a", "b")]
    # single precision rounds an angle of pi / 2 up, which SEP refuses
    theta = np.clip(objects["theta"].astype(np.float64), -np.pi / 2, np.pi / 2)
    own = {"segmap": segments, "seg_id": np.arange(1, len(objects) + 1), "mask": recipe.mask}
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, KRON_SEARCH, **own)
    ellipse, _, _ = sep.sum_ellipse(image, x, y, a, b, theta, KRON_FACTOR * radius, **own)
    circle, _, _ = sep.sum_circle(image, x, y, recipe.min_aperture, **own)
    is_large = KRON_FACTOR * radius * np.sqrt(a * b) > recipe.min_aperture
    fluxes: np.ndarray = np.where(is_large, ellipse, circle)
    return fluxes
