"""Calibration of uncertainties: coverage of credible intervals, PIT histograms and counts.

The probability integral transform (PIT) of a source is the cdf of its posterior at the true value.
For an exact posterior it is uniform (Dawid 1984), also among sources selected by an observed
property, such as the estimated magnitude. Among sources selected by their true magnitude it need
not be uniform: the faintest matched sources are those whose flux the noise has raised.

The same holds for numbers of sources. If the posterior is exact, images in which it expects five
sources contain five on average: the regression of the true number on the expected one has slope
one. The opposite regression, as in the paper's Figure 6, selects images by the truth. By
the law of total expectation, the covariance of both numbers is then the variance of the expected
number, so the slope is the fraction of the variance of the true number that the images determine.
The fainter the sources, the farther below one it is.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest

from npecat_eval.metrics.binned_means import EVERY, Label, Mean, Series, mean_of
from npecat_eval.metrics.bins import BRIGHTEST, FAINTEST, OVERALL, Bins, within
from npecat_eval.metrics.bootstrap import N_RESAMPLES, quotient, resampled_totals

LEVEL, PIT = "level", "pit"
"""Axes: probability of a central interval, and the PIT itself."""

LEVELS = np.arange(50, 101, 5) / 100
"""Probabilities of the central credible intervals, as in the paper's Figure 8."""

PIT_EDGES = np.linspace(0, 1, 21)
"""Edges of the bins of PIT histograms."""

BY_TRUTH = {BRIGHTEST: "truly brightest tenth", FAINTEST: "truly faintest tenth"}
"""Selection by estimated magnitude -> name of the same selection by true magnitude."""

TRUE_COUNT, EXPECTED_COUNT = "true_count", "expected_count"
"""Metrics, and also the axes along which images are grouped for them."""

MAX_STEPS = 20
"""Maximum number of steps of the axis of true numbers: each whole number has its own bin if no
image holds more sources than this, else neighbouring numbers share a bin. Bins of the expected
number are half as wide, because in a selection of a tenth it is often below one."""


@dataclass(frozen=True)
class Pits:
    """PITs of one parameter for some sources.

    Parameters
    ----------
    parameter : str
        ``flux`` or ``position``.
    sources : str
        Label of the sources, see binned_means.EVERY.
    image : ndarray
        int (source,): index of the image of each source.
    pit : ndarray
        float64 (source,), in [0, 1].
    estimated, true : ndarray
        float64 (source,): estimated and true r magnitude.
    """

    parameter: str
    sources: str
    image: np.ndarray
    pit: np.ndarray
    estimated: np.ndarray
    true: np.ndarray

    def select(self, spans: dict[str, tuple[float, float]]) -> dict[str, np.ndarray]:
        """Select sources by estimated magnitude, and the tenths also by true magnitude.

        Parameters
        ----------
        spans : dict of str to tuple of float
            Selection -> its range of r magnitude, see bins.selections.

        Returns
        -------
        dict of str to ndarray
            Name of each selection, those of BY_TRUTH last -> bool (source,).
        """
        chosen = {name: within(self.estimated, span) for name, span in spans.items()}
        return chosen | {
            name: within(self.true, spans[selection]) for selection, name in BY_TRUTH.items()
        }


def p_values(pit: np.ndarray) -> dict[str, float]:
    """Test whether PITs are uniform, as they are for an exact posterior.

    Parameters
    ----------
    pit : ndarray
        float64 (source,).

    Returns
    -------
    dict of str to float
        p-values of Kolmogorov-Smirnov tests; NaN without a source. ``pit``: of the PIT, which
        detects a bias. ``coverage``: of the probability of the smallest central interval that
        contains the truth, abs(2 PIT - 1), which detects posteriors that are too narrow or wide.
    """
    values = {"pit": pit, "coverage": np.abs(2 * pit - 1)}
    return {
        name: float(kstest(value, "uniform").pvalue) if len(value) else np.nan
        for name, value in values.items()
    }


def calibration_means(
    pits: Pits, spans: dict[str, tuple[float, float]], *, n_images: int
) -> list[Mean]:
    """Compute coverage and PIT histogram of each selection.

    Parameters
    ----------
    pits : Pits
        PITs of one parameter.
    spans : dict of str to tuple of float
        Selection -> its range of r magnitude, see bins.selections.
    n_images : int
        Number of images.

    Returns
    -------
    list of Mean
        For each selection the coverage, the fraction of sources whose central interval contains
        the truth, at each of LEVELS; and the fraction of PITs in each bin of PIT_EDGES.
    """
    means = []
    central = np.abs(2 * pits.pit - 1)
    for selection, chosen in pits.select(spans).items():
        image = pits.image[chosen]
        n_sources = np.bincount(image, minlength=n_images).astype(np.float64)[:, None]
        covered = [
            np.bincount(image, central[chosen] <= level, minlength=n_images) for level in LEVELS
        ]
        n_bins = len(PIT_EDGES) - 1
        cell = np.clip(np.digitize(pits.pit[chosen], PIT_EDGES) - 1, 0, n_bins - 1)
        shares = np.bincount(image * n_bins + cell, minlength=n_images * n_bins)
        shares = shares.reshape(n_images, n_bins)
        for name, axis, low, high, total in (
            ("coverage", LEVEL, LEVELS, LEVELS, np.stack(covered, axis=1)),
            ("pit", PIT, PIT_EDGES[:-1], PIT_EDGES[1:], shares.astype(np.float64)),
        ):
            label = Label(f"{pits.parameter}_{name}", pits.sources, selection, axis)
            count = np.broadcast_to(n_sources, total.shape)
            means.append(Mean(label, low, high, total, count))
    return means


def p_value_series(pits: Pits, spans: dict[str, tuple[float, float]]) -> list[Series]:
    """Compute the p-values of each selection, without resamples.

    Parameters
    ----------
    pits : Pits
        PITs of one parameter.
    spans : dict of str to tuple of float
        Selection -> its range of r magnitude, see bins.selections.

    Returns
    -------
    list of Series
        The p-values are in the first row of the samples; the others are NaN.
    """
    series = []
    for selection, chosen in pits.select(spans).items():
        for name, p_value in p_values(pits.pit[chosen]).items():
            label = Label(f"{pits.parameter}_{name}_p_value", pits.sources, selection)
            samples = np.full((1 + N_RESAMPLES, 1), np.nan)
            samples[0] = p_value
            count = np.array([chosen.sum()], dtype=np.float64)
            series.append(Series(label, OVERALL.low, OVERALL.high, samples, count))
    return series


@dataclass(frozen=True)
class Counts:
    """Numbers of sources of a selection in each image.

    Parameters
    ----------
    selection : str
        Name of the selection.
    span : tuple of float
        Range of r magnitude of the selection.
    expected : ndarray
        float64 (image,): expected number of sources under the posterior.
    true : ndarray
        float64 (image,): number of simulated sources.
    countable : ndarray
        float64 (image,): number of simulated sources that are the brightest of their tile, the
        only ones that a posterior of tiles can count.
    """

    selection: str
    span: tuple[float, float]
    expected: np.ndarray
    true: np.ndarray
    countable: np.ndarray


def count_means(counts: Counts) -> list[Mean]:
    """Compare expected and true numbers, in total and for groups of images.

    Parameters
    ----------
    counts : Counts
        Numbers of sources in each image.

    Returns
    -------
    list of Mean
        ``count_ratio``, expected over true number in all images; ``count_limit``, countable over
        true number in all images; ``true_count`` and ``expected_count``, the mean numbers per
        image, each in bins of TRUE_COUNT and in bins of EXPECTED_COUNT.
    """
    low, high = [np.array([edge]) for edge in counts.span]
    true = counts.true[:, None]
    means = [
        Mean(Label(metric, EVERY, counts.selection), low, high, total[:, None], true)
        for metric, total in (("count_ratio", counts.expected), ("count_limit", counts.countable))
    ]
    numbers = {TRUE_COUNT: counts.true, EXPECTED_COUNT: counts.expected}
    every_image = np.arange(len(true))
    step = max(1.0, np.ceil(counts.true.max() / MAX_STEPS))
    for axis, at, width in zip(numbers, numbers.values(), (step, step / 2), strict=True):
        n_bins = int(at.max() / width + 0.5) + 1
        bins = Bins(axis, width * (np.arange(n_bins + 1) - 0.5))
        for metric, number in numbers.items():
            label = Label(metric, EVERY, counts.selection, axis)
            means.append(
                mean_of(label, bins, image=every_image, at=at, value=number, n_images=len(true))
            )
    return means


def count_slopes(counts: Counts) -> list[Series]:
    """Compute the slopes of least-squares lines through the numbers of the images.

    Parameters
    ----------
    counts : Counts
        Numbers of sources in each image.

    Returns
    -------
    list of Series
        ``expected_count_slope``, of the expected number against the true one, and
        ``true_count_slope``, of the true number against the expected one.
    """
    expected = counts.expected - counts.expected.mean()
    true = counts.true - counts.true.mean()
    products = np.stack([expected, true, expected * true, expected**2, true**2], axis=1)
    e, t, e_t, e_e, t_t = resampled_totals(products).T / len(true)
    low, high = [np.array([edge]) for edge in counts.span]
    n_images = np.array([len(true)], dtype=np.float64)
    return [
        Series(
            Label(f"{metric}_slope", EVERY, counts.selection),
            low,
            high,
            quotient(e_t - e * t, variance)[:, None],
            n_images,
        )
        for metric, variance in ((EXPECTED_COUNT, t_t - t**2), (TRUE_COUNT, e_e - e**2))
    ]
