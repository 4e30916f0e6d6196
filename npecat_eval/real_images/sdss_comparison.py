"""The comparison of a catalog of a survey frame with SDSS's own catalog of it.

SDSS's magnitudes and types are not the truth: at r = 22 they have noise and errors of their own.
So completeness is the share of SDSS's sources that were found, and agreement is the share of the
matched pairs that have the same type in both. Magnitudes are SDSS's, except for detections without
an SDSS source.
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
"""Arcsec: the largest distance of a matched pair; 2.5 pixels, since galaxies can be large."""

NEAR_RADIUS = 2 * PIXEL_SCALE
"""Arcsec: a detection farther than this, 2 pixels, from every SDSS source is missing in SDSS."""

FRAME_SIDES = 2048, 1489
"""Width and height of an SDSS frame in pixels."""

SDSS_EDGE = 20.0
"""Pixels: within this distance from a frame's edge SDSS lists some sources and measures none. In
field 94/1/12 every row there has the flag EDGE in r; farther inside only large sources have it."""


@dataclass(frozen=True)
class Comparison:
    """Two catalogs of one field and the match between their sources.

    Parameters
    ----------
    catalog : SkyCatalog
        The detections.
    sdss : SdssCatalog
        SDSS's own catalog.
    reference : ndarray
        int64 (reference,), the rows of ``sdss`` that were matched; ``match.truth`` holds indices
        into this array.
    match : Match
        Of reference sources and detections.
    nearest : ndarray
        float64 (detection,), arcsec to the nearest SDSS source of any status.
    """

    catalog: SkyCatalog
    sdss: SdssCatalog
    reference: np.ndarray
    match: Match
    nearest: np.ndarray

    @classmethod
    def of(cls, catalog: SkyCatalog, sdss: SdssCatalog) -> Self:
        """Match two catalogs on the sky.

        Parameters
        ----------
        catalog : SkyCatalog
            The detections.
        sdss : SdssCatalog
            SDSS's catalog of the same field.

        Returns
        -------
        Comparison

        Raises
        ------
        NpecatError
            If the catalogs share no source.
        """
        centre = float(sdss.ra[0]), float(sdss.dec[0])
        detections = projected(catalog.ra, catalog.dec, centre=centre)
        sources = projected(sdss.ra, sdss.dec, centre=centre)
        reference = np.flatnonzero(sdss.is_reference)
        truth = Positions(
            image=sources.image[reference], x=sources.x[reference], y=sources.y[reference]
        )
        pairs = match(truth, detections, radius=SKY_RADIUS)
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
        """float64 (reference,): SDSS's magnitude, AB."""
        magnitudes: np.ndarray = self.sdss.magnitude[self.reference]
        return magnitudes

    @cached_property
    def true_galaxy(self) -> np.ndarray:
        """SDSS's type, bool (reference,)."""
        types: np.ndarray = self.sdss.is_galaxy[self.reference]
        return types

    @cached_property
    def called_galaxy(self) -> np.ndarray:
        """Whether our catalog takes a detection for a galaxy, bool (detection,)."""
        return self.catalog.prob_galaxy > GALAXY_THRESHOLD

    @cached_property
    def flux_ratio(self) -> np.ndarray:
        """float64 (pair,): the detection's flux over SDSS's."""
        difference = (
            self.catalog.magnitude[self.match.detection] - self.true_magnitude[self.match.truth]
        )
        ratio: np.ndarray = 10 ** (-0.4 * difference)
        return ratio

    @cached_property
    def agrees(self) -> np.ndarray:
        """Whether both catalogs give the same type, bool (pair,)."""
        called, true = self.called_galaxy[self.match.detection], self.true_galaxy[self.match.truth]
        agrees: np.ndarray = called == true
        return agrees

    @cached_property
    def is_within(self) -> np.ndarray:
        """Whether SDSS measures sources at a detection, bool (detection,); see SDSS_EDGE."""
        width, height = FRAME_SIDES
        x, y = self.catalog.x, self.catalog.y
        from_edge: np.ndarray = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y])
        return from_edge >= SDSS_EDGE

    @cached_property
    def is_alone(self) -> np.ndarray:
        """Whether SDSS has no source at a detection, bool (detection,); see NEAR_RADIUS."""
        return self.nearest > NEAR_RADIUS
