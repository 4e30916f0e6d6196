"""Are the stated uncertainties right? Coverage of credible intervals, PIT histograms and counts.

The probability integral transform (PIT) of a source is the cdf of its posterior at the truth. For
an exact posterior it is uniform (Dawid 1984), also among sources selected by what was observed,
such as the estimated magnitude. Among sources selected by their true magnitude it need not be: the
faintest of them are those that noise had to lift.

Numbers of sources are alike. Of images that are expected to hold five, an exact posterior finds
five on average: the regression of the true number on the expected one has slope one. The other way
round, as in the paper's Figure 6, truth selects: by the law of total expectation the covariance of
both is the variance of the expected number, and the slope is the share of the variance of the true
number that the images settle. The fainter the sources, the farther below one.
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
"""Of the central credible intervals; 50 to 100 per cent as in the paper's Figure 8."""

PIT_EDGES = np.linspace(0, 1, 21)

BY_TRUTH = {BRIGHTEST: "truly brightest tenth", FAINTEST: "truly faintest tenth"}
"""Names of the selections where the true magnitude selects instead of the estimated one."""

TRUE_COUNT, EXPECTED_COUNT = "true_count", "expected_count"
"""Metrics, and the axes along which images are grouped for them."""

MOST_STEPS = 20
"""Of true numbers along their axis: each whole number has a bin up to there, and shares one where
images hold more sources. Bins of the expected number are half as wide: of a tenth an image often
holds less than one source."""


@dataclass(frozen=True)
class Pits:
    """PITs of one parameter for some sources; every array is (source,).

    parameter: flux or position. sources: see means.EVERY. image: of the source. pit: in [0, 1].
    estimated, true: magnitudes.
    """

    parameter: str
    sources: str
    image: np.ndarray
    pit: np.ndarray
    estimated: np.ndarray
    true: np.ndarray

    def select(self, spans: dict[str, tuple[float, float]]) -> dict[str, np.ndarray]:
        """Selection -> bool (source,): by estimated, and then by true magnitude."""
        chosen = {name: within(self.estimated, span) for name, span in spans.items()}
        return chosen | {
            name: within(self.true, spans[selection]) for selection, name in BY_TRUTH.items()
        }


def p_values(pit: np.ndarray) -> dict[str, float]:
    """Probabilities of PITs as far from uniform as these, if the posterior were exact.

    ``pit``: Kolmogorov-Smirnov test of the PIT, which sees a bias; ``coverage``: of the least
    central interval that holds the truth, abs(2 PIT - 1), which sees too narrow or wide posteriors.
    NaN without a source.
    """
    values = {"pit": pit, "coverage": np.abs(2 * pit - 1)}
    return {
        name: float(kstest(value, "uniform").pvalue) if len(value) else np.nan
        for name, value in values.items()
    }


def calibration_means(
    pits: Pits, spans: dict[str, tuple[float, float]], n_images: int
) -> list[Mean]:
    """Coverage by level, and the share of PITs in each twentieth of [0, 1], of each selection.

    spans: see bins.selections.
    """
    means = []
    central = np.abs(2 * pits.pit - 1)
    for selection, chosen in pits.select(spans).items():
        image = pits.image[chosen]
        n_sources = np.bincount(image, minlength=n_images).astype(np.float64)[:, None]
        covered = [
            np.bincount(image, central[chosen] <= level, minlength=n_images) for level in LEVELS
        ]
        cell = np.clip(np.digitize(pits.pit[chosen], PIT_EDGES) - 1, 0, len(PIT_EDGES) - 2)
        shape = n_images, len(PIT_EDGES) - 1
        shares = np.bincount(image * shape[1] + cell, minlength=shape[0] * shape[1])
        for name, axis, low, high, total in (
            ("coverage", LEVEL, LEVELS, LEVELS, np.stack(covered, axis=1)),
            ("pit", PIT, PIT_EDGES[:-1], PIT_EDGES[1:], shares.reshape(shape).astype(np.float64)),
        ):
            label = Label(f"{pits.parameter}_{name}", pits.sources, selection, axis)
            count = np.broadcast_to(n_sources, total.shape)
            means.append(Mean(label, low, high, total, count))
    return means


def p_value_series(pits: Pits, spans: dict[str, tuple[float, float]]) -> list[Series]:
    """The p-values of each selection, without an uncertainty of their own."""
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
    span : tuple of float
        Its range of r magnitude.
    expected : ndarray, float64 (image,)
        Number that the posterior expects.
    true : ndarray, float64 (image,)
        Number of simulated sources.
    countable : ndarray, float64 (image,)
        Of those the brightest of their tile, all that a posterior of tiles can count.
    """

    selection: str
    span: tuple[float, float]
    expected: np.ndarray
    true: np.ndarray
    countable: np.ndarray


def count_means(counts: Counts) -> list[Mean]:
    """Ratios of the numbers in all images, and mean numbers of images grouped by one of them.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    list of Mean
        ``count_ratio``, expected over true number; ``count_limit``, countable over true number;
        ``true_count`` and ``expected_count``, the mean numbers of an image, both along either of
        the axes TRUE_COUNT and EXPECTED_COUNT.
    """
    low, high = (np.array([edge]) for edge in counts.span)
    true = counts.true[:, None]
    means = [
        Mean(Label(metric, EVERY, counts.selection), low, high, total[:, None], true)
        for metric, total in (("count_ratio", counts.expected), ("count_limit", counts.countable))
    ]
    numbers = {TRUE_COUNT: counts.true, EXPECTED_COUNT: counts.expected}
    every_image = np.arange(len(true))
    step = max(1.0, np.ceil(counts.true.max() / MOST_STEPS))
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
    """Slopes of the least-squares lines through the numbers of the images.

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    list of Series
        ``expected_count_slope``, of the expected number against the true one, and
        ``true_count_slope``, of the true number against the expected one.
    """
    expected, true = (number - number.mean() for number in (counts.expected, counts.true))
    products = np.stack([expected, true, expected * true, expected**2, true**2], axis=1)
    e, t, e_t, e_e, t_t = resampled_totals(products).T / len(true)
    low, high = (np.array([edge]) for edge in counts.span)
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
