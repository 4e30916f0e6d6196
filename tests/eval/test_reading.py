"""The catalog of a whole image: no seams, and nothing where there is no data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from npecat_eval.catalog.blocks import field_posterior
from npecat_eval.catalog.decode import decode
from npecat_eval.catalog.observe import Observation
from npecat_eval.catalog.reading import ImageReading
from npecat_sim.surveys.image import PixelFlag
from npecat_train.network.tile_network import NETWORKS, NetworkSize
from tests.helpers.survey_images import random_model, survey_image
from tests.train.test_tile_network import settings as untrained


@pytest.fixture(scope="module")
def trained():
    return random_model()


@pytest.mark.parametrize("block_tiles", [7, 16, 30])
def test_catalog_does_not_depend_on_how_the_image_is_cut(trained, block_tiles):
    image = survey_image(150, 221)
    whole, cut = [
        decode(field_posterior(trained, Observation(image, None), block_tiles=tiles)).detections
        for tiles in (512, block_tiles)
    ]
    assert len(cut) == len(whole) > 30
    for name in ("x", "y"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), abs=1e-3)
    assert cut.flux == pytest.approx(whole.flux, rel=1e-3)
    assert cut.prob_source == pytest.approx(whole.prob_source, abs=1e-4)


@pytest.mark.parametrize(
    "size",
    [
        NETWORKS["default"],
        NetworkSize((4, 4), (4,), 8, 4, (2, 1), (1, 3)),
        NetworkSize((4,) * 4, (), 8, 4, (1,), (1,)),
    ],
)
def test_a_tile_sees_as_far_as_the_margin_and_no_farther(size):
    network = replace(untrained(), network=size).build_network().eval()
    torch.nn.init.ones_(network.head.weight)
    middle = size.reach + 2
    n_tiles = 2 * middle + 1
    pixels = torch.rand(1, 2, 4 * n_tiles, 4 * n_tiles, requires_grad=True)
    network(pixels, torch.zeros(1, 10, n_tiles, n_tiles))[0, :, middle, middle].sum().backward()
    seen = pixels.grad[0].abs().sum(dim=(0, 1)).nonzero() // 4
    assert (seen.min(), seen.max()) == (middle - size.reach, middle + size.reach)


def test_positions_are_pixels_of_the_whole_image(trained):
    """Moving an image by whole tiles moves its catalog, away from the edges."""
    image = survey_image(200, 240)
    moved = replace(
        image,
        image=image.image[40:, 20:],
        background=image.background[40:, 20:],
        flags=image.flags[40:, 20:],
    )
    reach = 4 * (trained.settings.network.reach + 1)
    found = []
    for source, (dx, dy) in ((image, (0, 0)), (moved, (20, 40))):
        catalog = ImageReading.of(source, trained).catalog().detections
        x, y = catalog.x + dx, catalog.y + dy
        inside = (np.minimum(x - 20, 240 - x) > reach) & (np.minimum(y - 40, 200 - y) > reach)
        found.append(np.column_stack([x, y])[inside])
    assert len(found[0]) > 5 and found[1] == pytest.approx(found[0], abs=1e-3)


def test_nothing_is_found_where_there_is_no_data(trained, caplog):
    image = survey_image(122, 150)  # 122 rows: the last tiles are half padding
    every = ImageReading.of(image, trained).catalog().detections
    assert (every.y < 121.5).all() and (every.x < 149.5).all()
    flags = image.flags.copy()
    flags[30:60, 20:90] = PixelFlag.NO_DATA | PixelFlag.SATURATED
    flags[80:, 100:] = PixelFlag.SATURATED
    kept = ImageReading.of(replace(image, flags=flags), trained).catalog().detections
    x, y = np.rint(every.x).astype(int), np.rint(every.y).astype(int)
    has_data = flags[y, x] & PixelFlag.NO_DATA == 0
    assert 0 < has_data.sum() < len(every)
    assert kept.x.tolist() == every.x[has_data].tolist()
    told = [record.args[1] for record in caplog.records]
    assert told[-1] - (told[0] if len(told) > 1 else 0) == (~has_data).sum()
