"""Recovery of simulated sources that were added to a real image.

The image is cataloged without and with them. What is found in the sum is matched, one to one and
within MATCH_RADIUS, to what was found without and to what was added together; an added source is
recovered where a detection is left for it. A source that landed within MERGED_RADIUS of one that
was found before is left out: both lie in one tile, which holds one source, and no catalog could
tell whether it found the one or the other. Blends wider than that count.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack
from scipy.spatial import KDTree

from npecat_eval.catalog.detections import GALAXY_THRESHOLD, Detections
from npecat_eval.metrics.matching import Positions, match
from npecat_eval.real_images.proportions import ratio, share
from npecat_sim.model.prior import PAPER_PRIOR
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.injection import MAGNITUDES, draw_injection, inject
from npecat_sim.units import magnitude

MERGED_RADIUS = 2.0
"""Pixels: half a tile."""

STEP = 0.5
EDGES = np.arange(MAGNITUDES[0], MAGNITUDES[1] + STEP / 2, STEP)
"""Bins of true magnitude."""

COLUMNS = (
    ("round", "", "of injections, counted from 0"),
    ("x", "pix", "true position, 0-indexed"),
    ("y", "pix", "true position, 0-indexed"),
    ("is_galaxy", "", "true type"),
    ("flux", "nmgy", "true flux"),
    ("merged", "", "landed on a source that was found before; left out of all figures"),
    ("found_flux", "nmgy", "of the detection; NaN where it is not recovered"),
    ("found_prob_galaxy", "", "of the detection; NaN where it is not recovered"),
)
"""Of a table of injected sources: name, unit and meaning."""

Cataloger = Callable[[SurveyImage], Detections]


def injection_test(image: SurveyImage, catalog: Cataloger, rounds: int, seed: int) -> Table:
    """COLUMNS of every injected source; the same seed gives the same sources and noise."""
    before = catalog(image)
    parts = []
    for number in range(rounds):
        sources = draw_injection(image, PAPER_PRIOR, seed, number)
        after = catalog(inject(image, sources, seed, number))
        recovery = recover(before, after, sources["x"], sources["y"])
        found = recovery.detection
        parts.append(
            Table(
                {
                    "round": np.full(len(found), number),
                    **{name: sources[name] for name in ("x", "y", "is_galaxy", "flux")},
                    "merged": recovery.merged,
                    "found_flux": _where_found(after.flux, found),
                    "found_prob_galaxy": _where_found(after.prob_galaxy, found),
                }
            )
        )
    table = vstack(parts)
    for name, unit, description in COLUMNS:
        table[name].description = description
        table[name].unit = unit or None
    return table


def _where_found(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """float64 like ``found``, values at its indices, NaN where it is -1."""
    return np.append(values, np.nan)[found]


@dataclass(frozen=True)
class Recovery:
    """Of injected sources: int64 (injected,) their detections, -1 where there is none, and
    bool (injected,) whether they landed on a source that was found before."""

    detection: np.ndarray
    merged: np.ndarray


def recover(before: Detections, after: Detections, x: np.ndarray, y: np.ndarray) -> Recovery:
    """Find injected sources at (x, y), pixels, among the detections with them in the image."""
    every_x, every_y = np.concatenate([before.x, x]), np.concatenate([before.y, y])
    there = Positions(np.zeros(len(every_x), np.int64), every_x, every_y)
    detection = match(there, after).truth_match[len(before) :]
    merged = np.zeros(len(x), dtype=bool)
    if len(before):
        nearest, _ = KDTree(np.column_stack([before.x, before.y])).query(np.column_stack([x, y]))
        merged = nearest < MERGED_RADIUS
    return Recovery(detection, merged)


def summary(table: Table) -> Table:
    """A row for each of EDGES and type: shares recovered and of right type, flux over truth.

    table: from injection_test. Ratios are of recovered sources, whatever type they were given.
    """
    used = table[~np.array(table["merged"])]
    true_magnitude = magnitude(used["flux"])
    is_found = np.isfinite(used["found_flux"])
    right = (used["found_prob_galaxy"] > GALAXY_THRESHOLD) == used["is_galaxy"]
    rows = []
    for kind, of_kind in (("star", ~used["is_galaxy"]), ("galaxy", used["is_galaxy"])):
        for low, high in itertools.pairwise(EDGES):
            inside = np.array(of_kind & (true_magnitude >= low) & (true_magnitude < high))
            both = inside & is_found
            rows.append(
                {
                    "type": kind,
                    "mag_low": low,
                    "mag_high": high,
                    **share("recovered", is_found[inside]),
                    **ratio("flux", np.array(used["found_flux"] / used["flux"])[both]),
                    **share("right_type", np.array(right)[both]),
                }
            )
    return Table(rows)
