"""A catalog with uncertainties, as a network predicts it from images."""

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
    """Predicted sources as point estimates, and the distributions that these summarise.

    Parameters
    ----------
    detections : Detections
        The point estimates.
    position : TruncatedBivariateNormal
        float64 (source,) on the CPU, 0-indexed pixels of the image. It is confined to one tile,
        even for a source that several tiles share.
    flux : LogNormal or LogNormalMixture
        float64 (source,) on the CPU, nanomaggies.

    Notes
    -----
    Both distributions are in the order of the detections, so that
    ``flux[match.detection].cdf(true_flux)`` gives the PIT of each matched pair.
    """

    detections: Detections
    position: TruncatedBivariateNormal
    flux: LogNormal | LogNormalMixture

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the catalogs of several batches, in their order."""
        return cls(
            Detections.concatenate([part.detections for part in parts]),
            concatenate([part.position for part in parts]),
            concatenate([part.flux for part in parts]),
        )

    def where(self, kept: np.ndarray) -> Self:
        """Return the sources of a bool mask (source,)."""
        rows = torch.from_numpy(np.flatnonzero(kept))
        point = Detections(**{name: column[kept] for name, column in vars(self.detections).items()})
        return type(self)(point, self.position[rows], self.flux[rows])

    def pit(self, detection: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the probability integral transform (PIT) of the true values of some sources.

        Parameters
        ----------
        detection : ndarray
            int (pair,): indices of detections.
        truth : dict of str to ndarray
            ``x``, ``y``, ``flux`` -> true value of each pair, (pair,).

        Returns
        -------
        dict of str to ndarray
            ``x``, ``y``, ``flux`` -> float64 (pair,): probability of a value below the true one.
        """
        rows = torch.from_numpy(detection)
        true = {name: torch.from_numpy(v.astype(np.float64)) for name, v in truth.items()}
        position = self.position[rows]
        return {
            "x": position.x.cdf(true["x"]).numpy(),
            "y": position.y.cdf(true["y"]).numpy(),
            "flux": self.flux[rows].cdf(true["flux"]).numpy(),
        }
