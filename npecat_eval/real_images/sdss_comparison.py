"""A catalog of a survey frame beside SDSS's own catalog of it.

SDSS's magnitudes and types are no truth: at r = 22 they have noise, and errors, of their own. So
completeness means the share of SDSS's sources that were found, and agreement that of those of
one type in both. Magnitudes are SDSS's but for detections that SDSS has not.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.spatial import KDTree

from npecat_eval.catalog.detections import GALAXY_THRESHOLD
from npecat_eval.metrics.matching import Match, Positions, match
from npecat_eval.real_images.photoobj import SdssCatalog
from npecat_eval.real_images.sky_catalog import SkyCatalog, projected
from npecat_sim.errors import NpecatError
from npecat_sim.units import PIXEL_SCALE

SKY_RADIUS = 1.0
"""Arcsec: the largest distance of a matched pair, 2.5 pixels, for galaxies of SDSS are large."""

NEAR_RADIUS = 2 * PIXEL_SCALE
"""Arcsec: a detection farther than 2 pixels from every SDSS source is one that SDSS has not."""

FRAME_SIDES = 2048, 1489
"""Pixels along x and y of an SDSS frame."""

SDSS_EDGE = 20.0
"""Pixels from a frame's edge within which SDSS has some sources and measures none: in field 94/1/12
every row there has the flag EDGE in r, and farther inside only those of large ones have."""


@dataclass(frozen=True)
class Comparison:
    """Both catalogs, the match of reference rows to detections, and the nearest SDSS source.

    reference: int64, rows of ``sdss`` that ``match.truth`` counts. nearest: float64 (detection,),
    arcsec to the nearest SDSS source of any status.
    """

    catalog: SkyCatalog
    sdss: SdssCatalog
    reference: np.ndarray
    match: Match
    nearest: np.ndarray

    @classmethod
    def of(cls, catalog: SkyCatalog, sdss: SdssCatalog) -> Self:
        """Match on the sky. Raises NpecatError where the catalogs share no source."""
        centre = float(sdss.ra[0]), float(sdss.dec[0])
        detections = projected(catalog.ra, catalog.dec, centre)
        sources = projected(sdss.ra, sdss.dec, centre)
        reference = np.flatnonzero(sdss.is_reference)
        truth = Positions(*(getattr(sources, axis)[reference] for axis in ("image", "x", "y")))
        pairs = match(truth, detections, SKY_RADIUS)
        if len(pairs.truth) == 0:
            raise NpecatError(
                f"none of the {len(catalog)} detections lies within {SKY_RADIUS:g} arcsec of one "
                "of SDSS's sources; give the photoObj file of the same field"
            )
        tree = KDTree(np.column_stack([sources.x, sources.y]))
        nearest, _ = tree.query(np.column_stack([detections.x, detections.y]))
        return cls(catalog, sdss, reference, pairs, nearest)

    @cached_property
    def true_magnitude(self) -> np.ndarray:
        """float64 (reference,): SDSS's."""
        return self.sdss.magnitude[self.reference]

    @cached_property
    def true_galaxy(self) -> np.ndarray:
        """bool (reference,): SDSS's type."""
        return self.sdss.is_galaxy[self.reference]

    @cached_property
    def called_galaxy(self) -> np.ndarray:
        """bool (detection,)."""
        return self.catalog.prob_galaxy > GALAXY_THRESHOLD

    @cached_property
    def flux_ratio(self) -> np.ndarray:
        """float64 (pair,): the detection's flux over SDSS's."""
        difference = (
            self.catalog.mag_r[self.match.detection] - self.true_magnitude[self.match.truth]
        )
        return 10 ** (-0.4 * difference)

    @cached_property
    def agrees(self) -> np.ndarray:
        """bool (pair,): both say star or both galaxy."""
        called, true = self.called_galaxy[self.match.detection], self.true_galaxy[self.match.truth]
        return called == true

    @cached_property
    def is_within(self) -> np.ndarray:
        """bool (detection,): it lies where SDSS measures what it finds."""
        width, height = FRAME_SIDES
        x, y = self.catalog.x, self.catalog.y
        return np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]) >= SDSS_EDGE

    @cached_property
    def is_alone(self) -> np.ndarray:
        """bool (detection,): SDSS has nothing there."""
        return self.nearest > NEAR_RADIUS
