"""The PSF of an image from its own stars."""

import re
from dataclasses import replace

import numpy as np
import pytest

from npecat_sim.psf.base import Psf
from npecat_sim.psf.files import read_psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.open import open_image
from tests.helpers.counts import PSF, TOLD, noisy

SIDE, SPACING = 520, 65


def field(psf_at, n: int, *, seed: int = 0, flux: tuple[float, float] = (3e3, 1e5)) -> np.ndarray:
    """Counts with n stars near the nodes of a grid; psf_at gives the PSF at x and y."""
    generator = np.random.default_rng(seed)
    light = np.zeros((SIDE, SIDE))
    cells = generator.permutation((SIDE // SPACING) ** 2)[:n]
    shift = generator.uniform(-8, 8, (n, 2))
    fluxes = np.exp(generator.uniform(*np.log(flux), n))
    for cell, (shift_x, shift_y), one in zip(cells, shift, fluxes, strict=True):
        x = (cell % (SIDE // SPACING) + 0.5) * SPACING + shift_x
        y = (cell // (SIDE // SPACING) + 0.5) * SPACING + shift_y
        rows, columns = [slice(max(int(at) - 40, 0), int(at) + 40) for at in (y, x)]
        row, column = np.mgrid[: light.shape[0], : light.shape[1]][:, rows, columns]
        light[rows, columns] += one * psf_at(x, y).shares(column - x, row - y)
    return noisy(light)


def error_of(found: Psf, true: Psf) -> float:
    """Rms error of a PSF within 2 FWHM over its peak."""
    y, x = np.mgrid[-12:13, -12:13]
    x, y = x - 0.2, y + 0.3
    inside = np.hypot(x, y) < 2 * true.fwhm
    misfit = (found.shares(x, y) - true.shares(x, y))[inside]
    return float(np.sqrt(np.mean(misfit**2)) / true.shares(np.zeros(1), np.zeros(1))[0])


def opened(counts: np.ndarray, **options) -> SurveyImage:
    return image_from_arrays(counts, **{**TOLD, **options})


@pytest.mark.parametrize(
    ("width", "beta", "g1", "most"),
    [(1.6, 3.5, 0.05, 0.008), (2.4, 2.5, 0.1, 0.005), (4.0, 4.5, 0.0, 0.003)],
)
def test_stars_tell_the_psf(width, beta, g1, most):
    psf = ParametricPsf("moffat", width, g1, 0.02, beta)
    image = opened(field(lambda x, y: psf, 50))
    assert error_of(image.psf_map.at(260, 260), psf) < most
    assert isinstance(image.psf, SixNumberPsf)
    n_stars = re.search(r"PSF shape  from (\d+) stars of the image", image.findings.page())
    assert 40 <= int(n_stars[1]) <= 50


def test_a_psf_that_varies_is_followed():
    def psf_at(x: float, y: float) -> ParametricPsf:
        return ParametricPsf("moffat", 3 + 0.3 * x / SIDE, 0.08 * (y / SIDE - 0.5), 0, 3.2)

    image = opened(field(psf_at, 60))
    assert "with a polynomial of degree" in image.findings.page()
    corners = [(40, 40), (480, 40), (40, 480), (480, 480)]
    for place in corners:
        assert error_of(image.psf_map.at(*place), psf_at(*place)) < 0.008
        assert error_of(psf_at(260, 260), psf_at(*place)) > 0.01


@pytest.mark.parametrize(
    ("n", "kind", "words"),
    [
        (7, "profile", "a Moffat profile from 7 stars of the image"),
        (3, "none", "the same everywhere"),
        (0, "none", "the same everywhere"),
    ],
)
def test_few_stars_tell_less(n, kind, words):
    psf = ParametricPsf("moffat", 3.0, 0.05, 0.0, 3.0)
    image = opened(field(lambda x, y: psf, n, flux=(2e4, 1e5)), psf=1.3)
    assert f"PSF shape  {words}" in image.findings.page()
    found = image.psf_map.at(0, 0)
    if kind == "none":
        assert found == image.psf
    else:
        assert error_of(found, psf) < 0.01


def test_a_psf_that_was_told_is_not_replaced():
    counts = field(lambda x, y: PSF, 30)
    told = opened(counts, psf=PSF)
    assert told.psf_map.at(0, 0) == told.psf
    assert told.psf.fwhm == pytest.approx(PSF.fwhm, rel=0.01)
    trusted = opened(counts, psf=1.6, trust_psf=True)
    assert trusted.psf_map.at(0, 0) == trusted.psf
    wide = PSF.scaled(1.2)
    assert opened(counts, psf=wide, trust_psf=True).psf_map.at(0, 0) == wide


def test_stars_tell_the_same_six_numbers_beside_their_own_psf():
    counts = field(lambda x, y: PSF, 30)
    told = opened(counts, psf=PSF)
    own = opened(counts, psf=PSF.fwhm * TOLD["pixel_scale"])
    assert not isinstance(own.psf_map.at(0, 0), SixNumberPsf)
    assert own.psf.fwhm == pytest.approx(told.psf.fwhm, rel=0.02)
    assert replace(own, psf_map=None).psf_map.at(5, 5) == own.psf


def test_the_psf_of_a_real_frame_is_as_good_as_that_of_sdss(sdss_dir):
    frame = sdss_dir / "frame-r-000094-1-0012.fits.bz2"
    psfield = sdss_dir / "psField-000094-1-0012.fit"
    if not (frame.exists() and psfield.exists()):
        pytest.skip("no frame 94/1/12 with its psField among the SDSS files")
    own, theirs = open_image(frame).psf_map, read_psf(psfield)
    for place in ((1024, 744), (300, 300), (1700, 1200)):
        assert error_of(own.at(*place), theirs.at(*place)) < 0.015
