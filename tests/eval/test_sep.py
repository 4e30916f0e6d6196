"""SEP on images whose sources are known."""

import numpy as np
import pytest
import sep

from npecat_eval.baselines import sep as sep_baseline
from npecat_eval.baselines.sep import best_class_threshold, measure
from npecat_eval.metrics.matching import Positions, match
from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.catalog import Catalog
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.render.galsim_renderer import draw_sources
from npecat_sim.surveys.extraction import extract
from npecat_sim.units import PIXEL_SCALE, flux_of_magnitude

SIZE = 80
SKY = SINGLE_FIELD.sky[0] * PIXEL_SCALE**2  # nanomaggies per pixel
ELECTRONS_PER_NMGY = SINGLE_FIELD.electrons_per_nmgy[0]
CLASS_THRESHOLD = 0.15  # mag, near what tuning gives


def star(x: float, y: float, magnitude: float) -> dict[str, float]:
    return {"x": x, "y": y, "is_galaxy": False, "flux": float(flux_of_magnitude(magnitude))}


def galaxy(x: float, y: float, magnitude: float) -> dict[str, float]:
    """A disk of 1.6 arcsec with an axis ratio of 0.6."""
    shape = {
        "angle": 0.7,
        "disk_fraction": 1.0,
        "disk_axis_ratio": 0.6,
        "bulge_axis_ratio": 1.0,
        "disk_half_light_radius": 1.6,
        "bulge_half_light_radius": 1.0,
    }
    return star(x, y, magnitude) | shape | {"is_galaxy": True}


def noiseless(sources: list[dict[str, float]]) -> np.ndarray:
    """float64 (SIZE, SIZE), nanomaggies per pixel, without sky."""
    columns = {name: np.array([s.get(name, np.nan) for s in sources]) for name in galaxy(0, 0, 20)}
    return draw_sources(columns, SINGLE_FIELD.psf_of(0), SIZE).sum(axis=0, dtype=np.float64)


def observed(light: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """float32 (SIZE, SIZE), nanomaggies per pixel: light with sky noise, sky-subtracted."""
    rate = (light + SKY) * ELECTRONS_PER_NMGY
    return (generator.normal(rate, np.sqrt(rate)) / ELECTRONS_PER_NMGY - SKY).astype(np.float32)


def conditions(images: np.ndarray) -> tuple[np.ndarray, ...]:
    """The array arguments of measure for images of the single field."""
    n = len(images)
    return (
        images,
        np.full(images.shape, SKY, dtype=np.float32),
        np.repeat(SINGLE_FIELD.psf, n, axis=0),
        np.full(n, ELECTRONS_PER_NMGY),
    )


def test_isolated_bright_stars():
    sources = [star(15.3, 20.8, 17.0), star(60.0, 14.6, 17.5), star(38.4, 61.2, 16.5)]
    light = noiseless(sources)
    generator = np.random.default_rng(1)
    images = np.stack([observed(light, generator) for _ in range(20)])
    found = measure(*conditions(images)).classify(CLASS_THRESHOLD)
    assert len(found) == 60
    order = np.lexsort((found.x, found.image))
    x, y, flux = [
        np.array([source[name] for source in sorted(sources, key=lambda s: s["x"])])
        for name in ("x", "y", "flux")
    ]
    assert np.hypot(found.x[order] - np.tile(x, 20), found.y[order] - np.tile(y, 20)).max() < 0.2
    np.testing.assert_allclose(found.flux[order], np.tile(flux, 20), rtol=0.02)
    np.testing.assert_array_equal(found.prob_galaxy, 0)


def test_psf_flux_of_blended_stars():
    """Fitted together, stars 8 px apart do not add to each other's flux."""
    sources = [star(36.0, 40.0, 18.5), star(44.0, 40.0, 18.5)]
    image = observed(noiseless(sources), np.random.default_rng(2))
    found = measure(*conditions(image[None])).classify(CLASS_THRESHOLD)
    np.testing.assert_allclose(found.flux, sources[0]["flux"], rtol=0.03)


def test_star_and_galaxy_are_told_apart():
    light = noiseless([star(20, 40, 19.0), galaxy(60, 40, 19.0)])
    generator = np.random.default_rng(3)
    images = np.stack([observed(light, generator) for _ in range(20)])
    found = measure(*conditions(images)).classify(CLASS_THRESHOLD)
    assert len(found) == 40
    np.testing.assert_array_equal(found.prob_galaxy == 1, found.x > 40)
    galaxies = found.flux[found.x > 40]
    assert galaxies.mean() == pytest.approx(flux_of_magnitude(19.0), rel=0.1)  # Kron's usual loss


def test_kron_flux_leaves_out_the_neighbour():
    alone = noiseless([galaxy(35, 40, 20.0)])
    generator = np.random.default_rng(4)
    images = [
        observed(alone, generator),
        observed(alone + noiseless([star(50, 40, 18.0)]), generator),
    ]
    sources = measure(*conditions(np.stack(images)))
    near = np.hypot(sources.x - 35, sources.y - 40) < 1
    np.testing.assert_array_equal(sources.image[near], [0, 1])
    np.testing.assert_allclose(*sources.kron_flux[near], rtol=0.5)  # the star is six times brighter


@pytest.fixture(scope="module")
def simulated() -> tuple[Catalog, tuple[np.ndarray, ...]]:
    """80 images of the prior on the single field, with their truth."""
    truth = CatalogPrior().draw(5, "test", indices=range(80))
    generator = np.random.default_rng(5)
    images = np.stack(
        [
            observed(
                draw_sources(truth.sources(row), SINGLE_FIELD.psf_of(0), SIZE).sum(axis=0),
                generator,
            )
            for row in range(80)
        ]
    )
    return truth, conditions(images)


def test_catalog_of_the_prior(simulated):
    """Bounds well below what SEP reaches on many images: 0.72, 0.98 and 0.95."""
    truth, arrays = simulated
    threshold = best_class_threshold(measure(*arrays), truth)
    assert 0.02 < threshold < 0.5
    found = measure(*arrays).classify(threshold)
    table = truth.flat()
    pairs = match(Positions(table["image"], table["x"], table["y"]), found)
    bright = table["flux"] > flux_of_magnitude(22)
    assert np.mean(pairs.truth_match[bright] >= 0) > 0.6
    assert len(pairs.truth) > 0.9 * len(found)
    right = (found.prob_galaxy[pairs.detection] == 1) == table["is_galaxy"][pairs.truth]
    assert right.mean() > 0.88


def test_tuned_threshold_is_the_best_of_a_scan(simulated):
    truth, arrays = simulated
    table, sources = truth.flat(), measure(*arrays)
    pairs = match(Positions(table["image"], table["x"], table["y"]), sources)
    bright = table["flux"][pairs.truth] > flux_of_magnitude(22)
    extent, is_galaxy = sources.extent[pairs.detection], table["is_galaxy"][pairs.truth]

    def accuracy(threshold: float) -> float:
        return np.mean((extent > threshold)[bright] == is_galaxy[bright])

    best = max(accuracy(threshold) for threshold in np.arange(-0.5, 1.5, 0.002))
    assert accuracy(best_class_threshold(measure(*arrays), truth)) >= best


def test_images_do_not_depend_on_each_other(simulated):
    _, arrays = simulated
    together = measure(*arrays)
    alone = measure(*[array[7:8] for array in arrays])
    np.testing.assert_array_equal(together.psf_flux[together.image == 7], alone.psf_flux)


PATHOLOGICAL = {
    "zeros": np.zeros((SIZE, SIZE)),
    "negative": np.full((SIZE, SIZE), -1.0),
    "plateau": np.full((SIZE, SIZE), 5.0),
    "ramp": np.add.outer(np.linspace(-5, 5, SIZE), np.linspace(-1, 1, SIZE)),
    "one hot pixel": np.pad([[1e5]], ((40, 39), (40, 39))),
    "corner": np.pad([[1e3]], ((0, 79), (0, 79))),
    "line": np.where(np.arange(SIZE)[:, None] == 40, 3.0, 0.0) * np.ones(SIZE),
    "upright line": np.where(np.arange(SIZE) == 40, 3.0, 0.0) * np.ones((SIZE, 1)),
    "bad column": np.where(np.arange(SIZE) == 0, -100.0, 1.0) * np.ones((SIZE, 1)),
    "checkerboard": 50.0 * (-1.0) ** np.add.outer(np.arange(SIZE), np.arange(SIZE)),
    "loud noise": np.random.default_rng(6).normal(0, 30, (SIZE, SIZE)),
    "hole": 5.0 - 100.0 * (np.hypot(*(np.indices((SIZE, SIZE)) - 40)) < 10),
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_pathological_images(name):
    """Detections checks on its own that whatever comes out is finite."""
    found = measure(*conditions(PATHOLOGICAL[name][None])).classify(CLASS_THRESHOLD)
    assert np.all(found.flux > 0)
    if name in ("zeros", "negative"):
        assert len(found) == 0


def test_small_kron_aperture_gives_way_to_a_circle():
    """A lone pixel has a Kron radius of zero; its flux is not."""
    sources = measure(*conditions(PATHOLOGICAL["one hot pixel"][None]))
    np.testing.assert_allclose(sources.kron_flux, [1e5])


def test_centroid_that_drifts_away_gives_way_to_the_barycentre(monkeypatch):
    image = observed(noiseless([star(30.2, 40.7, 17.0)]), np.random.default_rng(7))
    monkeypatch.setattr(sep, "winpos", lambda image, x, y, sigma, mask: (x + 9, y, 0))
    sources = measure(*conditions(image[None]))
    assert np.hypot(sources.x - 30.2, sources.y - 40.7).max() < 0.2


def test_more_blends_than_sep_has_room_for(simulated):
    """Where deblending overflows, the image is cataloged without it."""
    _, arrays = simulated
    limit = sep.get_sub_object_limit()
    sep.set_sub_object_limit(1)
    try:
        found = measure(*arrays).classify(CLASS_THRESHOLD)
    finally:
        sep.set_sub_object_limit(limit)
    assert 0 < len(found) <= len(measure(*arrays).classify(CLASS_THRESHOLD))


def test_lost_fluxes():
    """No Kron flux: a star with its PSF flux. No PSF flux: a galaxy. Neither: no source."""
    zeros = np.zeros(4)
    sources = sep_baseline.SepSources(
        image=np.arange(4),
        x=zeros,
        y=zeros,
        psf_flux=np.array([2.0, -1.0, -1.0, 2.0]),
        kron_flux=np.array([-1.0, 3.0, 0.0, 2.0]),
    )
    found = sources.classify(CLASS_THRESHOLD)
    np.testing.assert_array_equal(found.image, [0, 1, 3])
    np.testing.assert_array_equal(found.flux, [2, 3, 2])
    np.testing.assert_array_equal(found.prob_galaxy, [0, 1, 0])


def test_tuning_needs_sources():
    images = np.zeros((2, SIZE, SIZE))
    truth = CatalogPrior().draw(1, "validation", indices=range(2))
    with pytest.raises(NpecatError, match="too few"):
        best_class_threshold(measure(*conditions(images)), truth)


def test_a_crowded_image_fills_no_buffer():
    """All of its pixels are above the threshold: more than SEP has room for by default."""
    y, x = np.indices((600, 600))
    image = 10.0 + np.sin(x / 2) ** 2 * np.sin(y / 2) ** 2
    sep.set_extract_pixstack(300_000)
    with pytest.raises(Exception, match="internal pixel buffer full"):
        sep.extract(image, 1.5, err=1.0)
    assert len(extract(image, 1.5, err=1.0)) >= 1
