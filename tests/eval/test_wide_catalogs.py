"""Catalogs of survey images by a network of variant wide: what it is told, and how it is found."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from astropy.table import Table
from scipy.ndimage import gaussian_filter

import npecat
from npecat_eval import panels
from npecat_eval.catalog.blocks import PATCH_TILES, field_posterior
from npecat_eval.catalog.density import find_population
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.observe import Observation, as_used
from npecat_eval.catalog.population import NOTHING_GIVEN, Given, Population, noise_under_psf
from npecat_eval.catalog.reconstruction import Reconstruction
from npecat_eval.survey_catalog import catalog_survey_image
from npecat_sim.errors import NpecatError
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.varying import ConstantMap, PolynomialMap
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.units import magnitude
from npecat_train.data.batch import CONDITIONS, ObservedImages
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.network.wide_inputs import N_PIXEL_MAPS, SCALING
from npecat_train.posterior.distributions import Bernoulli
from npecat_train.posterior.tile_posterior import TilePosterior, initial_outputs
from npecat_train.settings import RunSettings
from tests.helpers.counts import GAIN, SKY, TOLD, noisy
from tests.helpers.survey_images import random_model, survey_image
from tests.helpers.wide_images import random_wide_model, wide_settings

POPULATION = {"density": 2e-3, "star_share": 0.4}


@pytest.fixture(scope="module")
def model():
    return random_wide_model()


def with_map(image: SurveyImage, psf_map) -> SurveyImage:
    return as_used(replace(image, psf_map=psf_map), is_wide=True)


def widening(width: int, narrow: float = 2.5, wide: float = 5.0) -> PolynomialMap:
    """A PSF that goes from one width to another along x, over so many pixels."""
    left, right = [ParametricPsf("moffat", fwhm, beta=3.5).stamp(61) for fwhm in (narrow, wide)]
    return PolynomialMap(
        np.stack([left, right - left]), np.array([(0, 0), (1, 0)]), scale=(float(width), 1.0)
    )


def test_a_psf_that_does_not_vary_after_all_leaves_no_seam(model):
    image = survey_image(122, 4 * PATCH_TILES + 150, n_stars=50)
    stamp = ParametricPsf("moffat", 3.3, beta=3.5).stamp(61)
    one = ConstantMap(SampledPsf(stamp, 1.0, "lanczos3"))
    many = PolynomialMap(np.stack([stamp, 0 * stamp]), np.array([(0, 0), (1, 0)]))
    even = Population.even(image, NOTHING_GIVEN, **POPULATION)
    whole, patches = [
        field_posterior(model, Observation(with_map(image, psf_map), even))
        for psf_map in (one, many)
    ]
    assert whole.source.probability.std() > 0.1
    whole_p, patches_p = whole.source.probability, patches.source.probability
    assert torch.allclose(whole_p, patches_p, atol=1e-3)
    assert torch.allclose(whole.flux.median(), patches.flux.median(), rtol=1e-3)


def test_a_psf_that_varies_reaches_every_block_and_cutout(model, monkeypatch):
    width = 3 * 4 * PATCH_TILES
    image = with_map(survey_image(120, width), widening(width))
    observed = Observation(image, Population.even(image, NOTHING_GIVEN, **POPULATION))
    seen = []
    read = type(model).posterior_of

    def spy(self, inputs, **how):
        seen.append(inputs.tile_maps[0, len(SCALING)])  # log area of the PSF
        return read(self, inputs, **how)

    monkeypatch.setattr(type(model), "posterior_of", spy)
    posterior = field_posterior(model, observed)
    (area,) = seen
    assert area.shape == posterior.source.probability.shape[1:]
    assert area.std(dim=0).max() == 0
    steps = area[0].unique_consecutive()
    assert len(steps) == 3 and (steps.diff() > 0.3).all()
    cuts = observed.cutouts(np.array([20, 20]), np.array([0, width - 80]), shape=(80, 80))
    for psf, x in zip(cuts.psf.numpy(), (39.5, width - 40.5), strict=True):
        assert psf == pytest.approx(image.psf_map.at(x, 0).stamp(41), abs=1e-7)


def test_what_a_network_is_told_of_an_image(model):
    """Noise of a pixel and its correlation, masks, and the sources of each tile."""
    counts = gaussian_filter(noisy(np.zeros((200, 300))) - SKY, 0.7)
    image = npecat.image_from_arrays(counts, sky=GAIN * counts.var(), psf=1.6, **TOLD)
    flags = image.flags.copy()
    flags[50:60, 100:110], flags[7, 9] = PixelFlag.SATURATED, PixelFlag.INTERPOLATED
    flags[70:80, 100:110] = PixelFlag.CROWDED | PixelFlag.HALO
    image = as_used(replace(image, flags=flags), is_wide=True)
    even = Population.even(image, Given(faint_magnitude=23.0), **POPULATION)
    varied = replace(even, density=np.linspace(1e-4, 1e-2, even.density.size, dtype=np.float32))
    varied = replace(varied, density=varied.density.reshape(even.density.shape))
    told = Observation(image, varied).part(slice(40, 120), slice(80, 200))
    assert set(told.tensors()) == {"images", "backgrounds", "electrons_per_nmgy", *CONDITIONS}
    sigma = (told.backgrounds / told.electrons_per_nmgy).sqrt().median().item()
    assert sigma == pytest.approx(image.image.std(), rel=0.03)
    correlation = told.noise_correlation.item()
    assert 1.5 < correlation < 2.5  # of a Gaussian of 0.7 pixels; measured under the PSF
    assert correlation * sigma == pytest.approx(image.sky_sigma, rel=1e-3)
    assert np.array_equal(told.mask[0], (flags[40:120, 80:200] & 15 != 0).astype(np.uint8))
    assert not told.images[told.mask == 1].any() and (told.backgrounds > 0).all()
    assert np.array_equal(told.density[0], varied.density[10:30, 20:50])
    assert magnitude(told.faint_flux.item()) == pytest.approx(23)
    assert told.pixel_scale.item() == pytest.approx(image.pixel_scale)
    at_edge = Observation(image, varied).cutouts(
        np.array([-20, 180]), np.array([-10, 280]), shape=(60, 60)
    )
    beyond = at_edge.mask.numpy() == 1
    assert beyond[0, :20].all() and beyond[0, :, :10].all() and not beyond[0, 28:, 20:].any()
    assert at_edge.density[0] == varied.density[2, 5] and beyond[1, 20:].all()
    assert model.posterior(at_edge).source.probability.isfinite().all()


@dataclass(frozen=True)
class RightModel:
    """The exact posterior of images whose tiles hold a mark of strength s with noise of one.

    A tile's first pixel is that measurement; its second one is the type: 1 for a star.
    """

    settings: RunSettings
    strength: float

    def posterior(self, images: ObservedImages, *, in_float32: bool) -> TilePosterior:
        """Bayes's theorem with the density and star share that are told."""
        mark = images.images[:, ::TILE_SIZE, ::TILE_SIZE]
        star = images.images[:, ::TILE_SIZE, 1::TILE_SIZE] > 0
        prior = -torch.expm1(-images.density * TILE_SIZE**2)[:, None, None]
        logit = torch.logit(prior) + self.strength * (mark - self.strength / 2)
        raw = torch.tensor(initial_outputs("mixture"))[None, :, None, None]
        blank = TilePosterior.from_raw(raw.expand(*mark.shape[:1], -1, *mark.shape[1:]), "mixture")
        return replace(
            blank, source=Bernoulli(logit), galaxy=Bernoulli(torch.where(star, -8.0, 8.0))
        )


def marked(density: np.ndarray | float, strength: float, star_share: float) -> SurveyImage:
    """An image of 800 x 1200 pixels for RightModel."""
    generator = np.random.default_rng(1)
    shape = 200, 300
    lit = generator.random(shape) < -np.expm1(-(TILE_SIZE**2) * np.broadcast_to(density, shape))
    image = survey_image(800, 1200, n_stars=0)
    pixels = image.image.copy()
    pixels[::TILE_SIZE, ::TILE_SIZE] = generator.standard_normal(shape) + strength * lit
    pixels[::TILE_SIZE, 1::TILE_SIZE] = generator.random(shape) < star_share
    return as_used(replace(image, image=pixels), is_wide=True)


@pytest.mark.parametrize("density", [2e-4, 2.5e-3, 1.5e-2])
def test_density_and_star_share_are_found_from_far_away(density):
    strength, star_share = 6.0, 0.8
    found = find_population(
        marked(density, strength, star_share),
        RightModel(wide_settings(), strength),
        NOTHING_GIVEN,
    )
    assert found.mean_density == pytest.approx(density, rel=0.2)
    assert found.mean_star_share == pytest.approx(star_share, abs=0.08)
    assert found.density.std() < 0.25 * density
    assert "density and star share found in" in found.was


def test_density_is_found_from_place_to_place_and_kept_within_limits():
    density = np.full((200, 300), 4e-4)
    density[:, 150:] = 4e-3
    found = find_population(
        marked(density, 6.0, 0.5), RightModel(wide_settings(), 6.0), NOTHING_GIVEN
    )
    assert np.median(found.density[:, :60]) == pytest.approx(4e-4, rel=0.35)
    assert np.median(found.density[:, -60:]) == pytest.approx(4e-3, rel=0.2)
    empty, full = [
        find_population(marked(one, 6.0, 0.5), RightModel(wide_settings(), 6.0), NOTHING_GIVEN)
        for one in (0.0, 0.2)
    ]
    assert empty.density.min() == pytest.approx(5e-5, rel=1e-4)
    assert full.density.max() == pytest.approx(2e-2)


def test_what_is_given_is_taken(model):
    image = as_used(survey_image(120, 160), is_wide=True)
    area = (image.pixel_scale / 60) ** 2
    given = Given(density=20, star_share=0.7, faint_magnitude=22.0)
    found = catalog_survey_image(image, model, given)
    population = found.reading.population
    assert population.density == pytest.approx(20 * area)
    assert population.star_share == pytest.approx(0.7)
    meta = found.rows.meta
    assert (meta["DENSITY"], meta["STARSHR"], meta["FAINTMAG"]) == (20, 0.7, 22)
    assert meta["PRIORWAS"] == "as given" and "PSFPARAM" not in meta
    assert "20 an arcmin2 above r = 22.00" in population.page(found.image)
    by_default = find_population(image, model, Given(density=20))
    assert by_default.density == pytest.approx(20 * area)
    assert by_default.was.startswith("star share found in")
    assert by_default.faint_flux == pytest.approx(4 * noise_under_psf(image))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"density": 0.0}, "density is 0.0; it must be positive"),
        ({"density": np.nan}, "density is nan"),
        ({"star_share": 1.2}, "star_share is 1.2; it must be between 0 and 1"),
        ({"faint_magnitude": np.inf}, "faint_magnitude is inf"),
        ({"star_share": 0.5}, "a network of variant psf_aware takes no star_share"),
    ],
)
def test_what_cannot_be_given_is_refused(given, named):
    with pytest.raises(NpecatError, match=named):
        npecat.catalog(survey_image(80, 80), model=random_model(), **given)


def test_a_whole_catalog_of_an_image_with_a_psf_that_varies(model, tmp_path):
    """Saturated stars, draws, footprint and tables."""
    image = replace(survey_image(160, 600, n_stars=40), psf_map=widening(600, 3.0, 4.0))
    flags = image.flags.copy()
    flags[80:86, 300:306] = PixelFlag.SATURATED
    found = catalog_survey_image(replace(image, flags=flags), model)
    assert found.image.psf.fwhm == pytest.approx(image.psf_map.at(299.5, 79.5).fwhm)
    assert len(found.saturated) == 1 and len(found) > 10
    near = np.hypot(found.found.detections.x - 302.5, found.found.detections.y - 82.5) < 3
    assert not near.any()
    draws = found.draws(5, seed=0)
    assert set(np.unique(draws["draw"])) == set(range(5)) and draws["source"].max() < len(found)
    found.write(tmp_path / "catalog.fits")
    assert Table.read(tmp_path / "catalog.fits").meta["FAINTMAG"] == found.rows.meta["FAINTMAG"]
    found.write_footprint(tmp_path / "mask.fits")


def test_a_model_of_an_image_has_the_psf_of_each_place():
    image = with_map(survey_image(120, 900, n_stars=0), widening(900, 2.0, 5.0))
    point = stars(x=[30.0, 870.0], y=[60.0, 60.0], flux=[50.0, 50.0])
    model = Reconstruction.of(image, point).stars
    left, right = model[60, 30], model[60, 870]
    for peak, x in ((left, 128), (right, 896)):
        expected = 50 * image.psf_map.at(x, 128).stamp(41)[20, 20]
        assert peak == pytest.approx(expected, rel=0.01)
    assert left > 3 * right


def stars(**columns: list[float]) -> Detections:
    """Stars of some places and fluxes."""
    n = len(columns["x"])
    rest = {"prob_source": np.ones(n), "prob_located": np.ones(n), "prob_galaxy": np.zeros(n)}
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Detections(image=np.zeros(n, int), **arrays, **rest)


def test_panels_keep_what_they_were_told(model, monkeypatch):
    monkeypatch.setattr(panels, "PANEL", 120)
    monkeypatch.setattr(panels, "MARGIN", 40)
    whole = survey_image(120, 240, n_stars=30)

    def open_part(cut: str) -> SurveyImage:
        (x0, x1), (y0, y1) = [map(int, part.split(":")) for part in cut.split(",")]
        parts = {
            name: getattr(whole, name)[y0:y1, x0:x1] for name in ("image", "background", "flags")
        }
        return replace(whole, **parts, corner=(x0, y0))

    found = panels.catalog_in_panels(
        open_part,
        model,
        size=(240, 120),
        n_draws=2,
        seed=0,
        told=lambda _: None,
        given=Given(density=30, faint_magnitude=22.5),
    )
    assert found.rows.meta["PANELS"] == 2 and len(found) > 5
    assert found.rows.meta["DENSITY"] == pytest.approx(30)
    assert found.rows.meta["FAINTMAG"] == 22.5 and 0 < found.rows.meta["STARSHR"] < 1


def test_a_network_of_six_numbers_is_told_them_and_no_more():
    image = replace(survey_image(80, 100), psf_map=widening(100))
    used = as_used(image, is_wide=False)
    assert used.psf_map.is_constant and used.psf is image.psf
    told = Observation(used, None).part(slice(0, 80), slice(0, 100))
    assert set(told.tensors()) == {
        "images",
        "backgrounds",
        "electrons_per_nmgy",
        "psf_parameters",
    }
    assert random_model().inputs(told).pixel_maps.shape[1] != N_PIXEL_MAPS
