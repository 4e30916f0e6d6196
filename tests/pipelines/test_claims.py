"""The paper's claims, held against planted tables."""

import pytest
from astropy.table import Table
from click.testing import CliRunner

from npecat.experiments.claims import check_claims
from npecat_eval.report.claims import verdicts

NAMES = (
    "test_set",
    "method",
    "reference",
    "metric",
    "axis",
    "selection",
    "value",
    "sigma",
)


def table(*rows: tuple) -> Table:
    """Rows (test set, method, reference, metric, value, sigma) over all sources."""
    full = [(*row[:4], "none", "all", *row[4:]) for row in rows]
    return Table(rows=full, names=NAMES)


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (("many", "psf_aware", "psf_unaware", "recall", -0.001, 0.001), True),
        (("many", "psf_aware", "psf_unaware", "recall", -0.003, 0.001), False),
        (("many", "psf_aware", "psf_unaware", "flux_error_percent", 0.5, 0.1), False),
        (("many", "psf_aware", "psf_unaware", "flux_error_percent", -0.5, 0.1), True),
        (("many", "psf_unaware", "single_field", "f1", 0.001, 0.001), False),
        (("many", "psf_unaware", "single_field", "f1", 0.003, 0.001), True),
        (("one", "psf_aware", "single_field", "f1", 0.009, 0.001), True),
        (("one", "psf_aware", "single_field", "f1", -0.02, 0.001), False),
        (("one", "psf_unaware", "single_field", "flux_error_percent", 0.9, 0.1), True),
    ],
)
def test_claim(row, holds):
    (verdict,) = verdicts(table(row))
    assert verdict.holds == holds
    assert (verdict.difference, verdict.sigma) == row[4:]


def test_only_the_claims_are_judged(tmp_path):
    found = table(
        ("many", "psf_aware", "truth", "recall", 0.9, 0.1),
        ("many", "psf_aware", "SEP", "recall", 0.1, 0.1),
        ("one", "psf_aware", "psf_unaware", "recall", 0.1, 0.1),
        ("many", "psf_aware", "psf_unaware", "nll", 0.1, 0.1),
        ("many", "psf_aware", "psf_unaware", "recall", 0.01, 0.001),
    )
    assert [verdict.metric for verdict in verdicts(found)] == ["recall"]
    found.write(tmp_path / "metrics.ecsv", format="ascii.ecsv")
    said = CliRunner().invoke(check_claims, [str(tmp_path)], catch_exceptions=False)
    assert said.output.split() == (
        ["many:", "psf_aware", ">=", "psf_unaware", "Recall", "+0.0100", "±", "0.0010", "holds"]
    )
