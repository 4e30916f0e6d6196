"""The probabilistic catalog of a survey image, as ``npecat catalog`` makes it.

A first pass of the network finds the stars of the image, and the PSF is scaled to their width. A
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

DIGITS = {"ra": ".6f", "dec": ".6f", "x": ".2f", "y": ".2f", "mag_r": ".3f"}
"""Formats of columns whose four leading digits say too little."""


@dataclass(frozen=True)
class SurveyCatalog:
    """The sources of a survey image, with the posterior that they are derived from.

    Parameters
    ----------
    image : SurveyImage
        The image, with the PSF that was used.
    reading : ImageReading
        The posterior of the image.
    psf_width : str
        What was done to the given PSF, in words.
    about : dict
        Provenance, which becomes the header of every table.
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
        return catalog_table(self.found, self.image, about=self.about)

    @property
    def table(self) -> QTable:
        """The catalog as an astropy QTable with units and descriptions, one row per source."""
        return _shown(self.rows)

    def draws(self, n: int, *, seed: int = 0) -> Table:
        """Draw n whole catalogs, as the table that is written; see samples."""
        about = {**self.about, "SEED": seed}
        return draws_table(self.reading.draws(n, seed), self.image, about=about)

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

        figure = field_figure(self.image, self.found.detections)
        if path is not None:
            save_figure(figure, Path(path))
        return figure

    def __len__(self) -> int:
        return len(self.found.detections)

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
            table[name].info.format = DIGITS.get(name, ".4g")
    return table


def with_psf_of_stars(image: SurveyImage, model: TileModel) -> tuple[SurveyImage, str]:
    """The image with its PSF scaled to the stars of a first catalog, and what was done, in words.

    The PSF stays as it is where the stars are too few or too odd; see psf_width.
    """
    return with_width_of_stars(image, ImageReading.of(image, model).catalog().detections)


def catalog_survey_image(image: SurveyImage, model: TileModel) -> SurveyCatalog:
    """Make the probabilistic catalog of a survey image of any size.

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
    image, width = with_psf_of_stars(image, model)
    about = {**provenance(image, model), "PSFWIDTH": width}
    return SurveyCatalog(image, ImageReading.of(image, model), width, about)
