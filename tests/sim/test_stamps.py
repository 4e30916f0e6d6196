"""Sources drawn into images of any shape equal those that the renderer draws at once."""

import numpy as np
import pytest

from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render.compiled import draw_sources
from npecat_sim.render.stamps import STAMP, draw_field
from npecat_sim.units import PIXEL_SCALE, flux_of_magnitude
from tests.sim.test_compiled import KINDS

SKY_SIGMA = 0.03
PSF = SINGLE_FIELD.psf_of(0)


def test_small_image_equals_the_sum_of_the_renderer():
    sources = CatalogPrior().draw(5, "test", indices=range(1)).sources(0)
    sources = {name: column for name, column in sources.items() if name != "snr"}
    assert len(sources["x"]) > 1 and sources["is_galaxy"].any() and not sources["is_galaxy"].all()
    at_once = draw_sources(sources, PSF, 80, SKY_SIGMA).sum(axis=0)
    np.testing.assert_allclose(
        draw_field(sources, PSF, shape=(80, 80), sky_sigma=SKY_SIGMA),
        at_once,
        atol=0.01 * SKY_SIGMA,
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [(250.3, 100.7), (0.2, 0.4), (-30.0, 100.0), (520.0, 199.0), (250.0, 260.5)],
)
@pytest.mark.parametrize("psf", [PSF, KINDS[1], KINDS[4]], ids=["six numbers", "moffat", "samples"])
def test_star_lies_where_it_should_even_outside(x, y, psf):
    star = {name: np.full(1, np.nan) for name in CatalogPrior().shapes(np.ones((6, 1)))}
    star |= {"x": np.array([x]), "y": np.array([y]), "flux": np.full(1, 500.0)}
    star["is_galaxy"] = np.array([False])
    image = draw_field(star, psf, shape=(200, 500), sky_sigma=SKY_SIGMA)
    row, column = np.indices(image.shape)
    expected = 500.0 * psf.shares(column - x, row - y)
    inside = np.maximum(np.abs(row - y), np.abs(column - x)) < STAMP // 2
    np.testing.assert_allclose(image[inside], expected[inside], atol=0.01 * SKY_SIGMA)


def test_pixel_scale_reaches_the_renderer():
    sources = CatalogPrior().draw(5, "test", indices=range(1)).sources(0)
    scale = 2 * PIXEL_SCALE
    np.testing.assert_allclose(
        draw_field(sources, PSF, shape=(80, 80), sky_sigma=SKY_SIGMA, pixel_scale=scale),
        draw_sources(sources, PSF, 80, SKY_SIGMA, scale).sum(axis=0),
        atol=0.01 * SKY_SIGMA,
    )


@pytest.mark.parametrize("x", [-250.0, 5000.0])
def test_far_source_adds_nothing(x):
    star = {name: np.full(1, np.nan) for name in CatalogPrior().shapes(np.ones((6, 1)))}
    star |= {"x": np.array([x]), "y": np.array([x]), "flux": np.full(1, 500.0)}
    star["is_galaxy"] = np.array([False])
    assert not draw_field(star, PSF, shape=(64, 100), sky_sigma=SKY_SIGMA).any()


def test_little_light_lies_beyond_a_stamp():
    fields = default_fields()
    sigma = np.sqrt(fields.sky * PIXEL_SCALE**2 / fields.electrons_per_nmgy)
    edge = np.array(STAMP // 2, dtype=float)
    for magnitude, limit in ((14, 0.0012), (12, 0.0072)):
        flux = flux_of_magnitude(magnitude)
        left_out = [
            flux * SixNumberPsf.of(psf).profile(edge) / s
            for psf, s in zip(fields.psf, sigma, strict=True)
        ]
        assert 0.8 * limit < max(left_out) < limit
