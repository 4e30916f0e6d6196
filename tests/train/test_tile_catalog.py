"""Sorting a catalog into tiles."""

import pytest
import torch

from npecat_train.posterior.tile_catalog import tile_catalog


def tiles(sources, n_tiles=3):
    """A batch of one image from rows (x, y, flux, is_galaxy), with one entry of padding."""
    x, y, flux, galaxy = [torch.tensor([column]) for column in zip(*sources, strict=True)]
    nan = torch.full((1, 1), torch.nan)
    return tile_catalog(
        torch.cat([x, nan], 1),
        torch.cat([y, nan], 1),
        flux=torch.cat([flux, nan], 1),
        is_galaxy=torch.cat([galaxy, torch.zeros(1, 1, dtype=torch.bool)], 1),
        present=torch.tensor([[True] * len(sources) + [False]]),
        n_tiles=n_tiles,
    )


def test_positions_are_measured_from_the_lower_edges_of_the_tile():
    found = tiles([(-0.5, -0.5, 1.0, False), (4.0, 10.25, 5.0, True)])
    assert found.present[0].tolist() == [[True, False, False], [False] * 3, [False, True, False]]
    assert (found.x[0, 0, 0].item(), found.y[0, 0, 0].item()) == (0.0, 0.0)
    assert (found.x[0, 2, 1].item(), found.y[0, 2, 1].item()) == (0.5, 2.75)
    assert found.is_galaxy[0, 2, 1] and not found.is_galaxy[0, 0, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_brightest_source_speaks_for_the_tile(order):
    sources = [(1.0, 1.0, 2.0, False), (2.0, 0.0, 9.0, True), (3.0, 3.0, 8.9, False)]
    found = tiles([sources[i] for i in order])
    assert found.present.sum() == 1
    assert found.flux[0, 0, 0] == 9.0 and found.x[0, 0, 0] == 2.5 and found.is_galaxy[0, 0, 0]


def test_images_stay_apart():
    x = torch.tensor([[1.0], [1.0]])
    found = tile_catalog(
        x,
        x,
        flux=torch.tensor([[3.0], [7.0]]),
        is_galaxy=torch.tensor([[True], [False]]),
        present=torch.ones(2, 1, dtype=torch.bool),
        n_tiles=2,
    )
    assert found.flux[:, 0, 0].tolist() == [3.0, 7.0]
    assert found.is_galaxy[:, 0, 0].tolist() == [True, False]


def test_an_empty_image_has_no_source():
    nothing = torch.zeros(1, 4)
    found = tile_catalog(
        nothing, nothing, flux=nothing, is_galaxy=nothing.bool(), present=nothing.bool(), n_tiles=5
    )
    assert not found.present.any() and (found.flux > 0).all()
