"""The posterior of every tile of a whole survey image, however large.

An image of up to BLOCK_TILES tiles a side is read in one pass. A larger one is cut into blocks
that are read with a margin all round, as wide as a tile can see, so that no tile knows of the cut;
where the image ends its blocks end too, as training images do. The network computes in float32,
so that a catalog is the same whatever the machine multiplies fastest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from npecat_sim.surveys.image import SurveyImage
from npecat_train.data.batch import ObservedImages
from npecat_train.model import TileModel
from npecat_train.network.inputs import APERTURE_REACH
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import concatenate
from npecat_train.posterior.tile_posterior import TilePosterior

BLOCK_TILES = 512
"""Tiles along each side of a block without its margin: 2048 pixels, the side of an SDSS frame."""


def field_posterior(
    model: TileModel,
    image: SurveyImage,
    block_tiles: int = BLOCK_TILES,
) -> TilePosterior:
    """The posterior of all tiles, (1, row, column), on the CPU; the last ones may be padded."""
    pixels = to_whole_tiles(image.image)
    sky = to_whole_tiles(image.background, mode="edge")
    device = model.device
    electrons, psf = (
        torch.tensor(np.array([values]), dtype=torch.float32, device=device)
        for values in (image.electrons_per_nmgy, image.psf.parameters)
    )
    margin = max(model.settings.network.reach, APERTURE_REACH)

    def strip(rows: Block) -> Iterator[TilePosterior]:
        for columns in blocks(pixels.shape[1] // TILE_SIZE, block_tiles, margin):
            seen = rows.pixels, columns.pixels
            cut, cut_sky = (
                torch.from_numpy(array[seen])[None].to(device) for array in (pixels, sky)
            )
            observed = ObservedImages(cut, cut_sky, electrons, psf)
            posterior = model.posterior(observed, in_float32=True)
            yield posterior[:, rows.own, columns.own].map(torch.Tensor.cpu)

    return concatenate(
        [
            concatenate(list(strip(rows)), axis=2)
            for rows in blocks(pixels.shape[0] // TILE_SIZE, block_tiles, margin)
        ],
        axis=1,
    )


def to_whole_tiles(array: np.ndarray, **how: Any) -> np.ndarray:
    """The array with rows and columns added at its ends, as numpy.pad adds them; zeros if not."""
    return np.pad(array, [(0, -length % TILE_SIZE) for length in array.shape], **how)


@dataclass(frozen=True)
class Block:
    """Part of one axis. pixels: of the image, with margins; own: its tiles among those seen."""

    pixels: slice
    own: slice


def blocks(n_tiles: int, block_tiles: int, margin: int) -> Iterator[Block]:
    """The blocks of an axis of so many tiles, in order; ``margin`` in tiles."""
    for start in range(0, n_tiles, block_tiles):
        stop = min(start + block_tiles, n_tiles)
        first, last = max(start - margin, 0), min(stop + margin, n_tiles)
        yield Block(slice(TILE_SIZE * first, TILE_SIZE * last), slice(start - first, stop - first))
