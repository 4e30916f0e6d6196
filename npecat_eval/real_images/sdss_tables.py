"""The results of a comparison with SDSS's catalog: by magnitude, and source by source."""

import numpy as np
from astropy.table import Table

from npecat_eval.real_images.proportions import ratio, share
from npecat_eval.real_images.sdss_comparison import Comparison

BINS = ((-np.inf, 15), (15, 18), (18, 20), (20, 21), (21, 21.5), (21.5, 22), (22, 22.5))
SUMS = ((-np.inf, 21), (15, 20), (15, 21))
"""Ranges of magnitude, which include their lower end: narrow ones and wide ones."""

LISTED_LIMIT = 21.0
LISTED_DIFFERENCE = 0.3
"""Magnitudes: disagreements of sources brighter than LISTED_LIMIT are listed; those of flux if they
exceed LISTED_DIFFERENCE."""

MAGNITUDE = "mag_{band}"
"""Name of the column of our magnitude, which bears that of the catalog's band."""

COLUMNS = (
    ("ra", "deg", "of the detection, or of SDSS's source where there is none"),
    ("dec", "deg", "likewise"),
    ("x", "pix", "likewise, 0-indexed"),
    ("y", "pix", "likewise, 0-indexed"),
    ("sdss_mag", "mag", "PSF magnitude of a star, cmodel of a galaxy; NaN where no source"),
    (MAGNITUDE, "mag", "of the detection; NaN where there is none"),
    ("sdss_type", "", "star, galaxy or -"),
    ("prob_galaxy", "", "of the detection"),
    ("nearest", "arcsec", "from the detection to the nearest SDSS source of any status"),
    ("flags", "", "of the detection"),
)
"""Columns of a table of sources: name, unit and meaning."""


def summary(comparison: Comparison) -> Table:
    """Completeness, types and fluxes by magnitude.

    Parameters
    ----------
    comparison : Comparison
        A catalog matched to SDSS's.

    Returns
    -------
    Table
        A row for each range of BINS, then of SUMS. Shares (see proportions.share) are

        - ``complete``: SDSS's sources that are found,
        - ``agree``: pairs with the same type in both,
        - ``alone``: detections without an SDSS source, where SDSS measures sources,
        - ``alone_unflagged``: the same of detections with flags 0.

        ``star`` and ``galaxy`` are ratios of flux to SDSS's (see proportions.ratio), by SDSS's
        type.
    """
    return Table([_row(comparison, low, high) for low, high in (*BINS, *SUMS)])


def _row(comparison: Comparison, low: float, high: float) -> dict[str, float]:
    """The row of the summary for magnitudes of at least ``low`` and below ``high``."""
    true, found = comparison.true_magnitude, comparison.catalog.magnitude
    inside = (true >= low) & (true < high)
    pair = inside[comparison.match.truth]
    seen = (found >= low) & (found < high) & comparison.is_within
    unflagged = seen & (comparison.catalog.flags == 0)
    galaxy = comparison.true_galaxy[comparison.match.truth]
    measured = pair & np.isfinite(comparison.flux_ratio)
    return {
        "mag_low": float(low),
        "mag_high": float(high),
        **share("complete", comparison.match.truth_match[inside] >= 0),
        **share("agree", comparison.agrees[pair]),
        **share("alone", comparison.is_alone[seen]),
        **share("alone_unflagged", comparison.is_alone[unflagged]),
        **ratio("star", comparison.flux_ratio[measured & ~galaxy]),
        **ratio("galaxy", comparison.flux_ratio[measured & galaxy]),
    }


def disagreements(comparison: Comparison) -> Table:
    """Sources brighter than LISTED_LIMIT on which the catalogs disagree, the brightest first.

    Parameters
    ----------
    comparison : Comparison
        A catalog matched to SDSS's.

    Returns
    -------
    Table
        ``kind`` and COLUMNS. The kind is "missed" by us, "extra" where SDSS has no source, "type"
        where types differ, or "flux" where fluxes differ by more than LISTED_DIFFERENCE. A source
        has a row for each kind.
    """
    truth, detection = comparison.match.truth, comparison.match.detection
    bright = comparison.true_magnitude < LISTED_LIMIT
    far = np.abs(2.5 * np.log10(comparison.flux_ratio)) > LISTED_DIFFERENCE
    missed = np.flatnonzero(bright & (comparison.match.truth_match < 0))
    extra = np.flatnonzero(comparison.is_alone & (comparison.catalog.magnitude < LISTED_LIMIT))
    cases = {
        "missed": (missed, np.full(len(missed), -1)),
        "extra": (np.full(len(extra), -1), extra),
    }
    for kind, wrong in (("type", ~comparison.agrees), ("flux", far)):
        chosen = wrong & bright[truth]
        cases[kind] = truth[chosen], detection[chosen]
    rows = np.concatenate([truths for truths, _ in cases.values()])
    found = np.concatenate([detections for _, detections in cases.values()])
    table = _sources(comparison, rows, found)
    kinds = np.repeat(list(cases), [len(part) for part, _ in cases.values()])
    table.add_column(kinds, name="kind", index=0)
    magnitude = MAGNITUDE.format(band=comparison.catalog.band)
    return table[np.argsort(np.fmin(table["sdss_mag"], table[magnitude]), kind="stable")]


def joined(comparison: Comparison) -> Table:
    """A table of COLUMNS: every reference source with its detection, then all other detections."""
    others = np.flatnonzero(comparison.match.detection_match < 0)
    rows = np.concatenate([np.arange(len(comparison.reference)), np.full(len(others), -1)])
    return _sources(comparison, rows, np.concatenate([comparison.match.truth_match, others]))


def _sources(comparison: Comparison, rows: np.ndarray, found: np.ndarray) -> Table:
    """COLUMNS of pairs: indices of reference sources and of detections, -1 where there is none."""
    catalog, sdss = comparison.catalog, comparison.sdss
    source, is_source, is_found = comparison.reference[rows], rows >= 0, found >= 0

    def either(name: str) -> np.ndarray:
        """The detection's value, or SDSS's where there is no detection."""
        column: np.ndarray = getattr(catalog, name)[found]
        return np.where(is_found, column, getattr(sdss, name)[source])

    kind = np.where(sdss.is_galaxy[source], "galaxy", "star")
    values = (
        *map(either, ("ra", "dec", "x", "y")),
        np.where(is_source, sdss.magnitude[source], np.nan),
        np.where(is_found, catalog.magnitude[found], np.nan),
        np.where(is_source, kind, "-"),
        np.where(is_found, catalog.prob_galaxy[found], np.nan),
        np.where(is_found, comparison.nearest[found], np.nan),
        np.where(is_found, catalog.flags[found], 0),
    )
    table = Table()
    for (pattern, unit, description), column in zip(COLUMNS, values, strict=True):
        name = pattern.format(band=catalog.band)
        table[name] = column
        table[name].unit = unit or None
        table[name].description = description
    return table
