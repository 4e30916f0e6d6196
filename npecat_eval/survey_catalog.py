"""The probabilistic catalog of a survey image: what ``npecat catalog`` makes.

The PSF of the image is first scaled to the width of its own stars, which a first pass finds; the
second pass makes the catalog.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.table import QTable, Table

from npecat_eval.catalog.formats import write_table
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.psf_width import with_width_of_stars
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.table import catalog_table, draws_table, provenance
from npecat_sim.surveys.image import SurveyImage
from npecat_train.model import TileModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SurveyCatalog:
    """The sources of a survey image with the posterior that they were read from.

    Parameters
    ----------
    image : SurveyImage
        The image, with the PSF that was used.
    reading : ImageReading
        The posterior of its tiles.
    psf_width : str
        What was done to the PSF that was given, in words.
    about : dict
        Provenance, kept in the header of every table.
    """

    image: SurveyImage
    reading: ImageReading
    psf_width: str
    about: dict[str, Any]

    @cached_property
    def found(self) -> PredictedCatalog:
        """The sources as point estimates and distributions, positions in pixels of the image."""
        return self.reading.catalog()

    @cached_property
    def rows(self) -> Table:
        """The catalog as it is written: an astropy Table with units and descriptions."""
        return catalog_table(self.found, self.image, self.about)

    @property
    def table(self) -> QTable:
        """The catalog, a row a source, as an astropy QTable with units and descriptions."""
        return QTable(self.rows)

    def draws(self, n: int, *, seed: int = 0) -> Table:
        """Draws of the whole catalog as they are written; see samples."""
        about = {**self.about, "SEED": seed}
        return draws_table(self.reading.draws(n, seed), self.image, about)

    def samples(self, n: int, seed: int = 0) -> QTable:
        """Draws of the whole catalog.

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional
            The same seed gives the same draws.

        Returns
        -------
        QTable
            A row a source of a draw: its ``draw``, its row in the catalog (``source``, -1 where
            it is not listed there), position, flux and type.
        """
        return QTable(self.draws(n, seed=seed))

    def write(self, path: Path | str) -> None:
        """Write the catalog in the format of the file's suffix.

        Parameters
        ----------
        path : Path or str
            Ends in .fits, .ecsv, .parquet, .vot, .xml, .csv or .reg (DS9).

        Raises
        ------
        NpecatError
            If the format is not known or the file cannot be written.
        """
        write_table(self.rows, Path(path))

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Draw the image with marks at its sources, and its most crowded part large beside it.

        Parameters
        ----------
        path : Path or str, optional
            Picture to write, .png or .pdf.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from npecat_eval.pictures.style import save_figure  # Matplotlib takes a second to load
        from npecat_eval.pictures.survey_image import field_figure

        figure = field_figure(self.image, self.found.detections)
        if path is not None:
            save_figure(figure, Path(path))
        return figure

    def __len__(self) -> int:
        return len(self.found.detections)

    def __repr__(self) -> str:
        return f"<SurveyCatalog of {self.image.name}: {len(self)} sources>"

    def _repr_html_(self) -> str:
        """The catalog as a notebook shows it."""
        return self.table._repr_html_()


def catalog_survey_image(image: SurveyImage, model: TileModel) -> SurveyCatalog:
    """The probabilistic catalog of a survey image of any size.

    Parameters
    ----------
    image : SurveyImage
        See npecat.open_image and npecat.image_from_arrays.
    model : TileModel
        See npecat.load.

    Returns
    -------
    SurveyCatalog
    """
    first = ImageReading.of(image, model).catalog().detections
    image, width = with_width_of_stars(image, first)
    about = {**provenance(image, model), "PSFWIDTH": width}
    return SurveyCatalog(image, ImageReading.of(image, model), width, about)
