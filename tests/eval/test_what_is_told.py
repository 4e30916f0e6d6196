"""What the user tells of an image may be wrong: the pixels decide, and nothing is made of noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial import KDTree

import npecat
from npecat_eval.survey_catalog import catalog_survey_image
from npecat_sim.errors import NpecatError
from npecat_sim.units import PIXEL_SCALE
from tests.helpers.counts import FWHM, GAIN, SKY, TOLD, flux_of, noisy, starlight

SIZE = 512
"""Pixels along each side of an image."""

BLANK = noisy(np.zeros((SIZE, SIZE)), seed=2)
"""Counts of blank sky."""

MAX_FALSE = 3
"""Rows in an image of blank sky."""


@pytest.fixture(scope="module")
def model():
    """The network of the package."""
    return npecat.load()


def gauss(factor: float) -> np.ndarray:
    """Noise that makes that of the sky larger by a factor."""
    sigma = np.sqrt(SKY / GAIN * (factor**2 - 1))
    return np.random.default_rng(4).normal(0, sigma, BLANK.shape)


def with_strip(factor: float) -> np.ndarray:
    """Blank sky with a strip along an edge that has more noise, as at the edge of a stack."""
    counts = BLANK.copy()
    counts[:100] = SKY + factor * (counts[:100] - SKY)
    return counts


def of_depth(exposure: float) -> np.ndarray:
    """Blank sky of an exposure that is longer or shorter."""
    generator = np.random.default_rng(6)
    return generator.poisson(np.full(BLANK.shape, SKY * GAIN * exposure)) / GAIN


RESAMPLED = {
    "smoothed": gaussian_filter(BLANK - SKY, 0.7),
    "shifted by half a pixel": shift(BLANK - SKY, (0.5, 0.5), order=1, mode="nearest"),
}
"""Blank sky that was subtracted and resampled."""

SKIES = {
    "as it should be": (BLANK, {}),
    "subtracted": (BLANK - SKY, {"sky": SKY}),
    # The variance of a pixel, which resampling makes less than that under a star.
    **{name: (sky, {"sky": GAIN * sky.var()}) for name, sky in RESAMPLED.items()},
    **{f"{name}, true sky": (sky, {"sky": SKY}) for name, sky in RESAMPLED.items()},
    "shallow strip": (with_strip(2), {}),
    "read noise": (BLANK + gauss(1.25), {}),
    "much read noise": (BLANK + gauss(1.9), {}),
    "gain too high": (BLANK, {"gain": 2 * GAIN}),
    "deep": (of_depth(20), {}),
    "shallow": (of_depth(0.05), {}),
}
"""Name -> counts, and what is told of them."""


@pytest.mark.parametrize("name", SKIES)
def test_blank_sky_gives_next_to_no_rows(model, name):
    counts, told = SKIES[name]
    image = npecat.image_from_arrays(counts, psf=FWHM * PIXEL_SCALE, **{**TOLD, **told})
    found = catalog_survey_image(image, model)
    assert len(found) <= MAX_FALSE and found.n_bright == 0


@pytest.fixture(scope="module")
def stars():
    """Counts of 64 stars of r = 16 to 20 whose PSF is no typical one of SDSS, and their places."""
    generator = np.random.default_rng(0)
    grid = 40 + 60 * np.array([(x, y) for x in range(8) for y in range(8)])
    places = grid + generator.uniform(-5, 5, grid.shape)
    magnitudes = generator.uniform(16, 20, len(grid))
    return noisy(starlight(places, flux_of(magnitudes), size=SIZE, shape="3.0")), places


@pytest.mark.parametrize("fwhm", [0.7, 1.0, 1.39, 1.9, 2.5, None])
def test_stars_are_found_whatever_width_is_told(model, stars, fwhm):
    counts, places = stars
    image = npecat.image_from_arrays(counts, psf=fwhm, **TOLD)
    found = catalog_survey_image(image, model)
    distance, _ = KDTree(np.column_stack([found.rows["x"], found.rows["y"]])).query(places)
    assert (distance < 1).all() and len(found) <= len(places) + MAX_FALSE
    assert found.n_missed == 0 and found.n_bright == len(places)
    assert (found.rows["psf_fwhm"] == image.psf.fwhm * PIXEL_SCALE).all() or fwhm is None
    assert image.psf.fwhm == pytest.approx(FWHM, rel=0.2)


def test_a_psf_that_is_trusted_loses_stars_and_that_is_told(model, stars):
    counts, _ = stars
    part = np.ascontiguousarray(counts[:200, :260])
    image = npecat.image_from_arrays(part, psf=2.5, trust_psf=True, **TOLD)
    assert "trusted" in " ".join(image.findings.warnings)
    found = catalog_survey_image(image, model)
    assert found.n_missed > 0.05 * found.n_bright


def test_sky_that_was_left_in_is_refused_or_subtracted(model, stars):
    counts, places = stars
    left = counts - np.float32(SKY - 30)
    with pytest.raises(NpecatError, match=r"a sky of \+29\.96 counts .* is left"):
        npecat.image_from_arrays(left, psf=FWHM * PIXEL_SCALE, sky=SKY, **TOLD)
    image = npecat.image_from_arrays(
        left, psf=FWHM * PIXEL_SCALE, sky=SKY, subtract_sky=True, **TOLD
    )
    found = catalog_survey_image(image, model)
    distance, _ = KDTree(np.column_stack([found.rows["x"], found.rows["y"]])).query(places)
    assert (distance < 1).all() and len(found) <= len(places) + MAX_FALSE
