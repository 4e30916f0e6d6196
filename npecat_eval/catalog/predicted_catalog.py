"""A predicted catalog with its uncertainties: what a network found in images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from npecat_eval.catalog.detections import Detections
from npecat_train.posterior.distributions import concatenate
from npecat_train.posterior.log_normal import LogNormal, LogNormalMixture
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal


@dataclass(frozen=True)
class PredictedCatalog:
    """n predicted sources as point estimates, and the distributions that these summarise.

    position: 0-indexed pixels of the image; flux: nanomaggies; both float64 (n,) on the CPU, in
    the order of the detections, so that ``flux[match.detection].cdf(true_flux)`` can be taken.
    The position is confined to one tile, even of a source that is shared by several.
    """

    detections: Detections
    position: TruncatedBivariateNormal
    flux: LogNormal | LogNormalMixture

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The catalogs of several batches, in their order."""
        return cls(
            Detections.concatenate([part.detections for part in parts]),
            concatenate([part.position for part in parts]),
            concatenate([part.flux for part in parts]),
        )

    def pit(self, detection: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Probability of less than the truth: float64 (pair,) for each of x, y and flux.

        detection: int (pair,), indices of detections. truth: the true x, y and flux of each pair.
        """
        rows = torch.from_numpy(detection)
        true = {name: torch.from_numpy(v.astype(np.float64)) for name, v in truth.items()}
        position = self.position[rows]
        return {
            "x": position.x.cdf(true["x"]).numpy(),
            "y": position.y.cdf(true["y"]).numpy(),
            "flux": self.flux[rows].cdf(true["flux"]).numpy(),
        }
