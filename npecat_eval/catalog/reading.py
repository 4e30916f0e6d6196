"""The predictions of a model for a whole survey image: one pass, and a second look where it failed.

A source whose predicted position lies in a pixel without data is left out: such pixels are filled
with zeros, which hold no information on sources. The number of sources left out is logged.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from npecat_eval.catalog.blocks import field_posterior, to_whole_tiles
from npecat_eval.catalog.bright import BrightSources
from npecat_eval.catalog.decode import (
    DETECTION_THRESHOLD,
    JoinedTiles,
    catalog_of_tiles,
    join,
    places,
)
from npecat_eval.catalog.density import find_population
from npecat_eval.catalog.observe import Observation, as_used
from npecat_eval.catalog.population import NOTHING_GIVEN, Given, Population
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.samples import CatalogDraws, draw_catalogs, sorted_by_draw
from npecat_eval.catalog.second_look import SecondLook
from npecat_eval.catalog.trust import refuse
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_train.model import TileModel
from npecat_train.posterior.tile_posterior import TilePosterior

log = logging.getLogger(__name__)

SAME_SOURCE = 1.5
"""Pixels within which a tile's source is the one that a second look found."""


@dataclass(frozen=True)
class ImageReading:
    """The posterior of a whole survey image.

    Parameters
    ----------
    tiles : TilePosterior
        Posterior of each tile, (1, row, column), on the CPU.
    joined : JoinedTiles
        Probabilities of sources after neighbouring tiles are joined.
    bright : BrightSources
        Bright sources that SEP sees.
    look : SecondLook or None
        Sources that the tiles missed and a second look found; None if nothing was missed.
    population : Population or None
        What a network of variant wide was told of the sources; None for the paper's networks.
    """

    tiles: TilePosterior
    joined: JoinedTiles
    bright: BrightSources
    look: SecondLook | None = None
    population: Population | None = None

    @classmethod
    def of(
        cls, image: SurveyImage, model: TileModel, given: Given = NOTHING_GIVEN
    ) -> "ImageReading":
        """Compute the posterior of a survey image of any size, without sources that have no data.

        Parameters
        ----------
        image : SurveyImage
            Image with its sky, PSF and pixel flags.
        model : TileModel
            Network that predicts the posterior.
        given : Given, optional
            What is known of the sources, for a network of variant wide.

        Returns
        -------
        ImageReading

        Raises
        ------
        NpecatError
            If the network cannot read the image, see trust.refuse, or takes nothing of what is
            given.
        """
        given.check(model.settings)
        refuse(image, model.settings)
        image = as_used(image, is_wide=model.settings.is_wide)
        population = find_population(image, model, given) if model.settings.is_wide else None
        observed = Observation(image, population)
        tiles = field_posterior(model, observed)
        joined = join(tiles)
        has_data = _has_data(tiles, image)
        n_lost = int((joined.located[~has_data] > DETECTION_THRESHOLD).sum())
        if n_lost:
            log.warning("%s: %d detections left out, where there is no data", image.name, n_lost)
        probability, located = [
            p.where(has_data, 0.0) for p in (joined.probability, joined.located)
        ]
        joined = replace(joined, probability=probability, located=located)
        bright = BrightSources.of(image)
        if population is not None:  # networks of variant wide know cosmic rays, which SEP lists
            bright = bright.as_wide_as_the_psf(image)
        first = cls(tiles, joined, bright, population=population)
        rows = first.catalog().detections
        missed = first.bright.without(rows.x, rows.y, fwhm=image.psf.fwhm)
        look = SecondLook.at(missed.x, missed.y, observed=observed, model=model)
        return first._with(look) if look else first

    def _with(self, look: SecondLook) -> "ImageReading":
        """The reading with the sources of a second look, which tiles then give no part of."""
        own_x, own_y = places(self.tiles)
        is_other = torch.zeros_like(own_x, dtype=torch.bool)
        for x, y in zip(*look.places, strict=True):
            is_other |= (own_x - x).hypot(own_y - y) < SAME_SOURCE
        probability, located = [
            p.where(~is_other, 0.0) for p in (self.joined.probability, self.joined.located)
        ]
        joined = replace(self.joined, probability=probability, located=located)
        return replace(self, joined=joined, look=look)

    def catalog(self) -> PredictedCatalog:
        """Derive the catalog of the image, with positions in its 0-indexed pixels."""
        found = catalog_of_tiles(self.tiles, self.joined, first_image=0)
        return PredictedCatalog.concatenate([found, self.look.catalog()]) if self.look else found

    def draws(self, n: int, seed: int) -> CatalogDraws:
        """Draw n whole catalogs from the posterior; the same seed gives the same draws."""
        generator = torch.Generator().manual_seed(seed)
        draws = draw_catalogs(self.tiles, self.joined, n=n, generator=generator)
        if not self.look:
            return draws
        first_row = len(catalog_of_tiles(self.tiles, self.joined, first_image=0).detections)
        return sorted_by_draw([draws, self.look.draws(n, generator, first_row=first_row)])


def _has_data(tiles: TilePosterior, image: SurveyImage) -> torch.Tensor:
    """Whether the pixel at the position of a tile's source holds data: bool (1, row, column)."""
    flags = to_whole_tiles(image.flags, constant_values=PixelFlag.NO_DATA)
    x, y = [place.round().long().numpy() for place in places(tiles)]
    rows, columns = flags.shape
    at_source = flags[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    return torch.from_numpy(at_source & int(PixelFlag.NO_DATA) == 0)
