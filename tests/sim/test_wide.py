"""Prior wide: images of any telescope, told as they are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.model.prior import IMAGE_SIZE, PSF_SIDE
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.render import RENDERERS
from npecat_sim.simulation.wide_images import simulate_wide
from npecat_sim.store import schema
from npecat_sim.store.reader import Store
from npecat_sim.wide.artifacts import draw_defects, saturated
from npecat_sim.wide.chance import log_uniform
from npecat_sim.wide.conditions import BrightStar, Conditions, regular_stamp
from npecat_sim.wide.draws import NO_ARTIFACTS, draw_conditions
from npecat_sim.wide.image import HALO_REACH, draw_image, halo
from npecat_sim.wide.irregular import draw_irregularity
from npecat_sim.wide.sections import Artifacts
from npecat_sim.wide.survey import WIDE, Survey
from tests.helpers.stores import write_store

FIELDS = default_fields()


@pytest.fixture(scope="module")
def batch():
    return simulate_wide(FIELDS, 0, split="train", indices=range(200))


@pytest.fixture(scope="module")
def drawn():
    return [draw_conditions(WIDE, FIELDS, 3, split="train", index=index) for index in range(600)]


def conditions(psf=None, largest=0.0, density=1e-9, **changes) -> Conditions:
    """A quiet image: 900 electrons of variance, nothing wrong, almost surely no source."""
    psf = psf or ParametricPsf("moffat", 3.0, 0.1, -0.05, 3.0)
    stamp = regular_stamp(psf)
    irregularity = None
    if largest:
        stamp, irregularity = draw_irregularity(
            psf, stamp, width=3.0, largest=largest, generator=np.random.default_rng(0)
        )
    prior = replace(WIDE.catalog_prior, density=density)
    shape = (IMAGE_SIZE, IMAGE_SIZE)
    quiet = Conditions(
        psf=psf,
        irregularity=irregularity,
        stamp=stamp,
        pixel_scale=0.3,
        catalog_prior=prior,
        electrons_per_nmgy=1000.0,
        variance=np.full(shape, 900.0),
        sky=800.0,
        sky_error=np.zeros(shape),
        correlation=0.0,
        saturation=np.inf,
        bright_star=None,
        artifacts=NO_ARTIFACTS,
    )
    return replace(quiet, **changes)


def image_of(given: Conditions, index: int = 0):
    return draw_image(given, 0, split="test", index=index, draw=RENDERERS["compiled"])


def test_store_has_the_same_bytes_however_it_is_split(tmp_path, batch):
    """The images of a chunk of 7 are those of a chunk of 20, and those of the store's contract."""
    stores = [
        Store(write_store(tmp_path / str(n), "train", 20, "wide", 0, FIELDS, n, survey=WIDE))
        for n in (7, 20)
    ]
    for store in stores:
        found = store.batch(slice(0, 20)).arrays()
        for spec in schema.arrays(WIDE.catalog_prior.capacity, version=schema.WIDE_VERSION):
            values = found[spec.name]
            assert values.dtype == spec.dtype and values.shape[1:] == spec.tail
            np.testing.assert_array_equal(values, batch.arrays()[spec.name][:20], err_msg=spec.name)
    assert found.keys() == set(store.names)
    assert stores[0].settings.survey == WIDE.to_plain()
    assert stores[0].settings.format_version == 2
    psf = stores[0].batch(slice(3, 4)).psf_of(0)
    assert isinstance(psf, SampledPsf) and psf.stamp(PSF_SIDE)[20, 20] == pytest.approx(
        batch.psf[3, 20, 20], rel=0.03
    )


def test_told_variance_is_the_scatter_of_blank_pixels():
    """With and without a step in it, and when the noise is correlated."""
    step = np.where(np.arange(IMAGE_SIZE) < 30, 900.0, 3600.0) * np.ones((IMAGE_SIZE, 1))
    for changes in ({"variance": step}, {"correlation": 0.8}):
        given = conditions(**changes)
        sigma = np.sqrt(given.variance) / given.electrons_per_nmgy
        images = np.array([image_of(given, index).pixels / sigma for index in range(40)])
        assert images.std() == pytest.approx(1, abs=0.01)  # 256,000 pixels, some correlated
        assert images[:, :, :30].std() == pytest.approx(1, abs=0.02)


def test_told_variance_of_a_store_is_that_of_its_images():
    """Where no source and no defect is; the sky's own errors are left out."""
    quiet = Survey(
        sky=replace(WIDE.sky, error=0.0, correlated=0.0),
        sources=replace(WIDE.sources, density=(1e-6, 1e-6)),
        artifacts=NO_ARTIFACTS,
    )
    blank = simulate_wide(FIELDS, 1, split="test", indices=range(30), survey=quiet)
    alone = blank.catalog.count == 0
    sigma = np.sqrt(blank.backgrounds / blank.electrons_per_nmgy[:, None, None])[alone]
    assert alone.sum() > 20
    assert (blank.images[alone] / sigma).std() == pytest.approx(1, abs=0.01)


def test_irregular_star_takes_no_light_of_its_neighbours():
    """On bright diffuse light there is the same star as on none."""
    given = conditions(ParametricPsf("gaussian", 3.0), largest=0.05)
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    star = 1e5 * given.psf.shares(x - 40.0, y - 40.0)
    sources = {"x": [40.0], "y": [40.0], "flux": [1e5], "is_galaxy": [False]}
    columns = {name: np.array(values) for name, values in sources.items()}
    none = {name: values[:0] for name, values in columns.items()}
    flat = np.full(star.shape, 500.0)
    both = given.irregularity.applied(flat + star, columns, sigma=0.01)
    diffuse = given.irregularity.applied(flat, none, sigma=0.01)
    found = (both - diffuse)[20:61, 20:61]
    assert np.abs(found - 1e5 * given.stamp).max() < 1e-4 * found.max()
    assert given.irregularity.missing.max() > 1e-4 * given.stamp.max()


def test_everything_told_is_in_its_range(batch):
    sigma = np.sqrt(batch.backgrounds.min(axis=(1, 2)) / batch.electrons_per_nmgy)
    under_psf = sigma / np.sqrt((batch.psf.astype(float) ** 2).sum(axis=(1, 2)))
    depth = under_psf / batch.faint_flux
    assert 0.029 < depth.min() < 0.06 and 1.5 < depth.max() < 3.2
    for values, low, high in (
        (batch.density, 5e-5, 2e-2),
        (batch.pixel_scale, 0.15, 1.2),
        (batch.psf_shape[:, 0], 1.3, 7),
        (batch.psf.sum(axis=(1, 2)), 0.93, 1.02),
        (batch.noise_correlation, 1, 4),
        (batch.star_share, 0, 1),
    ):
        assert (values >= low).all() and (values <= high).all()
    assert set(batch.psf_kind) == {0, 1, 2, 3}
    assert np.isfinite(batch.images).all() and not np.isnan(batch.catalog.flat()["snr"]).any()


def test_conditions_have_the_shares_that_the_survey_says(drawn):
    as_many = np.array([one.pixel_scale == 0.396 for one in drawn])
    free = [one for one in drawn if one.pixel_scale != 0.396]
    shares = {
        "as many": (as_many.mean(), 0.2),
        "irregular": (np.mean([one.irregularity is not None for one in free]), 0.5),
        "correlated": (np.mean([one.correlation > 0 for one in free]), 0.3),
        "stars alone": (np.mean([one.star_share == 1 for one in free]), 0.15),
        "bright star": (np.mean([one.bright_star is not None for one in free]), 0.1),
        "step": (np.mean([one.variance.max() > 1.3 * one.variance.min() for one in free]), 0.15),
        "saturated": (np.mean([np.isfinite(one.saturation) for one in free]), 0.64),
    }
    for name, (found, expected) in shares.items():
        assert found == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 480)), name


def test_masked_pixels_are_those_with_image_0(batch):
    assert np.array_equal(batch.mask == 1, batch.images == 0)
    assert 0.002 < batch.mask.mean() < 0.1


def test_all_sources_are_inside_and_carry_their_flux():
    """A bright star has its centroid where the truth says, and its flux."""
    for index, (x, y) in enumerate([(30.3, 41.8), (52.0, 20.5)]):
        star = BrightStar(x, y, flux=3000.0, halo=0.0)
        made = image_of(conditions(bright_star=star), index)
        around = np.s_[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16]
        pixels = made.pixels[around]
        row, column = ndimage.center_of_mass(pixels)
        assert around[0].start + row == pytest.approx(y, abs=0.05)
        assert around[1].start + column == pytest.approx(x, abs=0.05)
        assert pixels.sum() == pytest.approx(made.sources["flux"][0], rel=0.02)
        assert made.sources["x"] == pytest.approx([x]) and made.sources["snr"][0] > 1000
    beyond = image_of(conditions(bright_star=BrightStar(-9.0, 40.0, 3e4, 1e3)))
    assert len(beyond.sources["x"]) == 0 and beyond.pixels[30:50, :5].mean() > 1


@pytest.mark.parametrize("profile", ["gaussian", "moffat", "kolmogorov"])
def test_told_psf_is_the_image_of_a_star(profile):
    psf = ParametricPsf(profile, 2.2, 0.1, 0.08, 3.0)
    regular = conditions(psf)
    assert np.abs(regular.stamp - psf.stamp(PSF_SIDE)).max() < 1e-5 * regular.stamp.max()
    for given in (regular, conditions(psf, largest=0.05)):
        star = BrightStar(40.0, 40.0, flux=1e6, halo=0.0)
        noiseless = replace(given, bright_star=star, electrons_per_nmgy=1e7)
        found = image_of(noiseless).pixels[20:61, 20:61] / 1e6
        assert np.abs(found - given.stamp).max() < 2e-5 * given.stamp.max()
    assert np.abs(given.stamp - regular.stamp).max() > 1e-3 * given.stamp.max()


def test_damage_that_is_known_is_masked_and_the_rest_is_not():
    """Of 400 images with rays and hot pixels alone."""
    rates = Artifacts((2.0, 2.0), (0.5, 0.5), 0, 0, 0, 0)
    given = conditions(artifacts=rates)
    empty = np.full((IMAGE_SIZE, IMAGE_SIZE), given.sky)
    found = [
        draw_defects(given, empty, generator=np.random.default_rng(seed)) for seed in range(400)
    ]
    light = np.array([one.light for one in found])
    mask = np.array([one.mask for one in found])
    damaged = (light > 20).sum(axis=(1, 2)) > 0
    assert 0.8 < damaged.mean() < 0.95
    known = mask[light > 20].mean()
    assert 0.6 < known < 0.8
    untouched = light[~mask & (ndimage.binary_dilation(mask, np.ones((1, 3, 3))))]
    assert np.quantile(untouched, 0.98) < 0.5  # the rest is of rays that are not in the mask


def test_saturated_stars_bleed_along_columns():
    full = np.zeros((60, 60))
    full[28:33, 29:32] = 2.0
    full[30, 30] = 40.0
    mask = saturated(full, 1.0)
    assert mask[full > 1].all()
    lengths = mask.sum(axis=0)
    assert lengths[30] > 30 > 15 > lengths[29] >= 5 and lengths[[0, 28, 32]].max() == 0
    given = conditions(
        bright_star=BrightStar(40.0, 40.0, 1e4, 0.0), saturation=30_000.0, electrons_per_nmgy=100.0
    )
    made = image_of(given)
    assert made.mask[40, 40] == 1 and len(made.sources["x"]) == 1
    assert (made.pixels[made.mask == 0] * 100 + given.sky).max() < 31_000


def test_halo_has_its_flux_within_its_reach():
    star = BrightStar(-120.5, 39.0, flux=0.0, halo=500.0)
    y, x = np.ogrid[:IMAGE_SIZE, :IMAGE_SIZE]
    distance = np.hypot(x - star.x, y - star.y)
    slope = np.polyfit(np.log(distance.ravel()), np.log(halo(star).ravel()), 1)[0]
    assert slope == pytest.approx(-2, abs=0.02)
    ring = np.arange(0, HALO_REACH, 0.5) + 0.25
    at = BrightStar(0.0, 0.0, 0.0, 500.0)
    profile = np.interp(ring, np.arange(IMAGE_SIZE), halo(at)[0])[ring < 79]
    inner = (2 * np.pi * ring[ring < 79] * profile * 0.5).sum()
    share = np.log1p((79 / 5) ** 2) / np.log1p((200 / 5) ** 2)
    assert inner == pytest.approx(500 * share, rel=0.01)


def test_light_of_sources_beyond_the_edge_is_in_the_image():
    """The mean light at the edge is that of the middle: 200 crowded images."""
    given = conditions(density=5e-3)
    total = sum(np.minimum(image_of(given, index).pixels, 3) for index in range(200)) / 200
    edge = np.concatenate([total[:3].ravel(), total[-3:].ravel(), total[:, :3].ravel()])
    assert edge.mean() == pytest.approx(total[20:60, 20:60].mean(), rel=0.1)


def test_range_that_begins_at_0_can_be_drawn():
    generator = np.random.default_rng(0)
    values = [log_uniform((0.0, 2.0), generator) for _ in range(400)]
    assert np.mean(values) == pytest.approx(1, abs=0.1)
