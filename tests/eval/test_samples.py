"""Draws of whole catalogs: how often each source comes, and what it is like when it does."""

import numpy as np
import pytest
import torch
from scipy import stats

from npecat_eval.catalog.decode import catalog_of_tiles, join
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.samples import draw_catalogs
from npecat_train.posterior.tile_posterior import TilePosterior
from tests.eval.test_decode import raw, tile
from tests.helpers.survey_images import random_model, survey_image

N = 4000


def drawn(tiles: dict[tuple[int, int], torch.Tensor]):
    """N draws of an image with these tiles, and what they are drawn from."""
    outputs = raw(6)[:1]
    outputs[:, 0] = -30.0
    for (row, column), values in tiles.items():
        outputs[0, :, row, column] = values
    posterior = TilePosterior.from_raw(outputs, "lognormal")
    joined = join(posterior)
    draws = draw_catalogs(posterior, joined, n=N, generator=torch.Generator().manual_seed(5))
    return posterior, catalog_of_tiles(posterior, joined, first_image=0), draws


def assert_share(count, probability: float, n: int = N) -> None:
    """That so many of n draws are within 4 standard deviations of what is expected."""
    assert abs(count - n * probability) < 4 * (n * probability * (1 - probability)) ** 0.5


def test_shared_source_comes_once_a_draw_and_from_its_tiles_as_they_claim_it():
    posterior, catalog, draws = drawn({(1, 1): tile(0.9, 3.9, 2.0), (1, 2): tile(-1.5, 0.1, 2.0)})
    probability = posterior.source.probability[0, 1, 1:3].tolist()
    assert catalog.detections.prob_source == pytest.approx([sum(probability)], abs=1e-6)
    assert len(np.unique(draws.draw)) == len(draws.draw) and set(draws.source) == {0}
    assert_share(len(draws.draw), sum(probability))
    assert_share((draws.x > 7.5).sum(), probability[1])
    assert np.abs(draws.x - 7.5).max() < 1


def test_source_that_tiles_claim_more_than_once_comes_in_every_draw():
    corner = {(1, 1): (3.9, 3.9), (1, 2): (0.1, 3.9), (2, 1): (3.9, 0.1), (2, 2): (0.1, 0.1)}
    _, _, draws = drawn({place: tile(2.0, *at) for place, at in corner.items()})
    assert draws.draw.tolist() == list(range(N))
    for left, low in ((True, True), (False, True), (True, False)):
        assert_share((((draws.x < 7.5) == left) & ((draws.y < 7.5) == low)).sum(), 0.25)


def test_unlikely_sources_come_as_often_as_is_expected():
    posterior, _, draws = drawn({(0, 0): tile(-2.0, 2, 2), (0, 4): tile(1.0, 2, 2)})
    faint, bright = posterior.source.probability[0, 0, [0, 4]].tolist()
    assert_share((draws.source == -1).sum(), faint)
    assert_share((draws.source == 0).sum(), bright)
    together = np.isin(draws.draw[draws.source == 0], draws.draw[draws.source == -1]).sum()
    assert_share(together, faint * bright)


def test_source_too_vague_for_the_catalog_comes_without_a_row():
    vague = tile(4.0, 2.0, 2.0, scale=9.0)
    posterior, catalog, draws = drawn({(1, 1): vague, (4, 4): tile(4.0, 2.0, 2.0)})
    assert len(catalog.detections) == 1
    for row, place in ((-1, (1, 1)), (0, (4, 4))):
        assert_share((draws.source == row).sum(), posterior.source.probability[0][place].item())


def test_place_type_and_flux_follow_the_catalog():
    star = tile(3.0, 1.0, 3.0, scale=0.3)
    galaxy = tile(2.0, 2.0, 2.5, scale=0.5)
    star[5], galaxy[5] = -1.5, 1.0
    galaxy[6] = 4.0
    _, catalog, draws = drawn({(1, 1): star, (4, 3): galaxy})
    for row in range(2):
        own = draws.source == row
        assert_share(own.sum(), catalog.detections.prob_source[row])
        galaxies = catalog.detections.prob_galaxy[row]
        assert_share(draws.is_galaxy[own].sum(), galaxies, own.sum())
        for name, law in (("x", catalog.position.x), ("y", catalog.position.y)):
            share = law[row].cdf(torch.from_numpy(getattr(draws, name)[own])).numpy()
            assert stats.kstest(share, "uniform").pvalue > 1e-3
        for level in (0.16, 0.5, 0.84):
            below = draws.flux[own] < float(catalog.flux[row].quantile(level))
            assert_share(below.sum(), level, own.sum())


def test_draws_of_a_whole_image_hold_its_expected_number_and_repeat():
    reading = ImageReading.of(survey_image(122, 150), random_model())
    probability = reading.joined.probability.double()
    draws, again = [reading.draws(300, seed=1) for _ in range(2)]
    assert all(np.array_equal(getattr(draws, name), getattr(again, name)) for name in vars(draws))
    spread = float((probability * (1 - probability)).sum() / 300) ** 0.5
    assert len(draws.x) / 300 == pytest.approx(float(probability.sum()), abs=4 * spread)
    detected = reading.catalog().detections
    counts = np.bincount(draws.source[draws.source >= 0], minlength=len(detected))
    for count, expected in zip(counts, detected.prob_source, strict=True):
        assert_share(count, min(float(expected), 1 - 1e-3), 300)
    own = draws.source[draws.draw == 7]
    assert len(np.unique(own[own >= 0])) == (own >= 0).sum()
