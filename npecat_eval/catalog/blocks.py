"""The posterior of every tile of a whole survey image, however large.

An image of up to BLOCK_TILES tiles along each side is read in one pass. A larger one is cut into
blocks. Each block is read with a margin on every side, as wide as the region that the posterior of
a tile depends on, so that the cuts do not change any tile. At the end of the image there is no
margin, as in training images. The network computes in float32, so that a catalog does not depend
on the number format in which the machine multiplies fastest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from npecat_sim.fields.sdss_statistics import nearest_six_numbers
from npecat_sim.surveys.image import SurveyImage
from npecat_train.data.batch import ObservedImages
from npecat_train.model import TileModel
from npecat_train.network.inputs import APERTURE_REACH
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.posterior.distributions import concatenate
from npecat_train.posterior.tile_posterior import TilePosterior

BLOCK_TILES = 512
"""Tiles along each side of a block without its margin: 2048 pixels, the width of an SDSS frame."""


def field_posterior(
    model: TileModel,
    image: SurveyImage,
    *,
    block_tiles: int = BLOCK_TILES,
) -> TilePosterior:
    """Compute the posterior of every tile of a survey image.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior, on any device.
    image : SurveyImage
        Of any size.
    block_tiles : int, optional
        Tiles along each side of a block without its margin.

    Returns
    -------
    TilePosterior
        (1, tile row, tile column), float32, on the CPU. Where the side of the image is no multiple
        of the tile size, the last row or column of tiles is padded.
    """
    pixels = to_whole_tiles(image.image)
    sky = to_whole_tiles(image.background, mode="edge")
    device = model.device
    electrons, psf = [
        torch.tensor(np.array([values]), dtype=torch.float32, device=device)
        for values in (image.electrons_per_nmgy, nearest_six_numbers(image.psf).parameters)
    ]
    margin = tile_margin(model)

    def strip(rows: Block) -> Iterator[TilePosterior]:
        for columns in blocks(pixels.shape[1] // TILE_SIZE, block_tiles, margin=margin):
            seen = rows.pixels, columns.pixels
            cut, cut_sky = [
                torch.from_numpy(array[seen])[None].to(device) for array in (pixels, sky)
            ]
            observed = ObservedImages(cut, cut_sky, electrons, psf)
            posterior = model.posterior(observed, in_float32=True)
            yield posterior[:, rows.own, columns.own].map(torch.Tensor.cpu)

    return concatenate(
        [
            concatenate(list(strip(rows)), axis=2)
            for rows in blocks(pixels.shape[0] // TILE_SIZE, block_tiles, margin=margin)
        ],
        axis=1,
    )


def tile_margin(model: TileModel) -> int:
    """Distance from a tile to the farthest tile whose pixels its posterior depends on, tiles."""
    return max(model.settings.network.reach, APERTURE_REACH)


def to_whole_tiles(array: np.ndarray, **how: Any) -> np.ndarray:
    """Pad an image to whole tiles.

    Parameters
    ----------
    array : ndarray
        (y, x).
    **how
        Keywords of numpy.pad that choose the values of the new pixels; zeros by default.

    Returns
    -------
    ndarray
        (y, x) of the same type, with rows and columns added at the upper ends.
    """
    return np.pad(array, [(0, -length % TILE_SIZE) for length in array.shape], **how)


@dataclass(frozen=True)
class Block:
    """Part of one axis of an image that is read in one pass.

    Parameters
    ----------
    pixels : slice
        Pixels of the image that are read, margins included.
    own : slice
        Tiles of the block without its margins, counted from the first tile that is read.
    """

    pixels: slice
    own: slice


def blocks(n_tiles: int, block_tiles: int, *, margin: int) -> Iterator[Block]:
    """Cut one axis of an image into blocks.

    Parameters
    ----------
    n_tiles : int
        Tiles along the axis.
    block_tiles : int
        Largest number of tiles of a block without its margins.
    margin : int
        Tiles that are read on either side of a block.

    Yields
    ------
    Block
        In the order of the axis.
    """
    for start in range(0, n_tiles, block_tiles):
        stop = min(start + block_tiles, n_tiles)
        first, last = max(start - margin, 0), min(stop + margin, n_tiles)
        yield Block(slice(TILE_SIZE * first, TILE_SIZE * last), slice(start - first, stop - first))
