"""No star is lost for where it stands on the grid of tiles, whatever the shape of its PSF."""

import numpy as np
import pytest
from scipy.spatial import KDTree

import npecat
from npecat_eval.catalog.observe import Observation
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.second_look import SecondLook
from npecat_sim.units import PIXEL_SCALE
from tests.helpers.counts import FWHM, TOLD, flux_of, noisy, starlight

STEPS = np.arange(0, 4, 0.25)
"""Offsets in a tile of 4 pixels."""

SPACING, SIZE = 30, 512
"""Pixels from star to star, and along each side of the image: 256 stars, one at every offset."""

N = 200
"""Draws."""


@pytest.fixture(scope="module")
def model():
    """The network of the package."""
    return npecat.load()


def stars_at_every_offset(shape: str, seed: int):
    """An image of a star of r = 16 to 20 at every offset in a tile, and their places (star, 2)."""
    generator = np.random.default_rng(seed)
    corners = np.array([(x, y) for y in range(16) for x in range(16)]) * SPACING + SPACING
    offsets = generator.permutation(np.array([(x, y) for y in STEPS for x in STEPS]))
    places = corners + offsets
    magnitudes = generator.permutation(np.linspace(16, 20, len(places)))
    counts = noisy(starlight(places, flux_of(magnitudes), size=SIZE, shape=shape), seed)
    return npecat.image_from_arrays(counts, psf=FWHM * PIXEL_SCALE, **TOLD), places


@pytest.mark.parametrize(("shape", "seed"), [("gauss", 0), ("2.5", 1), ("elliptical", 2)])
def test_stars_are_found_once_at_every_offset_within_a_tile(model, shape, seed):
    image, places = stars_at_every_offset(shape, seed)
    reading = ImageReading.of(image, model)
    rows = reading.catalog().detections
    n_near = KDTree(np.column_stack([rows.x, rows.y])).query_ball_point(
        places, 2.0, return_length=True
    )
    assert (n_near > 0).mean() >= 0.98 and n_near.max() == 1
    assert len(rows) <= n_near.sum() + 3  # false ones
    # Every row comes in its share of the draws, whichever look found it.
    draws = reading.draws(N, seed=0)
    assert (np.diff(draws.draw) >= 0).all() and draws.source.max() == len(rows) - 1
    listed = draws.source >= 0
    share = np.bincount(draws.source[listed], minlength=len(rows)) / N
    spread = np.sqrt(np.clip(rows.prob_source * (1 - rows.prob_source), 1 / N, None) / N)
    assert (np.abs(share - rows.prob_source) < 4.5 * spread).all()
    own = draws.source[listed]
    distance = np.hypot(draws.x[listed] - rows.x[own], draws.y[listed] - rows.y[own])
    assert np.quantile(distance, 0.99) < 1
    # A star that a second look found is drawn as often as listed: no tile gives it once more.
    one = draws.draw == 7
    again = KDTree(np.column_stack([draws.x[one], draws.y[one]])).query_ball_point(
        places, 2.0, return_length=True
    )
    assert again.max() == 1


def test_a_second_look_sees_each_star_from_the_middle_of_a_tile(model):
    image, places = stars_at_every_offset("gauss", 3)
    places = places[(places[:, 0] > 200) & (places[:, 1] < 240)]
    look = SecondLook.at(*places.T, observed=Observation(image, None), model=model)
    assert len(look) >= 0.98 * len(places)
    found = look.catalog().detections
    distance, star = KDTree(places).query(np.column_stack([found.x, found.y]))
    assert distance.max() < 0.5 and len(set(star)) == len(look)
    assert (found.prob_located <= found.prob_source + 1e-6).all()


def test_a_second_look_at_blank_sky_at_the_edge_or_at_nothing_adds_no_source(model):
    image = npecat.image_from_arrays(noisy(np.zeros((100, 110))), psf=FWHM * PIXEL_SCALE, **TOLD)
    x, y = np.array([[-0.5, 109.4, 50, 0, 109.4, 30], [-0.5, 0, 99.4, 99.4, 99.4, 60]])
    assert len(SecondLook.at(x, y, observed=Observation(image, None), model=model)) <= 1
    assert SecondLook.at(x[:0], y[:0], observed=Observation(image, None), model=model) is None
