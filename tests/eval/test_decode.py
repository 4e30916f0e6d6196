"""Reading a catalog off a posterior."""

import math

import pytest
import torch

from npecat_eval.catalog.decode import LOCATED_SIDE, decode, join
from npecat_eval.catalog.predicted_catalog import PredictedCatalog
from npecat_train.posterior.tile_posterior import TilePosterior, initial_outputs


def raw(n_tiles=3):
    """Raw outputs of two images in which no tile holds a source."""
    out = torch.zeros(2, 8, n_tiles, n_tiles)
    out[:, 0] = -5.0
    return out


def test_position_flux_and_type_of_a_sure_tile():
    outputs = raw()
    outputs[1, :, 2, 0] = torch.tensor([4.0, 0.0, 0.0, -8.0, -8.0, -3.0, 2.0, -5.0])
    found = decode(TilePosterior.from_raw(outputs, "lognormal"), first_image=10).detections
    assert found.image.tolist() == [11]
    assert (found.x[0], found.y[0]) == pytest.approx((1.5, 9.5), abs=1e-3)  # tile centres
    assert found.flux[0] == pytest.approx(torch.tensor(2.0).exp().item())
    assert found.prob_source[0] == pytest.approx(0.982, abs=1e-3)
    assert found.prob_galaxy[0] == pytest.approx(0.047, abs=1e-3)


def test_doubtful_tile_gives_no_source():
    outputs = raw()
    outputs[0, 0, 1, 1] = -0.01
    assert len(decode(TilePosterior.from_raw(outputs, "lognormal")).detections) == 0


def tile(logit: float, x: float, y: float, scale: float = 0.05) -> torch.Tensor:
    """Raw outputs of a tile with P(source) = sigmoid(logit) at (x, y) pixels from its edges."""
    raw_x, raw_y = [1.5 * torch.atanh(torch.tensor((value / 4 - 0.5) / 1.5)) for value in (x, y)]
    raw_scale = torch.tensor(scale).expm1().log()
    return torch.stack(
        [torch.tensor(logit), raw_x, raw_y, raw_scale, raw_scale, *torch.tensor([0.0, 2.0, -5.0])]
    )


def found_in(tiles: dict[tuple[int, int], torch.Tensor]):
    outputs = raw(4)[:1]
    for (row, column), values in tiles.items():
        outputs[0, :, row, column] = values
    return decode(TilePosterior.from_raw(outputs, "lognormal")).detections


def test_source_on_a_border_is_found_though_neither_tile_passes_one_half():
    found = found_in({(1, 1): tile(-0.4, 3.9, 2.0), (1, 2): tile(-0.6, 0.1, 2.0)})
    assert len(found) == 1
    assert (found.x[0], found.y[0]) == pytest.approx((7.4, 5.5), abs=0.05)
    assert found.prob_source[0] == pytest.approx(0.401 + 0.354, abs=0.02)


def test_source_on_a_corner_of_four_tiles_is_one_source():
    corner = {(1, 1): (3.9, 3.9), (1, 2): (0.1, 3.9), (2, 1): (3.9, 0.1), (2, 2): (0.1, 0.1)}
    found = found_in({place: tile(2.0, *position) for place, position in corner.items()})
    assert len(found) == 1 and found.prob_source[0] == 1.0


def test_two_sources_in_neighbouring_tiles_stay_two():
    found = found_in({(1, 1): tile(3.0, 3.0, 2.0), (1, 2): tile(3.0, 1.0, 2.0)})
    assert sorted(found.x) == pytest.approx([6.5, 8.5], abs=0.05)


def test_vague_positions_are_joined_where_sharp_ones_are_not():
    places = {(1, 1): (3.5, 2.0), (1, 2): (0.3, 2.0)}  # 0.8 px apart
    for scale, n_sources in ((0.05, 2), (0.6, 1)):
        assert len(found_in({p: tile(3.0, *at, scale) for p, at in places.items()})) == n_sources


def test_source_is_listed_where_it_more_likely_is_than_not():
    # Of a wide normal in a tile of 4 pixels a share of (sqrt(pi) / 4)^2 lies within the square.
    vague, sharp = tile(4.0, 2.0, 2.0, scale=15.0), tile(4.0, 2.0, 2.0, scale=0.5)
    outputs = raw(4)[:1]
    outputs[0, :, 0, 0], outputs[0, :, 3, 3] = vague, sharp
    posterior = TilePosterior.from_raw(outputs, "lognormal")
    joined = join(posterior)
    assert joined.probability[0, 0, 0] == pytest.approx(0.982, abs=1e-3)
    assert joined.located[0, 0, 0] == pytest.approx(0.982 * math.pi / 16, abs=2e-3)
    found = decode(posterior).detections
    assert found.x.tolist() == pytest.approx([13.5], abs=1e-3)
    # Both coordinates within 0.886 pixels of the mean: erf(0.886 / 0.5 / sqrt(2)) squared.
    assert found.prob_located[0] == pytest.approx(0.982 * 0.9236**2, abs=1e-3)
    assert found.prob_source[0] == pytest.approx(0.982, abs=1e-3)


def test_share_of_draws_within_the_square_is_the_probability_of_being_located():
    outputs = tile(4.0, 0.4, 1.7, scale=0.9)[None, :, None, None]
    posterior = TilePosterior.from_raw(outputs, "lognormal")
    law = posterior[0, 0, 0].position
    generator = torch.Generator().manual_seed(3)
    x, y = [c.sample(200_000, generator) - c.mean() for c in (law.x, law.y)]
    near = ((x.abs() < LOCATED_SIDE / 2) & (y.abs() < LOCATED_SIDE / 2)).double().mean()
    expected = join(posterior).located / posterior.source.probability
    assert expected.item() == pytest.approx(near.item(), abs=4e-3)


def test_equal_probabilities_give_one_source_not_none():
    found = found_in({(2, 0): tile(1.0, 2.0, 3.95), (3, 0): tile(1.0, 2.0, 0.05)})
    assert len(found) == 1


def test_tiles_across_the_image_are_never_joined():
    found = found_in({(0, 0): tile(3.0, 0.1, 2.0), (0, 3): tile(3.0, 3.9, 2.0)})
    assert len(found) == 2


def test_detections_come_with_their_distributions_in_pixels_of_the_image():
    outputs = raw(4)
    outputs[0, :, 1, 2] = tile(3.0, 1.0, 3.0)
    outputs[1, :, 3, 0] = tile(3.0, 2.0, 0.5, scale=0.8)
    batches = [decode(TilePosterior.from_raw(outputs, "lognormal"), first) for first in (0, 2)]
    found = PredictedCatalog.concatenate(batches)
    assert found.detections.image.tolist() == [0, 1, 2, 3]
    x, y = found.position.x, found.position.y
    assert x.mean().numpy() == pytest.approx(found.detections.x) and x.loc.dtype == torch.float64
    assert y.quantile(0.5)[0].item() == pytest.approx(4 * 1 - 0.5 + 3.0, abs=0.01)
    assert (y.low[1].item(), y.high[1].item()) == (11.5, 15.5)
    assert x.std()[::2].numpy() == pytest.approx([0.05, 0.05], rel=0.02)
    assert found.flux.median().numpy() == pytest.approx(found.detections.flux)
    assert found.flux[1:3].quantile(0.84).shape == (2,)


def test_flux_of_a_mixture_is_its_median():
    outputs = torch.zeros(1, len(initial_outputs("mixture")), 2, 2)
    outputs[:, 0] = -5.0
    logits, loc, scale = [1.0, 0.0, 0.0], 2.0, [-4.0, -1.0, 1.0]
    outputs[0, :, 0, 0] = torch.tensor([3.0, *[0.0] * 5, loc, *logits, 0.0, 2.0, 0.0, *scale])
    found = decode(TilePosterior.from_raw(outputs, "mixture"))
    below = found.flux.cdf(torch.tensor(found.detections.flux))
    assert below.tolist() == pytest.approx([0.5], abs=1e-6)
    assert found.detections.flux[0] > 1.001 * torch.tensor(loc).exp().item()
