"""Recovery of simulated sources that were added to a real image.

The image is cataloged without and with the added sources. The detections with them are matched,
one to one and within MATCH_RADIUS, to the detections without them and the added sources together.
An added source is recovered if it has a detection of its own. A source that was added within
MERGED_RADIUS of an earlier detection is left out: both lie in one tile, which holds one source, and
no catalog could show which of the two it found. Wider blends count.
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
"""Magnitudes: width of a bin."""

EDGES = np.arange(MAGNITUDES[0], MAGNITUDES[1] + STEP / 2, STEP)
"""Edges of the bins of true magnitude."""

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
"""Columns of a table of injected sources: name, unit and meaning."""

Cataloger = Callable[[SurveyImage], Detections]
"""Any method that detects the sources of an image."""


def injection_test(image: SurveyImage, catalog: Cataloger, *, rounds: int, seed: int) -> Table:
    """Inject sources into an image several times and catalog each sum.

    Parameters
    ----------
    image : SurveyImage
        The image without injected sources.
    catalog : callable
        The method under test: an image -> its Detections.
    rounds : int
        Injections, each of new sources.
    seed : int
        The same seed gives the same sources and noise.

    Returns
    -------
    Table
        COLUMNS, a row for every injected source.
    """
    before = catalog(image)
    parts = []
    for number in range(rounds):
        sources = draw_injection(image, PAPER_PRIOR, seed=seed, round_number=number)
        after = catalog(inject(image, sources, seed=seed, round_number=number))
        recovery = recover(before, after, x=sources["x"], y=sources["y"])
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
    """float64 like ``found``: values at its indices, NaN where the index is -1."""
    chosen: np.ndarray = np.append(values, np.nan)[found]
    return chosen


@dataclass(frozen=True)
class Recovery:
    """Which injected sources were recovered.

    Parameters
    ----------
    detection : ndarray
        int64 (injected,), index of the detection of each source, -1 where there is none.
    merged : ndarray
        bool (injected,), whether a source lies within MERGED_RADIUS of an earlier detection.
    """

    detection: np.ndarray
    merged: np.ndarray


def recover(before: Detections, after: Detections, *, x: np.ndarray, y: np.ndarray) -> Recovery:
    """Match injected sources to the detections of the image that holds them.

    Parameters
    ----------
    before, after : Detections
        Of the image without and with the injected sources.
    x, y : ndarray
        float64 (injected,), 0-indexed pixels, where sources were added.

    Returns
    -------
    Recovery
    """
    every_x = np.concatenate([before.x, x])
    every_y = np.concatenate([before.y, y])
    there = Positions(np.zeros(len(every_x), np.int64), every_x, every_y)
    detection = match(there, after).truth_match[len(before) :]
    merged = np.zeros(len(x), dtype=bool)
    if len(before):
        nearest, _ = KDTree(np.column_stack([before.x, before.y])).query(np.column_stack([x, y]))
        merged = nearest < MERGED_RADIUS
    return Recovery(detection, merged)


def summary(table: Table) -> Table:
    """Recovery, types and fluxes of injected sources by type and true magnitude.

    Parameters
    ----------
    table : Table
        From injection_test.

    Returns
    -------
    Table
        A row for each type and bin of EDGES: the share recovered (``recovered``), and of the
        recovered sources the ratio of measured to true flux (``flux``), whatever their predicted
        type, and the share of the right type (``right_type``), see proportions.
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
