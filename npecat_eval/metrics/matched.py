"""A predicted catalog matched to the truth, from which every metric is computed."""

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
    """True sources and detections of the same images, with their match.

    Parameters
    ----------
    n_images : int
        Number of images.
    truth : dict of str to ndarray
        Columns of Catalog.flat(), (truth,): every simulated source, however faint.
    detections : Detections
        Predicted sources.
    match : Match
        Pairs of true sources and detections.
    hidden : ndarray, optional
        bool (truth,): sources that are in the match and in no metric by true magnitude.
    """

    n_images: int
    truth: dict[str, np.ndarray]
    detections: Detections
    match: Match
    hidden: np.ndarray | None = None

    @classmethod
    def of(
        cls, truth: Catalog, detections: Detections, *, hidden: np.ndarray | None = None
    ) -> Self:
        """Match the detections of all images to the true sources.

        Parameters
        ----------
        truth : Catalog
            True sources of all images.
        detections : Detections
            Predicted sources of the same images.
        hidden : ndarray, optional
            bool (source,), in the order of Catalog.flat.

        Returns
        -------
        MatchedCatalog

        Raises
        ------
        ValueError
            If the image of a detection is not one of the images of the truth.
        """
        n_images = len(truth.count)
        if np.any((detections.image < 0) | (detections.image >= n_images)):
            raise ValueError(f"detections lie in images outside [0, {n_images})")
        table = truth.flat()
        positions = Positions(table["image"], table["x"], table["y"])
        return cls(n_images, table, detections, match(positions, detections), hidden)

    @cached_property
    def true_magnitude(self) -> np.ndarray:
        """float64 (truth,): true r magnitude; NaN where a source is hidden."""
        true = magnitude(self.truth["flux"])
        return true if self.hidden is None else np.where(self.hidden, np.nan, true)

    @cached_property
    def estimated_magnitude(self) -> np.ndarray:
        """float64 (detection,): estimated r magnitude; NaN where the flux is not positive."""
        return magnitude(self.detections.flux)
