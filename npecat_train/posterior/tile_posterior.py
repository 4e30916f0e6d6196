"""The posterior of every tile: the product of its factors (Patel et al. 2025)."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from npecat_train.network.symmetry import Channels
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import Bernoulli, Distributions
from npecat_train.posterior.factors import FLUX, POSITION, SOURCE, TYPE, Factor
from npecat_train.posterior.log_normal import LogNormal, LogNormalMixture
from npecat_train.posterior.tile_catalog import TileCatalog
from npecat_train.posterior.truncated_normal import TruncatedBivariateNormal


def initial_outputs(flux: str) -> tuple[float, ...]:
    """Return the output of an untrained network, in the order of TilePosterior.from_raw.

    Parameters
    ----------
    flux : str
        The family of the flux, a key of factors.FLUX.

    Returns
    -------
    tuple of float
        One number for each output of a tile.
    """
    return tuple(output for factor in _factors(flux) for output in factor.initial_outputs)


def output_channels(flux: str) -> Channels:
    """Return how these outputs turn with the image; ``flux`` is a key of factors.FLUX."""
    return reduce(Channels.__add__, (factor.channels for factor in _factors(flux)))


def _factors(flux: str) -> tuple[Factor[Any], ...]:
    """The factors of the posterior, in the order of the network's outputs."""
    return SOURCE, POSITION, TYPE, FLUX[flux]


@dataclass(frozen=True)
class TilePosterior(Distributions):
    """Posterior of the brightest source of each tile, (batch, tile row, tile column).

    Parameters
    ----------
    source : Bernoulli
        Whether the tile has a source.
    position : TruncatedBivariateNormal
        Where the source is, if there is one: pixels from the tile's lower edges.
    galaxy : Bernoulli
        Whether the source is a galaxy, if there is one.
    flux : LogNormal or LogNormalMixture
        Flux of the source, if there is one: nanomaggies.
    """

    source: Bernoulli
    position: TruncatedBivariateNormal
    galaxy: Bernoulli
    flux: LogNormal | LogNormalMixture

    @classmethod
    def from_raw(cls, raw: Tensor, flux: str) -> "TilePosterior":
        """Make a posterior of the network's output.

        Parameters
        ----------
        raw : Tensor
            float32 or float64 (batch, output, tile row, tile column).
        flux : str
            The family of the flux, a key of factors.FLUX.

        Returns
        -------
        TilePosterior
            Its flux is in units of the flux in the reference aperture of each tile; see
            model.tile_posterior.
        """
        sizes = [factor.n_outputs for factor in _factors(flux)]
        source, position, galaxy, flux_outputs = torch.split(raw, sizes, dim=1)
        return cls(
            source=SOURCE.read(source),
            position=POSITION.read(position),
            galaxy=TYPE.read(galaxy),
            flux=FLUX[flux].read(flux_outputs),
        )

    def negative_log_likelihood(self, truth: TileCatalog) -> dict[str, Tensor]:
        """Return by factor the sum over the tiles of each image: float32 (batch,), nats."""
        where_present = {
            "position": self.position.log_prob(truth.x, truth.y),
            "type": self.galaxy.log_prob(truth.is_galaxy),
            "flux": self.flux.log_prob(truth.flux),
        }
        terms = {
            "source": self.source.log_prob(truth.present),
            **{name: term * truth.present for name, term in where_present.items()},
        }
        return {name: -term.sum(dim=(1, 2)) for name, term in terms.items()}

    def sample(self, n: int, generator: torch.Generator) -> TileCatalog:
        """Draw n tile catalogs of each image, with independent tiles.

        Returns
        -------
        TileCatalog
            Of shape (n, batch, tile row, tile column).
        """
        present = self.source.sample(n, generator)
        sources = self[torch.nonzero(present, as_tuple=True)[1:]]

        def spread(values: Tensor, empty: float) -> Tensor:
            """Put the values of the sources into their tiles, ``empty`` into all others."""
            out = torch.full_like(present, empty, dtype=values.dtype)
            out[present] = values[0]
            return out

        return TileCatalog(
            present=present,
            x=spread(sources.position.x.sample(1, generator), TILE_SIZE / 2),
            y=spread(sources.position.y.sample(1, generator), TILE_SIZE / 2),
            flux=spread(sources.flux.sample(1, generator), 1.0),
            is_galaxy=spread(sources.galaxy.sample(1, generator), False),
        )
