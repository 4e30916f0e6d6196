"""Tables of catalogs, and of draws of catalogs, with units, descriptions and provenance."""

from importlib.metadata import version
from typing import Any

import numpy as np
from astropy.table import Table

from npecat_eval.catalog.bright import BrightSources
from npecat_eval.catalog.decode import DETECTION_THRESHOLD
from npecat_eval.catalog.flags import SourceFlag, source_flags
from npecat_eval.catalog.population import Population
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_eval.catalog.samples import CatalogDraws
from npecat_eval.catalog.saturated import SaturatedStars
from npecat_sim.fields.sdss_statistics import nearest_six_numbers
from npecat_sim.model.catalog import Column
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import magnitude
from npecat_train.model import TileModel

FLUX_UNIT = "nmgy"
"""Unit of fluxes, nanomaggies, as astropy spells it."""

PLACE = (
    Column("ra", "float64", "deg", "right ascension, ICRS; NaN where the image has no coordinates"),
    Column("dec", "float64", "deg", "declination, ICRS; NaN where the image has no coordinates"),
    Column("x", "float64", "pixel", "0-indexed column in the file, centre of the first at 0"),
    Column("y", "float64", "pixel", "0-indexed row in the file, centre of the first at 0"),
)
"""Columns of the position of a source, in both tables."""


def catalog_columns(band: str) -> tuple[Column, ...]:
    """Columns of the catalog of an image in a band; those of flux and magnitude bear its name."""
    flux = f"flux_{band}"
    return (
        *PLACE,
        Column("x_sigma", "float32", "pixel", "standard deviation of the posterior of x"),
        Column("y_sigma", "float32", "pixel", "standard deviation of the posterior of y"),
        Column("prob_source", "float32", "", "probability that there is a source"),
        Column(
            "prob_located", "float32", "", "probability that there is one within a pixel of (x, y)"
        ),
        Column("prob_galaxy", "float32", "", "probability that it is a galaxy if there is one"),
        Column(flux, "float64", FLUX_UNIT, "median of the posterior of the flux"),
        Column(f"{flux}_sigma", "float64", FLUX_UNIT, f"half of {flux}_q84 - {flux}_q16"),
        Column(f"{flux}_q16", "float64", FLUX_UNIT, "16 % quantile of the posterior of the flux"),
        Column(f"{flux}_q50", "float64", FLUX_UNIT, f"50 % quantile, the same as {flux}"),
        Column(f"{flux}_q84", "float64", FLUX_UNIT, "84 % quantile of the posterior of the flux"),
        _magnitude_column(band),
        Column("flags", "int32", "", "bits, see FLAGS in the header; 0: nothing known to be wrong"),
        Column("psf_fwhm", "float32", "arcsec", "width of the model PSF at half of its peak"),
    )


def draws_columns(band: str) -> tuple[Column, ...]:
    """Columns of draws of the catalog of an image in a band."""
    return (
        Column("draw", "int32", "", "number of the draw of the whole catalog, from 0"),
        Column("source", "int32", "", "row of the catalog, from 0; -1: a source not listed there"),
        *PLACE,
        Column(f"flux_{band}", "float64", FLUX_UNIT, "flux in this draw"),
        _magnitude_column(band),
        Column("is_galaxy", "bool", "", "true for a galaxy, false for a star"),
    )


def bands_of(table: Table) -> list[str]:
    """Bands of the magnitudes that a table holds, from the names of its columns."""
    return [name.removeprefix("mag_") for name in table.colnames if name.startswith("mag_")]


def _magnitude_column(band: str) -> Column:
    """Column of the magnitude of a source, in both tables."""
    return Column(f"mag_{band}", "float32", "mag", f"AB magnitude of flux_{band}")


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
        The columns of catalog_columns, one row per source.
    """
    point = found.detections
    low, middle, high = [found.flux.quantile(level).numpy() for level in (0.16, 0.5, 0.84)]
    columns = {
        "x_sigma": found.position.x.std().numpy(),
        "y_sigma": found.position.y.std().numpy(),
        "prob_source": point.prob_source,
        "prob_located": point.prob_located,
        "prob_galaxy": point.prob_galaxy,
        **_flux(image.band, point.flux, low=low, middle=middle, high=high),
        "flags": source_flags(point.x, point.y, image=image),
    }
    bits = ", ".join(f"{bit.value} {bit.name}" for bit in SourceFlag)
    return _catalog(point.x, point.y, columns, image=image, about={**about, "FLAGS": bits})


def saturated_table(stars: SaturatedStars, image: SurveyImage, *, about: dict[str, Any]) -> Table:
    """Make the table of the saturated stars of an image, in the columns of its catalog.

    Parameters
    ----------
    stars : SaturatedStars
        Of this image.
    image : SurveyImage
        Image with its world coordinates, flags and PSF.
    about : dict
        Provenance, which becomes the header of the table.

    Returns
    -------
    Table
        The columns of catalog_columns, one row per star, with SATURATED among its flags.
    """
    one = np.ones(len(stars))
    low, high = [stars.flux * np.exp(sign * stars.log_flux_sigma) for sign in (-1, 1)]
    columns = {
        "x_sigma": stars.place_sigma,
        "y_sigma": stars.place_sigma,
        "prob_source": one,
        "prob_located": one,
        "prob_galaxy": 0 * one,
        **_flux(image.band, stars.flux, low=low, middle=stars.flux, high=high),
        "flags": source_flags(stars.x, stars.y, image=image) | int(SourceFlag.SATURATED),
    }
    return _catalog(stars.x, stars.y, columns, image=image, about=about)


def missed_table(missed: BrightSources, image: SurveyImage, *, about: dict[str, Any]) -> Table:
    """Make the table of bright detections without a row in the catalog of an image.

    Parameters
    ----------
    missed : BrightSources
        Of this image.
    image : SurveyImage
        Image with its world coordinates.
    about : dict
        Provenance, which becomes the header of the table.

    Returns
    -------
    Table
        Place, flux and magnitude in the detected pixels, and SNR.
    """
    flux = f"flux_{image.band}"
    columns = {
        **_place(missed.x, missed.y, image),
        flux: missed.flux,
        f"mag_{image.band}": magnitude(missed.flux),
        "snr": missed.snr,
    }
    own = (
        Column(flux, "float64", FLUX_UNIT, "flux in the pixels that SEP detected"),
        _magnitude_column(image.band),
        Column("snr", "float32", "", "that flux over its noise"),
    )
    return _table((*PLACE, *own), columns, about)


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
        The columns of draws_columns, one row per source and draw.
    """
    columns = {
        **_place(draws.x, draws.y, image),
        "draw": draws.draw,
        "source": draws.source,
        f"flux_{image.band}": draws.flux,
        f"mag_{image.band}": magnitude(draws.flux),
        "is_galaxy": draws.is_galaxy,
    }
    return _table(draws_columns(image.band), columns, about)


def provenance(
    image: SurveyImage, model: TileModel, *, population: Population | None = None
) -> dict[str, Any]:
    """Describe the origin of a catalog.

    Parameters
    ----------
    image : SurveyImage
        Image that was catalogued.
    model : TileModel
        Model that made the catalog.
    population : Population, optional
        What a network of variant wide was told of the sources.

    Returns
    -------
    dict of str to Any
        Keyword of at most 8 letters -> plain value, as a FITS header can hold them.
    """
    origin = {name.upper()[:8]: v for name, v in image.origin.items() if v is not None}
    if population is None:
        psf = nearest_six_numbers(image.psf).parameters
        told = {"PSFPARAM": ", ".join(f"{value:.8g}" for value in psf)}
    else:
        told = population.cards(image.pixel_scale)
    return {
        "CREATOR": f"npecat {version('npecat')}",
        "INPUT": image.name,
        "BAND": image.band,
        **origin,
        "WEIGHTS": model.weights_sha256,
        "VARIANT": model.settings.variant,
        "TRAINED": model.settings.store_digest,
        "THRESH": DETECTION_THRESHOLD,
        "ELECTRON": image.electrons_per_nmgy,
        **told,
        **(image.findings.cards() if image.findings else {}),
        "PIXELS": "x and y are 0-indexed, the centre of the first pixel is at (0, 0)",
        "FLUXES": "nanomaggies (nmgy); 1 nmgy = 3631 nJy, AB magnitude 22.5",
    }


def _catalog(
    x: np.ndarray,
    y: np.ndarray,
    columns: dict[str, np.ndarray],
    *,
    image: SurveyImage,
    about: dict[str, Any],
) -> Table:
    """The table of sources at places in an image, from their other columns."""
    width = np.full(len(x), image.pixel_scale * image.psf.fwhm)
    values = {**_place(x, y, image), **columns, "psf_fwhm": width}
    return _table(catalog_columns(image.band), values, about)


def _flux(
    band: str, flux: np.ndarray, *, low: np.ndarray, middle: np.ndarray, high: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of flux and magnitude, from a point estimate and the quantiles."""
    name = f"flux_{band}"
    return {
        name: flux,
        f"{name}_sigma": (high - low) / 2,
        f"{name}_q16": low,
        f"{name}_q50": middle,
        f"{name}_q84": high,
        f"mag_{band}": magnitude(flux),
    }


def _place(x: np.ndarray, y: np.ndarray, image: SurveyImage) -> dict[str, np.ndarray]:
    """Return the columns PLACE."""
    left, bottom = image.corner
    place = {"x": x + left, "y": y + bottom}
    if image.wcs is None:
        return {**place, "ra": np.full(len(x), np.nan), "dec": np.full(len(x), np.nan)}
    sky = image.wcs.pixel_to_world(place["x"], place["y"]).icrs
    return {**place, "ra": sky.ra.deg, "dec": sky.dec.deg}


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
