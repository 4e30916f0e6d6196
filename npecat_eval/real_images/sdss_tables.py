"""What a comparison with SDSS's catalog says: by magnitude, and source by source."""

import numpy as np
from astropy.table import Table

from npecat_eval.real_images.proportions import ratio, share
from npecat_eval.real_images.sdss_comparison import Comparison

BINS = ((-np.inf, 15), (15, 18), (18, 20), (20, 21), (21, 21.5), (21.5, 22), (22, 22.5))
SUMS = ((-np.inf, 21), (15, 20), (15, 21))
"""Ranges of magnitude, the lower end included: those of the summary, and sums of them."""

LISTED_LIMIT = 21.0
LISTED_DIFFERENCE = 0.3
"""Magnitudes: disagreements brighter than the one are listed, of flux if they exceed the other."""

COLUMNS = (
    ("ra", "deg", "of the detection, or of SDSS's source where there is none"),
    ("dec", "deg", "likewise"),
    ("x", "pix", "likewise, 0-indexed"),
    ("y", "pix", "likewise, 0-indexed"),
    ("sdss_mag", "mag", "PSF magnitude of a star, cmodel of a galaxy; NaN where no source"),
    ("mag_r", "mag", "of the detection; NaN where there is none"),
    ("sdss_type", "", "star, galaxy or -"),
    ("prob_galaxy", "", "of the detection"),
    ("nearest", "arcsec", "from the detection to the nearest SDSS source of any status"),
    ("flags", "", "of the detection"),
)
"""Of a table of sources: name, unit and meaning."""


def summary(comparison: Comparison) -> Table:
    """A row for each range of BINS, then of SUMS.

    complete, agree, alone, alone_unflagged: shares (number, and limits of one sigma): of SDSS's
    sources that are found, of pairs of one type, of detections that SDSS has not though it
    measures there, and of these with flags 0. star, galaxy: median ratio of flux to SDSS's, its
    standard error, and scatter.
    """
    return Table([_row(comparison, low, high) for low, high in (*BINS, *SUMS)])


def _row(comparison: Comparison, low: float, high: float) -> dict[str, float]:
    true, found = comparison.true_magnitude, comparison.catalog.mag_r
    inside = (true >= low) & (true < high)
    pair = inside[comparison.match.truth]
    seen = (found >= low) & (found < high) & comparison.is_within
    unflagged = seen & (comparison.catalog.flags == 0)
    galaxy = comparison.true_galaxy[comparison.match.truth]
    return {
        "mag_low": float(low),
        "mag_high": float(high),
        **share("complete", comparison.match.truth_match[inside] >= 0),
        **share("agree", comparison.agrees[pair]),
        **share("alone", comparison.is_alone[seen]),
        **share("alone_unflagged", comparison.is_alone[unflagged]),
        **ratio("star", comparison.flux_ratio[pair & ~galaxy]),
        **ratio("galaxy", comparison.flux_ratio[pair & galaxy]),
    }


def disagreements(comparison: Comparison) -> Table:
    """Sources brighter than LISTED_LIMIT that the catalogs do not agree on, brightest first.

    kind: "missed" by us, "extra" where SDSS has nothing, another "type", or a "flux" that differs
    by LISTED_DIFFERENCE; the other columns are COLUMNS.
    """
    truth, detection = comparison.match.truth, comparison.match.detection
    bright = comparison.true_magnitude < LISTED_LIMIT
    far = np.abs(2.5 * np.log10(comparison.flux_ratio)) > LISTED_DIFFERENCE
    missed = np.flatnonzero(bright & (comparison.match.truth_match < 0))
    extra = np.flatnonzero(comparison.is_alone & (comparison.catalog.mag_r < LISTED_LIMIT))
    cases = {
        "missed": (missed, np.full(len(missed), -1)),
        "extra": (np.full(len(extra), -1), extra),
    }
    for kind, wrong in (("type", ~comparison.agrees), ("flux", far)):
        chosen = wrong & bright[truth]
        cases[kind] = truth[chosen], detection[chosen]
    rows, found = (np.concatenate(part) for part in zip(*cases.values(), strict=True))
    table = _sources(comparison, rows, found)
    kinds = np.repeat(list(cases), [len(part) for part, _ in cases.values()])
    table.add_column(kinds, name="kind", index=0)
    return table[np.argsort(np.fmin(table["sdss_mag"], table["mag_r"]), kind="stable")]


def joined(comparison: Comparison) -> Table:
    """COLUMNS of every reference source with its detection, then of all other detections."""
    others = np.flatnonzero(comparison.match.detection_match < 0)
    rows = np.concatenate([np.arange(len(comparison.reference)), np.full(len(others), -1)])
    return _sources(comparison, rows, np.concatenate([comparison.match.truth_match, others]))


def _sources(comparison: Comparison, rows: np.ndarray, found: np.ndarray) -> Table:
    """COLUMNS of references ``rows`` with detections ``found``, -1 standing for none; (n,)."""
    catalog, sdss = comparison.catalog, comparison.sdss
    source, is_source, is_found = comparison.reference[rows], rows >= 0, found >= 0

    def either(name: str) -> np.ndarray:
        return np.where(is_found, getattr(catalog, name)[found], getattr(sdss, name)[source])

    kind = np.where(sdss.is_galaxy[source], "galaxy", "star")
    values = (
        *map(either, ("ra", "dec", "x", "y")),
        np.where(is_source, sdss.magnitude[source], np.nan),
        np.where(is_found, catalog.mag_r[found], np.nan),
        np.where(is_source, kind, "-"),
        np.where(is_found, catalog.prob_galaxy[found], np.nan),
        np.where(is_found, comparison.nearest[found], np.nan),
        np.where(is_found, catalog.flags[found], 0),
    )
    table = Table()
    for (name, unit, description), column in zip(COLUMNS, values, strict=True):
        table[name] = column
        table[name].unit = unit or None
        table[name].description = description
    return table
