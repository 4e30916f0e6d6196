"""Simulate images of prior ``wide``: any telescope, sky and density, with defects."""

import numpy as np

from npecat_sim.errors import naming
from npecat_sim.fields.images import Fields
from npecat_sim.model.catalog import COLUMNS, Catalog
from npecat_sim.render import DEFAULT_RENDERER, RENDERERS, Renderer
from npecat_sim.render.noise import noise_correlation
from npecat_sim.store.reader import Batch
from npecat_sim.wide.conditions import Conditions
from npecat_sim.wide.draws import draw_conditions
from npecat_sim.wide.image import WideImage, draw_image
from npecat_sim.wide.survey import WIDE, Survey


def simulate_wide(
    fields: Fields,
    seed: int,
    *,
    split: str,
    indices: range,
    survey: Survey = WIDE,
    draw: Renderer = RENDERERS[DEFAULT_RENDERER],
) -> Batch:
    """Simulate images: draw conditions and catalogs, render, add noise and defects.

    Parameters
    ----------
    fields : FieldTable or ImageTable
        SDSS's fields, for images and PSFs as of prior ``many``; or one's own images.
    seed : int
        Seed of all random numbers.
    split : str
        One of streams.SPLITS.
    indices : range
        Indices of the images in the split.
    survey : Survey, optional
        What may be drawn; any ground-based telescope by default.
    draw : Renderer, optional
        Renderer of the sources, see render.RENDERERS.

    Returns
    -------
    Batch
        Images in the order of ``indices``; axes, types and units as in schema.WIDE.

    Raises
    ------
    NpecatError
        If an image cannot be made; the message gives its index.
    """
    drawn = []
    for index in indices:
        with naming(f"image {index}"):
            conditions = draw_conditions(survey, fields, seed, split=split, index=index)
            image = draw_image(conditions, seed, split=split, index=index, draw=draw)
            drawn.append((conditions, image))
    return batch_of(drawn, survey.catalog_prior.capacity)


def batch_of(drawn: list[tuple[Conditions, WideImage]], capacity: int) -> Batch:
    """Put images and what is told of each into a batch.

    Parameters
    ----------
    drawn : list of tuple
        The conditions and the content of each image.
    capacity : int
        Sources for which the catalog has room.

    Returns
    -------
    Batch
        Axes, types and units as in schema.WIDE.
    """

    def numbers(values: list[float]) -> np.ndarray:
        return np.array(values, dtype=np.float64)

    told = [conditions for conditions, _ in drawn]
    made = [image for _, image in drawn]
    return Batch(
        images=np.stack([image.pixels for image in made]),
        backgrounds=np.stack([one.variance / one.electrons_per_nmgy for one in told]).astype(
            np.float32
        ),
        mask=np.stack([image.mask for image in made]),
        psf=np.stack([one.stamp for one in told]).astype(np.float32),
        fwhm=numbers([one.fwhm for one in told]),
        electrons_per_nmgy=numbers([one.electrons_per_nmgy for one in told]),
        pixel_scale=numbers([one.pixel_scale for one in told]),
        density=numbers([one.catalog_prior.density for one in told]),
        star_share=numbers([one.star_share for one in told]),
        noise_correlation=numbers([noise_correlation(one.stamp, one.correlation) for one in told]),
        faint_flux=numbers([one.faint_flux for one in told]),
        psf_kind=np.array([one.psf_kind for one in told], dtype=np.int8),
        psf_shape=np.array([one.psf_shape for one in told]),
        catalog=_padded([image.sources for image in made], capacity),
    )


def _padded(sources: list[dict[str, np.ndarray]], capacity: int) -> Catalog:
    """The sources of many images in one catalog."""
    count = np.array([len(one["x"]) for one in sources], dtype=np.int32)
    columns = {}
    for column in COLUMNS:
        empty = False if column.dtype == "bool" else np.nan
        values = np.full((len(sources), capacity), empty, dtype=column.dtype)
        for row, one in enumerate(sources):
            values[row, : count[row]] = one[column.name]
        columns[column.name] = values
    return Catalog(count, columns)
