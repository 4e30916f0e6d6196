"""The pixels of an image of prior ``wide``: sources, noise and defects under drawn conditions."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.model.catalog import COLUMNS
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.psf.base import SIGMA_TO_FWHM
from npecat_sim.render import Renderer
from npecat_sim.render.noise import correlated_noise, signal_to_noise
from npecat_sim.render.profiles import (
    DE_VAUCOULEURS_B,
    DE_VAUCOULEURS_CENTRE,
    EXPONENTIAL_CENTRE,
    EXPONENTIAL_SCALE,
)
from npecat_sim.wide.artifacts import draw_defects
from npecat_sim.wide.conditions import BrightStar, Conditions

MARGIN = 40
"""Pixels beyond the edge from which sources shine into an image. From farther away only the
brightest stars, with wide wings, at the greatest depth, bring more than LEAST_LIGHT."""

LEAST_LIGHT = 0.1
"""Sigmas of a pixel that a source beyond the edge must bring to some pixel to be drawn."""

HALO_CORE = 5.0
"""Pixels: the halo is flat within."""

HALO_REACH = 200.0
"""Pixels within which the halo has its flux. It falls as r^-2, as the aureoles of stars do (King
1971, PASP 83, 199)."""


@dataclass(frozen=True, eq=False)
class WideImage:
    """One image and its truth.

    Parameters
    ----------
    pixels : ndarray
        float32 (y, x), nanomaggies, 0 where masked.
    mask : ndarray
        uint8 (y, x), 1 where a pixel holds no information.
    sources : dict of str to ndarray
        Columns of catalog.COLUMNS, each (source,), of the sources inside the image.
    """

    pixels: np.ndarray
    mask: np.ndarray
    sources: dict[str, np.ndarray]


def draw_image(
    conditions: Conditions, seed: int, *, split: str, index: int, draw: Renderer
) -> WideImage:
    """Draw sources, noise and defects under given conditions.

    Parameters
    ----------
    conditions : Conditions
        From draw_conditions, or made otherwise for a test of a network.
    seed : int
        Seed of the store.
    split : str
        One of streams.SPLITS.
    index : int
        Index of the image in the split.
    draw : Renderer
        Renderer of the sources, see render.RENDERERS.

    Returns
    -------
    WideImage
        It depends on nothing else.

    Notes
    -----
    Electrons are Normal(rate, variance of the empty pixel + rate of the sources). Correlated noise
    has the same variance in each pixel, that of the sources' photons included: resampling has
    correlated it as well.
    """
    catalog_stream, noise_stream, defect_stream = [
        stream(seed, split, index=index, purpose=purpose)
        for purpose in (Purpose.CATALOG, Purpose.NOISE, Purpose.ARTIFACTS)
    ]
    electrons = conditions.electrons_per_nmgy
    sources = _catalog(conditions, catalog_stream)
    inside = _is_inside(sources)
    drawn = _draw(sources, conditions, draw)
    light = drawn.sum(axis=0, dtype=np.float64)
    if conditions.irregularity:
        light = conditions.irregularity.applied(light, sources, sigma=conditions.sigma)
    sources = {name: column[inside] for name, column in sources.items()}
    if conditions.bright_star:
        light += halo(conditions.bright_star)
    variance = conditions.variance + electrons * np.maximum(light, 0)
    sources["snr"] = signal_to_noise(drawn[inside], variance / electrons, electrons).astype(
        np.float32
    )
    noise = correlated_noise(IMAGE_SIZE, conditions.correlation, generator=noise_stream)
    defects = draw_defects(conditions, conditions.sky + electrons * light, generator=defect_stream)
    pixels = light + np.sqrt(variance) * noise / electrons
    pixels += conditions.sky_error + conditions.sigma * defects.light
    pixels[defects.mask] = 0
    return WideImage(pixels.astype(np.float32), defects.mask.astype(np.uint8), sources)


def _catalog(conditions: Conditions, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Sources in the image and those around it that may shine into it, by columns of a store."""
    drawn = conditions.catalog_prior.draw_around(generator, margin=MARGIN)
    star = conditions.bright_star
    if star:
        alone = {"x": star.x, "y": star.y, "flux": star.flux, "is_galaxy": False}
        drawn = {name: np.append(values, alone.get(name, np.nan)) for name, values in drawn.items()}
    columns = {
        column.name: drawn[column.name].astype(column.dtype)
        for column in COLUMNS
        if column.name in drawn
    }
    kept = _is_inside(columns)
    if not kept.all():
        kept |= _most_light(columns, conditions) > LEAST_LIGHT * conditions.sigma
    return {name: values[kept] for name, values in columns.items()}


def _is_inside(sources: dict[str, np.ndarray]) -> np.ndarray:
    """Whether each source is inside the image: bool (source,)."""
    inside: np.ndarray = np.all(
        [(sources[axis] >= -0.5) & (sources[axis] < IMAGE_SIZE - 0.5) for axis in "xy"], axis=0
    )
    return inside


def _most_light(sources: dict[str, np.ndarray], conditions: Conditions) -> np.ndarray:
    """A bound on what each source beyond the edge brings to a pixel: nanomaggies (source,).

    Light that a galaxy has at a distance is at least half of it away in the galaxy or in the PSF.
    """
    beyond = [
        np.maximum(np.maximum(-0.5 - sources[axis], sources[axis] - (IMAGE_SIZE - 0.5)), 0)
        for axis in "xy"
    ]
    distance = np.hypot(*beyond)
    galaxy = sources["is_galaxy"]
    half = np.where(galaxy, distance / 2, distance)
    radius = np.arange(np.ceil(half.max()) + 2)
    along = np.exp(1j * np.pi * np.arange(4) / 4)[:, None] * radius
    profile = 2 * conditions.psf.shares(along.real, along.imag).max(axis=0)  # 2: irregularity
    bound = np.interp(half, radius, profile)
    for part, index, depth, centre in (
        ("disk", 1.0, 1 / EXPONENTIAL_SCALE, EXPONENTIAL_CENTRE),
        ("bulge", 0.25, DE_VAUCOULEURS_B, DE_VAUCOULEURS_CENTRE),
    ):
        major = sources[f"{part}_half_light_radius"][galaxy] / conditions.pixel_scale
        minor = major * sources[f"{part}_axis_ratio"][galaxy]
        area = major * np.maximum(minor, conditions.psf_shape[0] / SIGMA_TO_FWHM)
        share = sources["disk_fraction"][galaxy]
        share = share if part == "disk" else 1 - share
        bound[galaxy] += share * centre / area * np.exp(-depth * (half[galaxy] / major) ** index)
    light: np.ndarray = bound * sources["flux"]
    return light


def _draw(sources: dict[str, np.ndarray], conditions: Conditions, draw: Renderer) -> np.ndarray:
    """Each source alone, without noise: float32 (source, y, x), nanomaggies."""
    return draw(sources, conditions.psf, IMAGE_SIZE, conditions.sigma, conditions.pixel_scale)


def halo(star: BrightStar) -> np.ndarray:
    """The light around a very bright star that is not in the PSF: float64 (y, x), nanomaggies."""
    y, x = np.ogrid[:IMAGE_SIZE, :IMAGE_SIZE]
    distance2 = (x - star.x) ** 2 + (y - star.y) ** 2
    norm = np.pi * np.log1p((HALO_REACH / HALO_CORE) ** 2)
    light: np.ndarray = star.halo / norm / (distance2 + HALO_CORE**2)
    return light
