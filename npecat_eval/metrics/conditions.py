"""Metrics of stores of prior ``wide`` by what their images are like: PSF, density, depth and so on.

Selections are those of the whole store. So the numbers of sources in the bins of a condition add up
to those of all images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from npecat_eval.metrics.binned_means import EVERY, MATCHED, TILES, Label, Mean, Series, mean_of
from npecat_eval.metrics.binned_means import resample as resample_means
from npecat_eval.metrics.bins import MAGNITUDE_LIMIT, NONE, Bins
from npecat_eval.metrics.bootstrap import resampled_quantiles
from npecat_eval.metrics.depth import noise_under_psf
from npecat_eval.metrics.matched import MatchedCatalog
from npecat_eval.metrics.point_metrics import f1, flux_ratio, pair_values
from npecat_eval.metrics.predictions import Prediction, Truth
from npecat_eval.metrics.table import TRUTH, rows_of, table_of
from npecat_eval.metrics.tile_scores import TileScores
from npecat_sim.progress import progress
from npecat_sim.store.reader import Store
from npecat_sim.wide.conditions import KINDS

BRIGHT_SNR = 20.0
"""SNR above which a star should always be found."""

COVERAGE_LEVELS = (60, 80, 95)
"""Per cent of the central flux intervals."""


class Condition(NamedTuple):
    """A property of images: its name for a reader, unit, and edges of its bins."""

    title: str
    unit: str
    edges: tuple[float, ...]


CONDITIONS = {
    "fwhm": Condition("FWHM", "pix", (0, 2, 2.5, 3, 4, 5, 7, 100)),
    "ellipticity": Condition("ellipticity", "1", (0, 0.02, 0.05, 0.1, 0.13, 1)),
    "psf_kind": Condition("PSF", "1", tuple(np.arange(len(KINDS) + 1) - 0.5)),
    "density": Condition("density", "1 / pix2", (0, 1.5e-4, 5e-4, 1.5e-3, 5e-3, 1)),
    "star_share": Condition("star share", "1", (0, 0.25, 0.5, 0.75, 0.999, 2)),
    "pixel_scale": Condition("pixel scale", "arcsec", (0, 0.25, 0.35, 0.5, 0.8, 100)),
    "depth": Condition("noise over faintest flux", "1", (0, 0.06, 0.12, 0.25, 0.5, 1, 1e6)),
    "noise_correlation": Condition("noise correlation", "1", (0, 1.0001, 1.5, 2, 2.5, 100)),
    "masked_share": Condition("masked share", "1", (0, 1e-4, 0.01, 0.03, 0.1, 2)),
}
"""The conditions by name, in the order of tables. The FWHM is that of a Gaussian with as many
effective pixels; the ellipticity is that of a profile that has one, (a - b) / (a + b). The depth is
the noise under the PSF over the flux of the faintest source."""


@dataclass(frozen=True)
class ImageConditions:
    """What the images of a store are like.

    Parameters
    ----------
    values : dict of str to ndarray
        Each of CONDITIONS -> float64 (image,).
    noise : ndarray
        float64 (image,), see depth.noise_under_psf.
    hidden : ndarray
        bool (source,), in the order of Catalog.flat: whether the pixel of a true source is masked.
    """

    values: dict[str, np.ndarray]
    noise: np.ndarray
    hidden: np.ndarray

    @classmethod
    def of(cls, store: Store) -> "ImageConditions":
        """Read the conditions of all images of a store of prior ``wide``."""
        noise, masked, hidden = [], [], []
        with progress("conditions", len(store)) as advance:
            for chunk in store.chunk_ranges:
                images = slice(chunk.start, chunk.stop)
                mask, table = store.array("mask", images), store.catalog(images).flat()
                row, column = [
                    np.clip(np.rint(table[axis]).astype(int), 0, mask.shape[-1] - 1)
                    for axis in ("y", "x")
                ]
                hidden.append(mask[table["image"], row, column] > 0)
                masked.append(mask.mean(axis=(1, 2)))
                noise.append(noise_under_psf(store, images))
                advance(len(chunk), "")
        under_psf, shape = np.concatenate(noise), store.array("psf_shape")
        values = {
            "fwhm": store.array("fwhm") / store.array("pixel_scale"),
            "ellipticity": np.hypot(shape[:, 1], shape[:, 2]),
            "depth": under_psf / store.array("faint_flux"),
            "masked_share": np.concatenate(masked),
        }
        for name in ("psf_kind", "density", "star_share", "pixel_scale", "noise_correlation"):
            values[name] = store.array(name).astype(np.float64)
        return cls(values, under_psf, np.concatenate(hidden))

    def axes(self) -> list[tuple[Bins, np.ndarray]]:
        """All images in one bin, then the bins of each condition, with the value of each image.

        The first and the last bin end where the images do.
        """
        axes = [(Bins(NONE, np.array([-np.inf, np.inf])), np.zeros(len(self.noise)))]
        for name, condition in CONDITIONS.items():
            value, edges = self.values[name], np.array(condition.edges, dtype=np.float64)
            if name != "psf_kind":
                edges = np.clip(edges, value.min(), np.nextafter(value.max(), np.inf))
            axes.append((Bins(name, edges), value))
        return axes


def by_condition(
    truth: Truth,
    predictions: Mapping[str, Prediction],
    axes: Sequence[tuple[Bins, np.ndarray]],
    *,
    test_set: str,
) -> Table:
    """Compute the main metrics of each method in the bins of each condition.

    Parameters
    ----------
    truth : Truth
        True catalog of the test set.
    predictions : mapping of str to Prediction
        Method -> its prediction for the images of the test set.
    axes : sequence of tuple
        From ImageConditions.axes of the same images.
    test_set : str
        Name of the test set.

    Returns
    -------
    Table
        The columns table.COLUMNS, in which the axis is the name of a condition, or none for all
        images together. Bins without images are left out. Metrics: recall, precision, f1,
        star_galaxy_accuracy, flux_error_percent; star_flux_bias_percent, the median over stars;
        bright_star_recall, over stars of SNR above BRIGHT_SNR; flux_coverage_60 and so on.
    """
    rows = []
    for method, prediction in predictions.items():
        matched = MatchedCatalog.of(truth.catalog, prediction.detections, hidden=truth.hidden)
        for bins, value in axes:
            filled = np.bincount(bins.place(value), minlength=len(bins)) > 0
            for one in _series(truth, prediction.tiles, matched, bins=bins, value=value):
                found = list(rows_of(one))
                rows += [(test_set, method, TRUTH, *found[bin_]) for bin_ in np.flatnonzero(filled)]
    return table_of(rows)


def _series(
    truth: Truth,
    tiles: TileScores | None,
    matched: MatchedCatalog,
    *,
    bins: Bins,
    value: np.ndarray,
) -> list[Series]:
    """All metrics of one method in the bins of a condition, whose value is that of each image."""

    def mean(
        metric: str, sources: str, image: np.ndarray, counted: np.ndarray, of: np.ndarray
    ) -> Mean:
        """A metric over the sources that count."""
        at = np.where(counted, value[image], np.nan)
        label = Label(metric, sources, axis=bins.axis)
        return mean_of(label, bins, image=image, at=at, value=of, n_images=matched.n_images)

    image, pair = matched.truth["image"], matched.match.truth
    counted = matched.true_magnitude < MAGNITUDE_LIMIT  # False where it is NaN
    star = counted & ~matched.truth["is_galaxy"]
    bright = ~matched.truth["is_galaxy"] & ~truth.hidden & (truth.snr > BRIGHT_SNR)
    is_found = matched.match.truth_match >= 0
    means = [
        mean("recall", EVERY, image, counted, is_found),
        mean(
            "precision",
            EVERY,
            matched.detections.image,
            matched.estimated_magnitude < MAGNITUDE_LIMIT,
            matched.match.detection_match >= 0,
        ),
        mean("bright_star_recall", EVERY, image, bright, is_found),
    ]
    pairs = pair_values(matched)
    for metric in ("star_galaxy_accuracy", "flux_error_percent"):
        means.append(mean(metric, MATCHED, image[pair], counted[pair], pairs[metric]))
    series = resample_means(means)
    series = [f1(series, axis=bins.axis), *series]
    series.append(_star_bias(matched, star[pair], bins=bins, value=value))
    return series + (resample_means(_coverage(truth, tiles, bins, value)) if tiles else [])


def _star_bias(
    matched: MatchedCatalog, chosen: np.ndarray, *, bins: Bins, value: np.ndarray
) -> Series:
    """Median of estimated over true flux minus 1, per cent, of the chosen pairs."""
    image = matched.truth["image"][matched.match.truth][chosen]
    place = bins.place(value[image])
    (median,) = resampled_quantiles(
        image,
        flux_ratio(matched)[chosen],
        place=place,
        levels=(0.5,),
        n_bins=len(bins),
        n_images=matched.n_images,
    )
    count = np.bincount(place, minlength=len(bins)).astype(np.float64)
    label = Label("star_flux_bias_percent", MATCHED, axis=bins.axis)
    return Series(label, bins.low, bins.high, 100 * (median - 1), count)


def _coverage(truth: Truth, tiles: TileScores, bins: Bins, value: np.ndarray) -> list[Mean]:
    """Coverage of the central flux intervals at the true tiles, for each selection."""
    pits = next(one for one in tiles.pits() if one.parameter == "flux")
    central = 100 * np.abs(2 * pits.pit - 1)
    chosen = pits.select(truth.spans)
    return [
        mean_of(
            Label(f"flux_coverage_{level}", TILES, selection, bins.axis),
            bins,
            image=pits.image,
            at=np.where(chosen[selection], value[pits.image], np.nan),
            value=central <= level,
            n_images=truth.n_images,
        )
        for selection in truth.spans
        for level in COVERAGE_LEVELS
    ]
