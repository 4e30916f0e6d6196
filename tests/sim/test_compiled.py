"""The compiled renderer against GalSim at render.EXACT, and render's shortcuts against GalSim."""

from typing import Any

import galsim
import numba
import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.catalog import COLUMNS
from npecat_sim.model.prior import IMAGE_SIZE, CatalogPrior
from npecat_sim.psf import six_numbers as psf
from npecat_sim.psf.base import SIGMA_TO_FWHM
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render import compiled
from npecat_sim.render import galsim_renderer as render
from npecat_sim.render.jit import jit
from npecat_sim.units import PIXEL_SCALE

TYPICAL = SINGLE_FIELD.psf_of(0)
SHARP = SixNumberPsf(0.769, 2.27, 5.0, 3.0, 0.0385, 1e-7)
"""The sharpest of 1,578 SDSS fields; its wing fit failed, as in a quarter of them."""

SKY_SIGMA = np.sqrt(SINGLE_FIELD.sky * PIXEL_SCALE**2 / SINGLE_FIELD.electrons_per_nmgy)[0]
"""Nanomaggies per pixel."""

GALAXY = {
    "x": 37.3,
    "y": 41.8,
    "is_galaxy": True,
    "flux": 5.0,
    "angle": 0.7,
    "disk_fraction": 0.5,
    "disk_axis_ratio": 0.6,
    "bulge_axis_ratio": 0.8,
    "disk_half_light_radius": 2.0,
    "bulge_half_light_radius": 1.0,
}


def lopsided(fwhm: float, side: int, *, step: float, interpolant: str) -> SampledPsf:
    """A Gaussian with a fainter one 0.6 FWHM right of it and 0.3 FWHM above: not even."""
    offset = (np.arange(side) - (side - 1) / 2) * step
    y, x = offset[:, None], offset
    variance = (fwhm / SIGMA_TO_FWHM) ** 2
    core = np.exp(-(x**2 + y**2) / (2 * variance))
    tail = np.exp(-((x - 0.6 * fwhm) ** 2 + (y - 0.3 * fwhm) ** 2) / (2 * variance))
    return SampledPsf(core + 0.3 * tail, step, interpolant)


KINDS = [
    ParametricPsf("gaussian", 1.5, 0.1, 0.1),
    ParametricPsf("moffat", 4.0, -0.15, 0.02, 2.5),
    ParametricPsf("moffat", 7.0, 0.1, -0.1, 4.5),
    ParametricPsf("kolmogorov", 2.0, 0.0, -0.15),
    lopsided(4.0, 51, step=1.0, interpolant="quintic"),
    lopsided(4.0, 52, step=1.0, interpolant="lanczos3"),
    lopsided(3.0, 51, step=0.5, interpolant="lanczos3"),
]
"""Others than six numbers. GalSim leaves out some of a galaxy under fewer samples a FWHM."""

KIND_NAMES = ["gaussian", "moffat2.5", "moffat4.5", "kolmogorov", "odd", "even", "oversampled"]
"""For the names of tests."""


def source_table(*sources: dict[str, float]) -> dict[str, np.ndarray]:
    """Columns of sources given as changes to GALAXY."""
    rows = [{**GALAXY, "snr": np.nan, **source} for source in sources]
    return {
        column.name: np.array([row[column.name] for row in rows], dtype=column.dtype)
        for column in COLUMNS
    }


def largest_error(sources, point, sky_sigma=SKY_SIGMA, moved=0.0) -> float:
    """Largest pixel error of the image of all sources, drawn ``moved`` pixels off, in sky sigma."""
    exact = render.draw_sources(sources, point, IMAGE_SIZE, render.EXACT)
    sources = {**sources, "x": sources["x"] + np.float32(moved)}
    fast = compiled.draw_sources(sources, point, IMAGE_SIZE, sky_sigma)
    return float(np.abs((fast - exact).sum(axis=0)).max(initial=0) / sky_sigma)


def test_images_of_the_prior_equal_galsim():
    catalog = CatalogPrior().draw(seed=3, split="test", indices=range(25))
    errors = [
        largest_error(catalog.sources(image), SHARP if image % 2 else TYPICAL)
        for image in range(25)
    ]
    assert np.median(errors) < 0.005
    assert max(errors) < 0.01


def test_images_of_real_fields_equal_galsim(sdss_dir):
    columns = fits.getdata(sorted(sdss_dir.glob("photoField-*.fits"))[0])[::120]
    catalog = CatalogPrior().draw(seed=4, split="test", indices=range(len(columns)))
    r_band = 2
    for image, row in enumerate(columns):
        parameters = SixNumberPsf.of(
            [row[f"PSF_{name.upper()}"][r_band] for name in psf.PARAMETERS]
        )
        electrons_per_nmgy = row["GAIN"][r_band] / row["NMGYPERCOUNT"][r_band]
        sky_sigma = np.sqrt(row["SKY"][r_band] * PIXEL_SCALE**2 / electrons_per_nmgy)
        assert largest_error(catalog.sources(image), parameters, sky_sigma) < 0.01


@pytest.mark.parametrize(
    ("source", "point"),
    [
        pytest.param({"disk_half_light_radius": 35.0, "flux": 300.0}, TYPICAL, id="huge disk"),
        pytest.param({"bulge_half_light_radius": 12.0, "flux": 100.0}, TYPICAL, id="huge bulge"),
        pytest.param(
            {"disk_axis_ratio": 0.003, "bulge_axis_ratio": 0.003, "flux": 3000.0},
            TYPICAL,
            id="slanted needle",
        ),
        pytest.param(
            {"bulge_axis_ratio": 0.003, "angle": 0.0, "flux": 3000.0}, SHARP, id="level needle"
        ),
        pytest.param({"flux": 3000.0}, TYPICAL, id="bright"),
        pytest.param({"flux": 3000.0, "bulge_half_light_radius": 0.42}, SHARP, id="compact"),
        pytest.param({"x": -0.5, "y": 79.4, "flux": 300.0}, TYPICAL, id="corner"),
        pytest.param({"x": -30.0, "flux": 300.0}, TYPICAL, id="outside"),
        pytest.param({"disk_fraction": 1.0, "flux": 300.0}, TYPICAL, id="disk only"),
        pytest.param({"disk_fraction": 0.0, "flux": 300.0}, TYPICAL, id="bulge only"),
        pytest.param({"is_galaxy": False, "flux": 1180.0}, TYPICAL, id="star"),
        pytest.param({"is_galaxy": False, "flux": 1180.0}, SHARP, id="sharp star"),
    ],
)
def test_hard_source_equals_galsim(source, point):
    assert largest_error(source_table(source), point) < 0.01


@pytest.mark.parametrize("point", KINDS, ids=KIND_NAMES)
def test_every_kind_equals_galsim(point):
    star = {"is_galaxy": False}
    sources = source_table(
        {},
        {"angle": 2.5, "disk_axis_ratio": 0.1, "bulge_axis_ratio": 0.1, "flux": 20.0},
        {"disk_half_light_radius": 0.4, "bulge_half_light_radius": 0.4, "flux": 20.0},
        {"disk_half_light_radius": 8.0, "flux": 100.0},
        {"x": -0.5, "y": 79.4, "flux": 20.0},
        {"x": -20.0, "flux": 300.0},
        {**star, "flux": 1000.0},
        {**star, "flux": 0.7},
        {**star, "flux": 300.0, "x": 80.2, "y": -3.0},
        {**star, "flux": 1000.0, "x": -200.0},
    )
    exact = render.draw_sources(sources, point, IMAGE_SIZE, render.EXACT)
    fast = compiled.draw_sources(sources, point, IMAGE_SIZE, SKY_SIGMA)
    errors = np.abs(fast - exact).max(axis=(1, 2)) / SKY_SIGMA
    assert errors.max() < 0.01, errors


@pytest.mark.parametrize("interpolant", ["lanczos3", "quintic"])
def test_a_tiny_galaxy_under_few_samples_is_the_star(interpolant):
    """Which is drawn from the samples themselves: nothing that the kernel has is left out."""
    point = lopsided(1.7, 21, step=1.0, interpolant=interpolant)
    tiny = {"disk_half_light_radius": 1e-3, "bulge_half_light_radius": 1e-3, "flux": 3.0}
    sources = source_table(tiny, {**tiny, "is_galaxy": False})
    galaxy, star = compiled.draw_sources(sources, point, IMAGE_SIZE, SKY_SIGMA)
    assert np.abs(galaxy - star).max() < 0.01 * SKY_SIGMA


@pytest.mark.parametrize("is_galaxy", [True, False])
def test_light_lies_on_the_right_side(is_galaxy):
    shape = {"disk_axis_ratio": 1.0, "bulge_axis_ratio": 1.0, "flux": 100.0}
    source = source_table({**shape, "x": 40.0, "y": 40.0, "is_galaxy": is_galaxy})
    offset = np.arange(IMAGE_SIZE) - 40

    def moments(point):
        image = compiled.draw_sources(source, point, IMAGE_SIZE, SKY_SIGMA)[0].astype(float)
        image *= np.hypot(offset, offset[:, None]) < 15
        x, y = image.sum(axis=0) @ offset, image.sum(axis=1) @ offset
        xx, yy = image.sum(axis=0) @ offset**2, image.sum(axis=1) @ offset**2
        return np.array([x, y, xx - yy, 2 * offset @ image @ offset]) / image.sum()

    x, y, e1, e2 = moments(ParametricPsf("moffat", 3.0, 0.1, 0.0))  # long along x
    assert e1 > 0.3 and np.abs([x, y, e2]).max() < 1e-2
    x, y, e1, e2 = moments(ParametricPsf("moffat", 3.0, 0.0, 0.1))  # long along x = y
    assert e2 > 0.3 and np.abs([x, y, e1]).max() < 1e-2
    x, y, *_ = moments(lopsided(4.0, 51, step=1.0, interpolant="lanczos3"))
    assert x == pytest.approx(0.6 * 4 * 0.3 / 1.3, rel=0.15)
    assert y == pytest.approx(0.3 * 4 * 0.3 / 1.3, rel=0.15)


@pytest.mark.parametrize("point", KINDS, ids=KIND_NAMES)
def test_no_light_is_lost(point):
    size = 401
    place = {"x": 200.3, "y": 199.6, "flux": 1000.0}
    sources = source_table(place, {**place, "is_galaxy": False})
    for image in compiled.draw_sources(sources, point, size, SKY_SIGMA):
        assert image.sum(dtype=float) == pytest.approx(1000, rel=2e-3)


@pytest.mark.parametrize(
    "point", [TYPICAL, KINDS[1], KINDS[4]], ids=["six numbers", "moffat", "samples"]
)
def test_the_brightest_source_is_drawn(point):
    place = {"x": -20.0, "y": 60.0, "flux": 6e5}
    images = compiled.draw_sources(
        source_table(place, {**place, "is_galaxy": False}), point, IMAGE_SIZE, SKY_SIGMA
    )
    assert np.isfinite(images).all()
    assert images[0].max() > 100 * SKY_SIGMA


def test_radii_are_divided_by_the_pixel_scale():
    radii = {"disk_half_light_radius": 2.0, "bulge_half_light_radius": 1.0}
    half = {name: radius / 2 for name, radius in radii.items()}
    for draw in (
        lambda sources, **scale: compiled.draw_sources(sources, KINDS[1], 40, 0.03, **scale),
        lambda sources, **scale: render.draw_sources(sources, KINDS[1], 40, **scale),
    ):
        expected = draw(source_table(half))
        image = draw(source_table(radii), pixel_scale=2 * PIXEL_SCALE)
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_a_hundredth_of_a_pixel_is_noticed():
    assert largest_error(source_table({"flux": 100.0}), TYPICAL, moved=0.01) > 0.1


@pytest.mark.parametrize("point", [TYPICAL, SHARP])
def test_unit_flux_within_the_calibration_radius(point):
    size = 201
    star = source_table({"x": 100.3, "y": 99.6, "is_galaxy": False, "flux": 1000.0})
    image = compiled.draw_sources(star, point, size, SKY_SIGMA)[0]
    radius = np.hypot(*(np.indices(image.shape) - np.array([99.6, 100.3])[:, None, None]))
    assert image[radius < psf.CALIBRATION_RADIUS].sum() == pytest.approx(1000, rel=1e-3)


def test_galaxy_keeps_the_flux_beyond_the_calibration_radius():
    size = 401
    galaxy = source_table({"x": 200.0, "y": 200.0, "flux": 1000.0})
    image = compiled.draw_sources(galaxy, SHARP, size, SKY_SIGMA)[0]
    assert image.sum() == pytest.approx(1000, rel=1e-3)


def test_a_source_does_not_depend_on_its_neighbours():
    sources = CatalogPrior().draw(seed=5, split="test", indices=range(20)).flat()
    together = compiled.draw_sources(sources, TYPICAL, IMAGE_SIZE, SKY_SIGMA)
    for row, image in enumerate(together):
        alone = {name: column[row : row + 1] for name, column in sources.items()}
        again = compiled.draw_sources(alone, TYPICAL, IMAGE_SIZE, SKY_SIGMA)[0]
        np.testing.assert_array_equal(again, image)


@pytest.mark.parametrize("size", [8, 33])
def test_no_sources(size):
    assert compiled.draw_sources(source_table(), TYPICAL, size, SKY_SIGMA).shape == (0, size, size)
    assert render.draw_sources(source_table(), TYPICAL, size).shape == (0, size, size)


@pytest.mark.parametrize("size", [80, 33])
@pytest.mark.parametrize("is_galaxy", [True, False])
def test_render_equals_galsims_own_drawing(size, is_galaxy):
    sources = source_table({"is_galaxy": is_galaxy, "x": 11.2, "y": 20.7})
    source = {name: float(column[0]) for name, column in sources.items()}
    profile = TYPICAL.galsim_profile(render.FAST)
    if is_galaxy:
        galaxy = render.galaxy_profile(source, render.FAST)
        profile = galsim.Convolve(galaxy, profile, propagate_gsparams=False)
    else:
        profile = profile * source["flux"]
    centre = (size - 1) / 2
    offset = (source["x"] - centre, source["y"] - centre)
    expected = profile.drawImage(
        nx=size, ny=size, scale=1.0, method="no_pixel", offset=offset, dtype=np.float32
    )
    image = render.draw_sources(sources, TYPICAL, size)[0]
    np.testing.assert_allclose(image, expected.array, atol=1e-3 * SKY_SIGMA)


def test_render_refuses_a_huge_fft():
    small = render.FAST.withParams(maximum_fft_size=64)
    with pytest.raises(galsim.GalSimFFTSizeError):
        render.draw_sources(source_table({}), TYPICAL, IMAGE_SIZE, small)


def test_code_is_compiled_where_numba_has_no_folder_for_its_cache():
    """As in an installation that is read-only, of a user who has no home: a file in no folder."""
    names: dict[str, Any] = {}
    exec(compile("def half(x): return x / 2", "<nowhere>", "exec"), names)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(names["half"])
    assert jit()(names["half"])(3) == 1.5
