"""Reading a catalog off a posterior."""

import pytest
import torch

from npecat_train.posterior import TilePosterior
from npecat_train.predict import decode
from npecat_train.tiles import tile_catalog


def raw(n_tiles=3):
    """Raw outputs of two images in which no tile holds a source."""
    out = torch.zeros(2, 8, n_tiles, n_tiles)
    out[:, 0] = -5.0
    return out


def test_position_flux_and_type_of_a_sure_tile():
    outputs = raw()
    outputs[1, :, 2, 0] = torch.tensor([4.0, 0.0, 0.0, -8.0, -8.0, -3.0, 2.0, -5.0])
    found = decode(TilePosterior.from_raw(outputs), first_image=10)
    assert found.image.tolist() == [11]
    assert (found.x[0], found.y[0]) == pytest.approx((1.5, 9.5), abs=1e-3)  # tile centres
    assert found.flux[0] == pytest.approx(torch.tensor(2.0).exp().item())
    assert found.prob_source[0] == pytest.approx(0.982, abs=1e-3)
    assert found.prob_galaxy[0] == pytest.approx(0.047, abs=1e-3)


def test_doubtful_tile_gives_no_source():
    outputs = raw()
    outputs[0, 0, 1, 1] = -0.01
    assert len(decode(TilePosterior.from_raw(outputs)).image) == 0


def test_likelihood_counts_position_type_and_flux_only_where_a_source_is():
    posterior = TilePosterior.from_raw(raw())
    nothing = torch.zeros(2, 1)
    empty = tile_catalog(nothing, nothing, nothing, nothing.bool(), nothing.bool(), 3)
    loss = posterior.negative_log_likelihood(empty)
    assert loss["position"].eq(0).all() and loss["type"].eq(0).all() and loss["flux"].eq(0).all()
    assert loss["source"] == pytest.approx([9 * 0.006715] * 2, rel=1e-3)

    one = torch.ones(2, 1)
    full = tile_catalog(3 * one, 3 * one, 5 * one, one.bool(), one.bool(), 3)
    loss = posterior.negative_log_likelihood(full)
    tile = {
        name: value[:, 0, 0]
        for name, value in {
            "x": posterior.x.log_prob(full.x),
            "y": posterior.y.log_prob(full.y),
            "flux": posterior.flux.log_prob(full.flux),
        }.items()
    }
    assert torch.allclose(loss["position"], -(tile["x"] + tile["y"]))
    assert torch.allclose(loss["flux"], -tile["flux"])
    assert torch.allclose(loss["type"], torch.tensor(2.0).log())
