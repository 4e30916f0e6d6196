"""Do the paper's claims about its three networks hold? (Patel et al. 2025, section 7)

On fields with PSFs of their own the network that is told the PSF does at least as well as the one
that is not, and both do better than the one trained on a single field; on that single field all
three are alike.
"""

from dataclasses import dataclass

from astropy.table import Table

from npecat_eval.metrics.bins import ALL, NONE
from npecat_eval.report.wide_tables import TITLES

SIGMAS = 2.0
"""Of a paired difference: what one network has to be better by, and may be worse by."""

ALIKE = {"flux_error_percent": 1.0}
ALIKE_OTHERS = 0.01
"""Networks are alike within so much of a metric: a hundredth, or one per cent of the flux. With
42,000 images differences of a fifth of that are significant."""

LOWER_IS_BETTER = {"flux_error_percent"}


@dataclass(frozen=True)
class Verdict:
    """One claim about one metric; ``difference``: method minus reference, with its sigma."""

    claim: str
    metric: str
    difference: float
    sigma: float
    holds: bool


def verdicts(table: Table) -> list[Verdict]:
    """All claims that a long-form table of metrics speaks of, see evaluate.evaluate."""
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
    return gain > -SIGMAS * sigma


def _better(metric: str, gain: float, sigma: float) -> bool:
    return gain > SIGMAS * sigma


def _alike(metric: str, gain: float, sigma: float) -> bool:
    return abs(gain) < ALIKE.get(metric, ALIKE_OTHERS) + SIGMAS * sigma


CLAIMS = {
    ("many", "psf_aware", "psf_unaware"): ("many: psf_aware >= psf_unaware", _no_worse),
    ("many", "psf_unaware", "single_field"): ("many: psf_unaware > single_field", _better),
    ("one", "psf_unaware", "single_field"): ("one: psf_unaware like single_field", _alike),
    ("one", "psf_aware", "single_field"): ("one: psf_aware like single_field", _alike),
}
"""Test set, method and reference -> the claim and how it is judged."""
