"""Tests of the paper's claims about its three networks (Patel et al. 2025, section 7).

On fields with different PSFs, the network that is given the PSF is at least as good as the one that
is not, and both are better than the one trained on a single field. On that single field all three
are equally good.
"""

from dataclasses import dataclass

from astropy.table import Table

from npecat_eval.metrics.bins import ALL, NONE
from npecat_eval.report.wide_tables import TITLES

SIGMAS = 2.0
"""Sigmas of a paired difference by which a network must be better, or may be worse."""

ALIKE = {"flux_error_percent": 1.0}
"""Metric -> difference below which two networks are equally good: one per cent of the flux."""

ALIKE_OTHERS = 0.01
"""The same for all other metrics (see docs/log.md, networks that are equally good)."""

LOWER_IS_BETTER = {"flux_error_percent"}
"""Metrics of which a lower value is better."""


@dataclass(frozen=True)
class Verdict:
    """The test of one claim with one metric.

    Parameters
    ----------
    claim : str
        In words.
    metric : str
        Its name, one of TITLES.
    difference : float
        Value of the method minus that of the reference.
    sigma : float
        Of the difference, by the bootstrap.
    holds : bool
        Whether the claim holds.
    """

    claim: str
    metric: str
    difference: float
    sigma: float
    holds: bool


def verdicts(table: Table) -> list[Verdict]:
    """Test every claim whose networks a table compares.

    Parameters
    ----------
    table : Table
        Metrics in the long form of metrics.table.evaluate.

    Returns
    -------
    list of Verdict
    """
    found = []
    for row in table[(table["axis"] == NONE) & (table["selection"] == ALL)]:
        metric = str(row["metric"])
        claims = CLAIMS.get((str(row["test_set"]), str(row["method"]), str(row["reference"])))
        if claims and metric in TITLES:
            words, holds = claims
            value, sigma = float(row["value"]), float(row["sigma"])
            gain = -value if metric in LOWER_IS_BETTER else value
            found.append(Verdict(words, metric, value, sigma, holds(metric, gain, sigma)))
    return found


def _no_worse(metric: str, gain: float, sigma: float) -> bool:
    """Whether the method is not significantly worse than the reference."""
    return gain > -SIGMAS * sigma


def _better(metric: str, gain: float, sigma: float) -> bool:
    """Whether the method is significantly better than the reference."""
    return gain > SIGMAS * sigma


def _alike(metric: str, gain: float, sigma: float) -> bool:
    """Whether the method and the reference are equally good."""
    return abs(gain) < ALIKE.get(metric, ALIKE_OTHERS) + SIGMAS * sigma


CLAIMS = {
    ("many", "psf_aware", "psf_unaware"): ("many: psf_aware >= psf_unaware", _no_worse),
    ("many", "psf_unaware", "single_field"): ("many: psf_unaware > single_field", _better),
    ("one", "psf_unaware", "single_field"): ("one: psf_unaware like single_field", _alike),
    ("one", "psf_aware", "single_field"): ("one: psf_aware like single_field", _alike),
}
"""Test set, method and reference -> the claim and how it is tested."""
