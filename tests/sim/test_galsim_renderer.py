"""The GalSim renderer against the definitions themselves, summed on a fine grid without GalSim.

This is what fixes the conventions: radii along the major axis, angles from +x towards +y,
positions at pixel centres, the PSF as the published formula with unit flux within 7.43 arcsec.
"""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render import galsim_renderer as render
from tests.sim.test_compiled import KIND_NAMES, KINDS, SHARP, SKY_SIGMA, TYPICAL, source_table

SIZE, FINE = 61, 5
"""Pixels a side, and samples of a pixel along each side; both odd, so that samples hit centres."""


def psf_formula(parameters, radius):
    sigma1, sigma2, sigmap, beta, b, p0 = parameters
    return (
        np.exp(-(radius**2) / (2 * sigma1**2))
        + b * np.exp(-(radius**2) / (2 * sigma2**2))
        + p0 * (1 + radius**2 / (beta * sigmap**2)) ** (-beta / 2)
    ) / (1 + b + p0)


def fine_grid():
    half = (SIZE * FINE - 1) / 2
    axis = (np.arange(SIZE * FINE) - half) / FINE
    return np.meshgrid(axis, axis)  # x, y in pixels from the middle of the image


@pytest.mark.parametrize("parameters", [TYPICAL.parameters, SHARP.parameters])
def test_psf_is_the_published_formula(parameters):
    radius = np.linspace(0, 30, 200)
    ratio = SixNumberPsf.of(parameters).profile(radius) / psf_formula(parameters, radius)
    assert ratio == pytest.approx(np.full(200, ratio[0]))
    x, y = np.meshgrid(np.arange(-30, 31, 0.1), np.arange(-30, 31, 0.1))
    radius = np.hypot(x, y)
    inside = radius < 7.43 / 0.396
    assert SixNumberPsf.of(parameters).profile(radius[inside]).sum() * 0.01 == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize("angle", [0.0, 0.6, 2.5])
def test_disk_is_the_exponential_of_table_1(angle):
    """Semi-major half-light radius 3 arcsec, axis ratio 0.4: exp(-1.678 r / a) on ellipses."""
    source = source_table(
        {
            "x": 30.0,
            "y": 30.0,
            "angle": angle,
            "flux": 50.0,
            "disk_fraction": 1.0,
            "disk_axis_ratio": 0.4,
            "disk_half_light_radius": 3.0,
        }
    )
    x, y = fine_grid()
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    disk = np.exp(-1.67834699 * np.hypot(along, across / 0.4) / (3.0 / 0.396))
    disk *= 50.0 / disk.sum()
    point = psf_formula(TYPICAL.parameters, np.hypot(x, y))
    point *= 1 / point[np.hypot(x, y) < 7.43 / 0.396].sum() * FINE**2
    expected = fftconvolve(disk, point, mode="same")[FINE // 2 :: FINE, FINE // 2 :: FINE]
    image = render.draw_sources(source, TYPICAL, SIZE)[0]
    assert np.abs(image - expected)[8:-8, 8:-8].max() < 0.01 * expected.max()
    upside_down = render.draw_sources({**source, "angle": -source["angle"]}, TYPICAL, SIZE)[0]
    if angle:
        assert np.abs(upside_down - expected).max() > 0.1 * expected.max()


def test_bulge_holds_half_its_light_within_its_radius():
    """De Vaucouleurs, a = 4 arcsec, q = 0.5: half of the light in the ellipse of those axes."""
    source = source_table(
        {
            "x": 120.0,
            "y": 120.0,
            "angle": 0.0,
            "flux": 100.0,
            "disk_fraction": 0.0,
            "bulge_axis_ratio": 0.5,
            "bulge_half_light_radius": 4.0,
        }
    )
    image = render.draw_sources(source, SHARP, 241)[0]
    y, x = np.mgrid[-120:121, -120:121]
    inside = np.hypot(x, y / 0.5) < 4.0 / 0.396
    assert image[inside].sum() == pytest.approx(50, rel=0.03)


@pytest.mark.parametrize("point", KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("gsparams", [render.FAST, render.EXACT], ids=["fast", "exact"])
def test_star_of_every_kind_is_the_psf_at_the_pixel_centres(point, gsparams):
    star = source_table({"x": 20.3, "y": 33.9, "is_galaxy": False, "flux": 200.0})
    y, x = np.mgrid[:SIZE, :SIZE]
    expected = 200.0 * point.shares(x - 20.3, y - 33.9)
    image = render.draw_sources(star, point, SIZE, gsparams)[0]
    assert np.abs(image - expected).max() < 0.01 * SKY_SIGMA + 1e-6 * expected.max()


def test_galaxy_under_a_psf_that_is_not_even():
    """The profile summed on a fine grid: a disk, convolved with the samples' kernel."""
    point = KINDS[4]
    source = source_table({"x": 30.0, "y": 30.0, "flux": 50.0, "angle": 0.6, "disk_fraction": 1.0})
    x, y = fine_grid()
    along, across = x * np.cos(0.6) + y * np.sin(0.6), -x * np.sin(0.6) + y * np.cos(0.6)
    disk = np.exp(-1.67834699 * np.hypot(along, across / 0.6) / (2.0 / 0.396))
    disk *= 50.0 / disk.sum()
    expected = fftconvolve(disk, point.shares(x, y), mode="same")
    expected = expected[FINE // 2 :: FINE, FINE // 2 :: FINE]
    for _ in range(2):  # the second time with the transform that was kept
        image = render.draw_sources(source, point, SIZE)[0]
        assert np.abs(image - expected)[8:-8, 8:-8].max() < 0.01 * expected.max()


def test_star_is_the_psf_at_the_pixel_centres():
    star = source_table({"x": 20.3, "y": 33.9, "is_galaxy": False, "flux": 200.0})
    y, x = np.mgrid[:SIZE, :SIZE]
    expected = 200.0 * TYPICAL.profile(np.hypot(x - 20.3, y - 33.9))
    image = render.draw_sources(star, TYPICAL, SIZE)[0]
    assert np.abs(image - expected).max() < 1e-3 * SKY_SIGMA + 1e-6 * expected.max()


def test_prior_one_is_field_94_1_12():
    assert SINGLE_FIELD.electrons_per_nmgy[0] == pytest.approx(989.4, abs=0.1)
    assert SINGLE_FIELD.sky[0] * 0.396**2 == pytest.approx(0.878, abs=1e-3)
