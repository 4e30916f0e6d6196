"""The probabilistic catalog of a survey image, as ``npecat catalog`` makes it.

The network lists the sources. Saturated stars, which it cannot know, are measured apart. Then the
catalog is held against the image: bright detections of SEP without a row are counted and listed.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table, vstack

from npecat_eval.catalog.bright import BrightSources
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.footprint import write_mask
from npecat_eval.catalog.formats import write_table
from npecat_eval.catalog.observe import as_used
from npecat_eval.catalog.population import NOTHING_GIVEN, Given
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.samples import CatalogDraws, sorted_by_draw
from npecat_eval.catalog.saturated import SaturatedStars, with_halos
from npecat_eval.catalog.table import (
    catalog_table,
    draws_table,
    missed_table,
    provenance,
    saturated_table,
)
from npecat_eval.catalog.trust import judged
from npecat_sim.surveys.image import SurveyImage
from npecat_train.model import TileModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIGITS = {"ra": ".6f", "dec": ".6f", "x": ".2f", "y": ".2f", "mag": ".3f"}
"""Formats of columns whose four leading digits say too little; "mag" is of mag_r, mag_i etc."""


@dataclass(frozen=True)
class SurveyCatalog:
    """The sources of a survey image, with the posterior that they are derived from.

    Parameters
    ----------
    image : SurveyImage
        The image, with the PSF that was used.
    reading : ImageReading
        The posterior of the image.
    saturated : SaturatedStars
        The saturated stars of the image.
    about : dict
        Provenance, which becomes the header of every table.
    """

    image: SurveyImage
    reading: ImageReading
    saturated: SaturatedStars
    about: dict[str, Any]

    @cached_property
    def found(self) -> PredictedCatalog:
        """The sources of the network as point estimates and distributions, in pixels."""
        return self._read.where(~self._is_saturated(*self._places_read))

    @cached_property
    def _read(self) -> PredictedCatalog:
        """What the network lists, in the cores of saturated stars too."""
        return self.reading.catalog()

    @property
    def _places_read(self) -> tuple[np.ndarray, np.ndarray]:
        """Places x and y of what the network lists."""
        return self._read.detections.x, self._read.detections.y

    @cached_property
    def detections(self) -> Detections:
        """The point estimates of all sources that have a flux."""
        return Detections.concatenate([self.found.detections, self.saturated.detections()])

    @cached_property
    def missed(self) -> BrightSources:
        """Bright detections of SEP that have no row."""
        x, y = [
            np.concatenate(
                [getattr(part, name) for part in (self.found.detections, self.saturated)]
            )
            for name in ("x", "y")
        ]
        return self.reading.bright.without(x, y, fwhm=self.image.psf.fwhm)

    @property
    def n_bright(self) -> int:
        """Number of bright detections of SEP."""
        return len(self.reading.bright)

    @property
    def n_missed(self) -> int:
        """Number of bright detections of SEP that have no row."""
        return len(self.missed)

    @cached_property
    def rows(self) -> Table:
        """The catalog as it is written: an astropy Table with units and descriptions.

        Saturated stars come last.
        """
        about = {**self.about, "NBRIGHT": self.n_bright, "NMISSED": self.n_missed}
        tables = [catalog_table(self.found, self.image, about=about)]
        if len(self.saturated):
            tables.append(saturated_table(self.saturated, self.image, about={}))
        return vstack(tables, metadata_conflicts="silent")

    @property
    def missed_rows(self) -> Table:
        """Bright detections of SEP that have no row, as a table with units and descriptions."""
        return missed_table(self.missed, self.image, about=self.about)

    @property
    def table(self) -> QTable:
        """The catalog as an astropy QTable with units and descriptions, one row per source."""
        return _shown(self.rows)

    def draws(self, n: int, *, seed: int = 0) -> Table:
        """Draw n whole catalogs, as the table that is written; see samples."""
        draws = self.reading.draws(n, seed)
        is_kept = ~self._is_saturated(*self._places_read)
        row_of = np.append(np.where(is_kept, np.cumsum(is_kept) - 1, -1), -1)
        kept = ~self._is_saturated(draws.x, draws.y)
        columns = {name: column[kept] for name, column in vars(draws).items()}
        columns["source"] = row_of[columns["source"]]
        own = self.saturated.draws(n, seed=seed, first_row=len(self.found.detections))
        all_draws = sorted_by_draw([CatalogDraws(**columns), own])
        return draws_table(all_draws, self.image, about={**self.about, "SEED": seed})

    def _is_saturated(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether places lie in saturated stars: bool, of the same shape."""
        return self.saturated.own(x, y, fwhm=self.image.psf.fwhm)

    def samples(self, n: int, seed: int = 0) -> QTable:
        """Draw whole catalogs from the posterior.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional
            The same seed gives the same draws.

        Returns
        -------
        QTable
            One row per source and draw: the number of the draw (``draw``), the row of the source
            in the catalog (``source``, -1 if it is not listed there), position, flux and type.
        """
        return _shown(self.draws(n, seed=seed))

    def write(self, path: Path | str) -> None:
        """Write the catalog in the format of the file's suffix.

        Parameters
        ----------
        path : Path or str
            File whose suffix is .fits, .ecsv, .parquet, .vot, .xml, .csv or .reg (DS9).

        Raises
        ------
        NpecatError
            If the format is not known or the file cannot be written.
        """
        write_table(self.rows, Path(path))

    def write_footprint(self, path: Path | str) -> None:
        """Write a mask of the pixels that were not searched: 0 where the catalog is complete.

        Parameters
        ----------
        path : Path or str
            FITS file to write: uint8 (y, x), bits of footprint.NOT_SEARCHED, with coordinates.

        Raises
        ------
        NpecatError
            If the file cannot be written.
        """
        write_mask(self.image.flags, self.image.header, Path(path))

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Plot the image with its sources marked, and its most crowded part enlarged beside it.

        Parameters
        ----------
        path : Path or str, optional
            File to write, .png or .pdf; by default none is written.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from npecat_eval.pictures.style import save_figure  # Matplotlib takes a second to load
        from npecat_eval.pictures.survey_image import field_figure

        figure = field_figure(self.image, self.detections)
        if path is not None:
            save_figure(figure, Path(path))
        return figure

    def __len__(self) -> int:
        return len(self.found.detections) + len(self.saturated)

    def __repr__(self) -> str:
        return f"<SurveyCatalog of {self.image.name}: {len(self)} sources>"

    def _repr_html_(self) -> str:
        """Return the catalog as a notebook shows it."""
        html: str = self.table._repr_html_()
        return html


def _shown(rows: Table) -> QTable:
    """A table whose quantities have units, printed with as many digits as a reader needs."""
    table = QTable(rows)
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            kind = "mag" if name.startswith("mag_") else name
            table[name].info.format = DIGITS.get(kind, ".4g")
    return table


def catalog_survey_image(
    image: SurveyImage, model: TileModel, given: Given = NOTHING_GIVEN
) -> SurveyCatalog:
    """Make the probabilistic catalog of a survey image.

    Parameters
    ----------
    image : SurveyImage
        See npecat.open_image and npecat.image_from_arrays.
    model : TileModel
        See npecat.load.
    given : Given, optional
        What is known of the sources, for a network of variant wide.

    Returns
    -------
    SurveyCatalog

    Raises
    ------
    NpecatError
        If the network cannot read the image, or takes nothing of what is given.
    """
    image = as_used(image, is_wide=model.settings.is_wide)
    saturated = SaturatedStars.of(image)
    image = with_halos(image, saturated)
    reading = ImageReading.of(image, model, given)
    image = judged(image, reading.population)
    return SurveyCatalog(
        image, reading, saturated, provenance(image, model, population=reading.population)
    )
