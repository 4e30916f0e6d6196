"""Scores of the posterior of all tiles of a test set, which a catalog does not determine.

A catalog holds only probable sources. The expected number of sources, however, is a sum over all
tiles. The likelihood of the true catalog, a proper score, includes sources that are not detected.
And the posterior can be compared with the truth at every true source, as in the paper.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from npecat_eval.metrics.binned_means import EVERY, TILES, Label, Mean
from npecat_eval.metrics.bins import OVERALL, within
from npecat_eval.metrics.calibration import Counts, Pits
from npecat_eval.metrics.reliability import PROBABILITY_EDGES, reliability_means, reliability_sums
from npecat_sim.units import flux_of_magnitude, magnitude
from npecat_train.data.batch import TrainingBatch
from npecat_train.model import image_losses, true_tiles
from npecat_train.posterior.tile_posterior import TilePosterior


@dataclass(frozen=True)
class TileScores:
    """Scores of the images of a test set, in their order.

    Parameters
    ----------
    expected : ndarray
        float64 (image, selection): expected number of sources in each range of magnitude.
    reliability : ndarray
        float64 (3, image, bin): number of tiles with P(source) in each bin of PROBABILITY_EDGES,
        sum of these probabilities, number of these tiles that hold a source.
    losses : dict of str to ndarray
        Factor of the posterior -> float64 (image,): negative log-likelihood, nats.
    at_sources : dict of str to ndarray
        Column -> (source,), for each true source that is the brightest of its tile: ``image``,
        ``true_magnitude``, ``estimated_magnitude`` (of the median flux there), and the PITs
        ``flux``, ``x`` and ``y``.
    """

    expected: np.ndarray
    reliability: np.ndarray
    losses: dict[str, np.ndarray]
    at_sources: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        posterior: TilePosterior,
        batch: TrainingBatch,
        *,
        spans: dict[str, tuple[float, float]],
        first_image: int,
    ) -> "TileScores":
        """Compute the scores of a batch.

        Parameters
        ----------
        posterior : TilePosterior
            (batch, row, column).
        batch : TrainingBatch
            The images with their true catalogs.
        spans : dict of str to tuple of float
            Selection -> its range of r magnitude, see bins.selections.
        first_image : int
            Index of the first image of the batch in the test set.

        Returns
        -------
        TileScores
        """
        with torch.inference_mode():
            truth = true_tiles(batch)
            probability = posterior.source.probability
            expected = torch.stack(
                [_expected(posterior, probability, span) for span in spans.values()], dim=1
            )
            losses = image_losses(posterior, batch)
            at = torch.nonzero(truth.present, as_tuple=True)
            image, _, _ = at
            here = posterior[at].map(lambda tensor: tensor.double())
            pits = {
                "flux": here.flux.cdf(truth.flux[at].double()),
                "x": here.position.x.cdf(truth.x[at].double()),
                "y": here.position.y.cdf(truth.y[at].double()),
            }
        return cls(
            expected=_numpy(expected),
            reliability=reliability_sums(
                np.repeat(np.arange(len(probability)), probability[0].numel()),
                _numpy(probability).ravel(),
                is_true=_numpy(truth.present).ravel(),
                edges=PROBABILITY_EDGES,
                n_images=len(probability),
            ),
            losses={name: _numpy(loss) for name, loss in losses.items()},
            at_sources={
                "image": image.cpu().numpy() + first_image,
                "true_magnitude": magnitude(_numpy(truth.flux[at])),
                "estimated_magnitude": magnitude(_numpy(here.flux.median())),
                **{name: _numpy(pit) for name, pit in pits.items()},
            },
        )

    @classmethod
    def concatenate(cls, parts: "list[TileScores]") -> "TileScores":
        """Concatenate the scores of several batches, in their order."""

        def join(name: str) -> dict[str, np.ndarray]:
            columns = [getattr(part, name) for part in parts]
            return {key: np.concatenate([c[key] for c in columns]) for key in columns[0]}

        return cls(
            expected=np.concatenate([part.expected for part in parts]),
            reliability=np.concatenate([part.reliability for part in parts], axis=1),
            losses=join("losses"),
            at_sources=join("at_sources"),
        )

    def pits(self) -> list[Pits]:
        """Return the PITs of flux and of position (x and y together) at the true sources."""
        columns = self.at_sources

        def of(parameter: str, *names: str) -> Pits:
            image, estimated, true = [
                np.tile(columns[name], len(names))
                for name in ("image", "estimated_magnitude", "true_magnitude")
            ]
            pit = np.concatenate([columns[name] for name in names])
            return Pits(parameter, TILES, image, pit, estimated, true)

        return [of("flux", "flux"), of("position", "x", "y")]

    def counts(
        self,
        true_magnitude: np.ndarray,
        image: np.ndarray,
        *,
        spans: dict[str, tuple[float, float]],
    ) -> list[Counts]:
        """Compare expected and true numbers of sources in each image.

        The expectation includes the uncertainty of the flux and never depends on the truth.

        Parameters
        ----------
        true_magnitude : ndarray
            float64 (source,): r magnitude of all true sources.
        image : ndarray
            int (source,): index of the image of each of them.
        spans : dict of str to tuple of float
            Selection -> its range of r magnitude, see bins.selections.

        Returns
        -------
        list of Counts
            One per selection.
        """
        columns = self.at_sources

        def number(of: np.ndarray, magnitudes: np.ndarray, span: tuple[float, float]) -> np.ndarray:
            chosen = of[within(magnitudes, span)]
            return np.bincount(chosen, minlength=len(self.expected)).astype(np.float64)

        return [
            Counts(
                selection,
                span,
                expected=self.expected[:, index],
                true=number(image, true_magnitude, span),
                countable=number(columns["image"], columns["true_magnitude"], span),
            )
            for index, (selection, span) in enumerate(spans.items())
        ]

    def means(self) -> list[Mean]:
        """Return the metrics that are means: negative log-likelihoods and reliability.

        Returns
        -------
        list of Mean
            ``nll_`` with the name of each factor and their sum ``nll``, over images, nats; and
            the metrics of reliability_means, over tiles.
        """
        low, high = OVERALL.low, OVERALL.high
        ones = np.ones((len(self.expected), 1))
        losses = {f"nll_{factor}": loss for factor, loss in self.losses.items()}
        losses["nll"] = np.sum(list(self.losses.values()), axis=0)
        return [
            *(Mean(Label(name), low, high, loss[:, None], ones) for name, loss in losses.items()),
            *reliability_means(EVERY, self.reliability, edges=PROBABILITY_EDGES),
        ]


def _expected(posterior: TilePosterior, probability: Tensor, span: tuple[float, float]) -> Tensor:
    """float64 (batch,): expected number of sources in a range of magnitude."""
    brightest, faintest = span
    share = 1.0 if brightest == -np.inf else posterior.flux.cdf(_flux(posterior, brightest))
    share = share - posterior.flux.cdf(_flux(posterior, faintest))
    return (probability * share).sum(dim=(1, 2), dtype=torch.float64)


def _flux(posterior: TilePosterior, limit: float) -> Tensor:
    """Flux of a limiting magnitude, in the shape of the tiles, nanomaggies."""
    return torch.full_like(posterior.source.logit, flux_of_magnitude(limit))


def _numpy(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to the host; floating-point types become float64."""
    values = tensor.cpu().numpy()
    return values.astype(np.float64) if values.dtype.kind == "f" else values
