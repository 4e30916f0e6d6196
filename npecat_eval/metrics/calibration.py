"""Are the stated uncertainties right? Coverage of credible intervals and PIT histograms.

The probability integral transform (PIT) of a source is the cdf of its posterior at the truth. For
an exact posterior it is uniform (Dawid 1984), also among sources selected by what was observed,
such as the estimated magnitude. Among sources selected by their true magnitude it need not be: the
faintest of them are those that noise had to lift.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest

from npecat_eval.metrics.binned_means import Label, Mean, Series
from npecat_eval.metrics.bins import BRIGHTEST, FAINTEST, OVERALL, within
from npecat_eval.metrics.bootstrap import N_RESAMPLES

LEVEL, PIT = "level", "pit"
"""Axes: probability of a central interval, and the PIT itself."""

LEVELS = np.arange(50, 101, 5) / 100
"""Of the central credible intervals; 50 to 100 per cent as in the paper's Figure 8."""

PIT_EDGES = np.linspace(0, 1, 21)

BY_TRUTH = {BRIGHTEST: "truly brightest tenth", FAINTEST: "truly faintest tenth"}
"""Names of the selections where the true magnitude selects instead of the estimated one."""


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
    central interval that holds the truth, |2 PIT - 1|, which sees too narrow or wide posteriors.
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
