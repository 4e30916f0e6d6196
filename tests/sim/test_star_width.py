"""The width of an image's PSF from its own stars, whatever was told of it."""

from dataclasses import replace

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.psf.varying import ConstantMap
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.inspection.decisions import decide_psf
from npecat_sim.surveys.inspection.detection import bright_sources
from npecat_sim.surveys.inspection.stars import MIN_STARS, StarWidth, measure_width
from npecat_sim.surveys.inspection.told import Told
from tests.helpers.counts import GAIN, PSF, SIGMA, SKY, noisy, starlight

N_STARS = 25

FLUX = np.random.default_rng(0).uniform(1e4, 1e5, N_STARS)
"""Counts; SNR of 200 to 700."""


def on_a_grid(n: int, *, spacing: int = 50) -> tuple[np.ndarray, int]:
    """Places of n stars, each within 5 pixels of a grid's, and the side of their image."""
    side = spacing * int(np.ceil(np.sqrt(n))) + spacing
    column, row = np.meshgrid(*(np.arange(spacing, side, spacing),) * 2)
    shift = np.random.default_rng(0).uniform(-5, 5, (2, n))
    return np.column_stack([column.ravel()[:n] + shift[0], row.ravel()[:n] + shift[1]]), side


def width_of(counts: np.ndarray, *, told: float = 1.0, spoilt: tuple = ()) -> StarWidth | None:
    """The width under a PSF that is ``told`` times the true one, some pixels being spoilt."""
    residual = (counts - SKY).astype(np.float32)
    hidden = np.zeros(counts.shape, bool)
    spoilt_pixels = hidden.copy()
    spoilt_pixels[spoilt] = bool(spoilt)
    return measure_width(
        residual,
        bright_sources(residual, noise=SIGMA, hidden=hidden),
        spoilt=spoilt_pixels,
        sigma=SIGMA,
        electrons=GAIN,
        psf=ConstantMap(PSF.scaled(told)),
    )


def opened(counts: np.ndarray, **options) -> SurveyImage:
    return image_from_arrays(counts, **{"gain": GAIN, "pixel_scale": 0.396, **options})


def test_scaling_widens_the_profile_alone():
    wide = PSF.scaled(1.1)
    assert wide.fwhm == pytest.approx(1.1 * PSF.fwhm)
    radius = np.linspace(0, 5, 20)
    shares = wide.profile(1.1 * radius) / PSF.profile(radius)
    assert shares == pytest.approx(np.full(20, shares[0]))


@pytest.mark.parametrize("true", [0.6, 1.0, 2.0])
def test_the_width_is_that_of_the_stars_whatever_was_told(true):
    places, side = on_a_grid(N_STARS, spacing=70)
    psf = PSF.scaled(true)
    counts = noisy(starlight(places, FLUX, size=side, shape=psf))
    widths = [width_of(counts, told=told) for told in (0.5 * true, true, 2 * true)]
    for width in widths:
        assert width.n_stars == N_STARS
        assert width.error < 0.005
        assert width.psf.fwhm == pytest.approx(psf.fwhm, rel=3 * width.error + 0.002)
        assert width.psf.fwhm == pytest.approx(widths[0].psf.fwhm, rel=1e-4)
        assert width.psf.beta == PSF.beta


def field_with(how: str) -> tuple[np.ndarray, tuple]:
    """A field in which all but MIN_STARS - 1 of the stars are made unfit, and spoilt pixels."""
    places, side = on_a_grid(N_STARS)
    flux, bad = FLUX.copy(), slice(MIN_STARS - 1, None)
    x, y = places.T  # views
    light, spoilt = np.zeros((side, side)), ()
    if how == "galaxies":
        row, column = np.indices(light.shape)
        for at_x, at_y, one in zip(x[bad], y[bad], flux[bad], strict=True):
            light += one / 40 * np.exp(-((column - at_x) ** 2 / 18 + (row - at_y) ** 2 / 4.5))
        flux[bad] = 0
    elif how == "faint":
        flux[bad] = 1_000  # SNR 22
    elif how == "neighbours":
        light = starlight(places[bad] + (10, -4), 0.2 * flux[bad], size=side)
    elif how == "edge":
        x[bad] = 9.0
        y[bad] = np.linspace(20, side - 20, len(y[bad]))
    elif how == "saturated":
        spoilt = (np.rint(y[bad]).astype(int), np.rint(x[bad]).astype(int))
    return noisy(light + starlight(places, flux, size=side)), spoilt


@pytest.mark.parametrize("how", ["galaxies", "faint", "neighbours", "edge", "saturated"])
def test_unfit_stars_are_not_asked(how):
    counts, spoilt = field_with(how)
    assert width_of(counts, spoilt=spoilt) is None


def test_enough_stars_are_asked():
    assert width_of(field_with("none")[0]).n_stars == N_STARS


def test_galaxies_and_hot_pixels_do_not_mislead():
    """As many round galaxies of many sizes as stars, and many more hot pixels."""
    places, side = on_a_grid(2 * N_STARS)
    light = starlight(places[::2], FLUX, size=side)
    factors = np.geomspace(1.3, 4, N_STARS)
    for place, one, factor in zip(places[1::2], FLUX, factors, strict=True):
        light += starlight([place], [one], size=side, shape=PSF.scaled(factor))
    counts = noisy(light)
    hot = np.random.default_rng(1).integers(0, side, (2, 200))
    counts[tuple(hot)] += 1e4
    counts[hot[0, :80], np.minimum(hot[1, :80] + 1, side - 1)] += 1e4  # pairs are not filled
    image = opened(counts, psf=PSF.scaled(1.5))
    assert image.psf.fwhm == pytest.approx(PSF.fwhm, rel=0.01)
    assert 100 <= image.findings.n_single <= 120


def test_the_psf_of_the_stars_is_used_and_said_unless_the_other_is_trusted(caplog):
    places, side = on_a_grid(N_STARS)
    counts = noisy(starlight(places, FLUX, size=side))
    arcsec = PSF.fwhm * 0.396
    mended = opened(counts, psf=1.4 * arcsec)  # of a typical shape, not of this one
    assert mended.psf.fwhm == pytest.approx(PSF.fwhm, rel=0.02)
    assert "is that of the stars: 25 stars" in caplog.text
    caplog.clear()
    trusted = opened(counts, psf=1.4 * arcsec, trust_psf=True)
    assert trusted.psf.fwhm == pytest.approx(1.4 * PSF.fwhm, rel=1e-6)
    assert "the PSF is trusted" in caplog.text and "25 stars are" in caplog.text
    caplog.clear()
    same = opened(counts, psf=PSF.scaled(1.01))
    assert same.psf.fwhm == pytest.approx(PSF.fwhm, rel=0.005)
    assert not caplog.text and "scaled to its stars" in same.findings.psf_was
    alone = opened(counts, psf=None)
    assert alone.psf.fwhm == pytest.approx(PSF.fwhm, rel=0.02)
    assert "that of the stars: 25 stars" in alone.findings.psf_was


def test_too_few_stars_leave_the_psf_and_without_one_the_image_is_refused():
    places, side = on_a_grid(MIN_STARS - 1)
    counts = noisy(starlight(places, FLUX[: MIN_STARS - 1], size=side))
    image = opened(counts, psf=1.9)
    assert image.psf == typical_psf(1.9 / 0.396)
    assert "fewer than 5 bright, lone stars" in image.findings.psf_was
    with pytest.raises(NpecatError, match=r"image: fewer than 5 bright.*; give fwhm or psf"):
        opened(counts, psf=None)


TOLD = Told("image", "counts", 0.4, sky=None, gain=GAIN, psf=PSF)


@pytest.mark.parametrize(
    ("factor", "error", "n_warnings"),
    [(1.02, 0.001, 0), (1.04, 0.001, 1), (1.04, 0.02, 0), (0.96, 0.001, 1)],
)
def test_a_difference_is_told_from_three_percent_and_three_errors(factor, error, n_warnings):
    for trusted in (False, True):
        warnings: list[str] = []
        width = StarWidth(PSF.scaled(factor), error, 30)
        psf, _ = decide_psf(width, replace(TOLD, trust_psf=trusted), warnings)
        assert psf == (PSF if trusted else PSF.scaled(factor))
        assert len(warnings) == n_warnings


@pytest.mark.parametrize("fwhm", [1e-6, 0.19, 16.0, 1e6])
def test_widths_that_no_survey_has_are_refused(fwhm):
    places, side = on_a_grid(N_STARS)
    counts = noisy(starlight(places, FLUX, size=side))
    with pytest.raises(NpecatError, match=r"pixels wide at half maximum; give one between"):
        opened(counts, psf=fwhm)
