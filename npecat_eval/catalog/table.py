"""Tables of catalogs, and of draws of catalogs, with units, descriptions and provenance."""

from importlib.metadata import version
from typing import Any

import numpy as np
from astropy.table import Table

from npecat_eval.catalog.decode import DETECTION_THRESHOLD
from npecat_eval.catalog.flags import SourceFlag, source_flags
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.samples import CatalogDraws
from npecat_sim.model.catalog import Column
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import magnitude
from npecat_train.model import TileModel

FLUX_UNIT = "nmgy"
"""Unit of fluxes, nanomaggies, as astropy spells it."""

PLACE = (
    Column("ra", "float64", "deg", "right ascension, ICRS; NaN where the image has no coordinates"),
    Column("dec", "float64", "deg", "declination, ICRS; NaN where the image has no coordinates"),
    Column("x", "float64", "pixel", "0-indexed column, centre of the first pixel at 0"),
    Column("y", "float64", "pixel", "0-indexed row, centre of the first pixel at 0"),
)
"""Columns of the position of a source, in both tables."""

MAGNITUDE = Column("mag_r", "float32", "mag", "AB magnitude of flux_r")
"""Column of the magnitude of a source, in both tables."""

CATALOG = (
    *PLACE,
    Column("x_sigma", "float32", "pixel", "standard deviation of the posterior of x"),
    Column("y_sigma", "float32", "pixel", "standard deviation of the posterior of y"),
    Column("prob_source", "float32", "", "probability that there is a source"),
    Column("prob_located", "float32", "", "probability that there is one within a pixel of (x, y)"),
    Column("prob_galaxy", "float32", "", "probability that it is a galaxy if there is one"),
    Column("flux_r", "float64", FLUX_UNIT, "median of the posterior of the flux"),
    Column("flux_r_sigma", "float64", FLUX_UNIT, "half of flux_r_q84 - flux_r_q16"),
    Column("flux_r_q16", "float64", FLUX_UNIT, "16 % quantile of the posterior of the flux"),
    Column("flux_r_q50", "float64", FLUX_UNIT, "50 % quantile, the same as flux_r"),
    Column("flux_r_q84", "float64", FLUX_UNIT, "84 % quantile of the posterior of the flux"),
    MAGNITUDE,
    Column("flags", "uint8", "", "bits, see FLAGS in the header; 0: nothing known to be wrong"),
    Column("psf_fwhm", "float32", "arcsec", "width of the model PSF at half of its peak"),
)
"""Columns of the catalog of an image."""

DRAWS = (
    Column("draw", "int32", "", "number of the draw of the whole catalog, from 0"),
    Column("source", "int32", "", "row of the catalog, from 0; -1: a source not listed there"),
    *PLACE,
    Column("flux_r", "float64", FLUX_UNIT, "flux in this draw"),
    MAGNITUDE,
    Column("is_galaxy", "bool", "", "true for a galaxy, false for a star"),
)
"""Columns of draws of the catalog of an image."""


def catalog_table(found: PredictedCatalog, image: SurveyImage, *, about: dict[str, Any]) -> Table:
    """Make the table of the catalog of an image.

    Parameters
    ----------
    found : PredictedCatalog
        Sources of this one image.
    image : SurveyImage
        Image with its world coordinates, flags and PSF.
    about : dict
        Provenance, which becomes the header of the table.

    Returns
    -------
    Table
        The columns CATALOG, one row per source.
    """
    point = found.detections
    low, middle, high = [found.flux.quantile(level).numpy() for level in (0.16, 0.5, 0.84)]
    columns = {
        **_place(point.x, point.y, image),
        "x_sigma": found.position.x.std().numpy(),
        "y_sigma": found.position.y.std().numpy(),
        "prob_source": point.prob_source,
        "prob_located": point.prob_located,
        "prob_galaxy": point.prob_galaxy,
        "flux_r": point.flux,
        "flux_r_sigma": (high - low) / 2,
        "flux_r_q16": low,
        "flux_r_q50": middle,
        "flux_r_q84": high,
        "mag_r": magnitude(point.flux),
        "flags": source_flags(point.x, point.y, image=image),
        "psf_fwhm": np.full(len(point), image.pixel_scale * image.psf.fwhm),
    }
    bits = ", ".join(f"{bit.value} {bit.name}" for bit in SourceFlag)
    return _table(CATALOG, columns, {**about, "FLAGS": bits})


def draws_table(draws: CatalogDraws, image: SurveyImage, *, about: dict[str, Any]) -> Table:
    """Make the table of draws of the catalog of an image.

    Parameters
    ----------
    draws : CatalogDraws
        Draws of the catalog of this image.
    image : SurveyImage
        Image with its world coordinates.
    about : dict
        Provenance, which becomes the header of the table.

    Returns
    -------
    Table
        The columns DRAWS, one row per source and draw.
    """
    columns = {
        **_place(draws.x, draws.y, image),
        "draw": draws.draw,
        "source": draws.source,
        "flux_r": draws.flux,
        "mag_r": magnitude(draws.flux),
        "is_galaxy": draws.is_galaxy,
    }
    return _table(DRAWS, columns, about)


def provenance(image: SurveyImage, model: TileModel) -> dict[str, Any]:
    """Describe the origin of a catalog.

    Parameters
    ----------
    image : SurveyImage
        Image that was catalogued.
    model : TileModel
        Model that made the catalog.

    Returns
    -------
    dict of str to Any
        Keyword of at most 8 letters -> plain value, as a FITS header can hold them.
    """
    origin = {name.upper()[:8]: v for name, v in image.origin.items() if v is not None}
    return {
        "CREATOR": f"npecat {version('npecat')}",
        "INPUT": image.name,
        **origin,
        "WEIGHTS": model.weights_sha256,
        "VARIANT": model.settings.variant,
        "TRAINED": model.settings.store_digest,
        "THRESH": DETECTION_THRESHOLD,
        "ELECTRON": image.electrons_per_nmgy,
        "PSFPARAM": ", ".join(f"{value:.8g}" for value in image.psf.parameters),
        "PIXELS": "x and y are 0-indexed, the centre of the first pixel is at (0, 0)",
        "FLUXES": "nanomaggies (nmgy); 1 nmgy = 3631 nJy, AB magnitude 22.5",
    }


def _place(x: np.ndarray, y: np.ndarray, image: SurveyImage) -> dict[str, np.ndarray]:
    """Return the columns PLACE."""
    if image.wcs is None:
        return {"x": x, "y": y, "ra": np.full(len(x), np.nan), "dec": np.full(len(x), np.nan)}
    sky = image.wcs.pixel_to_world(x, y).icrs
    return {"x": x, "y": y, "ra": sky.ra.deg, "dec": sky.dec.deg}


def _table(
    columns: tuple[Column, ...], values: dict[str, np.ndarray], about: dict[str, Any]
) -> Table:
    """Make a table with units and descriptions."""
    table = Table(meta=about)
    for column in columns:
        table[column.name] = values[column.name].astype(column.dtype)
        table[column.name].unit = column.unit or None
        table[column.name].description = column.description
    return table
