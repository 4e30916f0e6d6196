"""A predicted catalog beside the truth: what every metric is computed from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from npecat_eval.catalog.detections import Detections
from npecat_eval.metrics.matching import Match, Positions, match
from npecat_sim.model.catalog import Catalog
from npecat_sim.units import magnitude


@dataclass(frozen=True)
class MatchedCatalog:
    """Truth and detections of the same images with their match.

    truth: columns of Catalog.flat(), every simulated source however faint.
    """

    n_images: int
    truth: dict[str, np.ndarray]
    detections: Detections
    match: Match

    @classmethod
    def of(cls, truth: Catalog, detections: Detections) -> Self:
        """Match all images. Raises ValueError where a detection is of no image of the truth."""
        n_images = len(truth.count)
        if np.any((detections.image < 0) | (detections.image >= n_images)):
            raise ValueError(f"detections lie in images outside [0, {n_images})")
        table = truth.flat()
        positions = Positions(table["image"], table["x"], table["y"])
        return cls(n_images, table, detections, match(positions, detections))

    @cached_property
    def true_magnitude(self) -> np.ndarray:
        """float64 (truth,)."""
        return magnitude(self.truth["flux"])

    @cached_property
    def estimated_magnitude(self) -> np.ndarray:
        """float64 (detection,); NaN where the flux is not positive."""
        return magnitude(self.detections.flux)
