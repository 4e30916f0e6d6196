"""The posterior of every tile of a whole survey image, however large.

An image of up to BLOCK_TILES tiles along each side is read in one pass. A larger one is cut into
blocks. Each block is read with a margin on every side, as wide as the region that the posterior of
a tile depends on, so that the cuts do not change any tile. At the end of the image there is no
margin, as in training images. The network computes in float32, so that a catalog does not depend
on the number format in which the machine multiplies fastest.

Where the PSF varies, what the network is given of a block is put together from small patches, each
with its own PSF.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from npecat_eval.catalog.observe import Observation
from npecat_train.model import TileModel
from npecat_train.network.inputs import NetworkInputs
from npecat_train.network.tile_network import TILE_SIZE
from npecat_train.network.wide_inputs import FILTER_REACH
from npecat_train.posterior.distributions import concatenate
from npecat_train.posterior.tile_posterior import TilePosterior

BLOCK_TILES = 512
"""Tiles along each side of a block without its margin: 2048 pixels, the width of an SDSS frame."""

PATCH_TILES = 64
"""Tiles along each side of a patch, without its margin, in which a PSF that varies is taken for
constant: 256 pixels. From its middle to a corner a PSF of DECam (PSFEx) or SDSS (psField) changes
by 1 % of its norm, and by 4 % at most."""


def field_posterior(
    model: TileModel,
    observed: Observation,
    *,
    block_tiles: int = BLOCK_TILES,
) -> TilePosterior:
    """Compute the posterior of every tile of a survey image.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior, on any device.
    observed : Observation
        An image of any size, with what the network is told of it.
    block_tiles : int, optional
        Tiles along each side of a block without its margin.

    Returns
    -------
    TilePosterior
        (1, tile row, tile column), float32, on the CPU. Where the side of the image is no multiple
        of the tile size, the last row or column of tiles is padded.
    """
    n_rows, n_columns = observed.n_tiles
    reach = model.settings.reach

    def strip(rows: Block) -> Iterator[TilePosterior]:
        for columns in blocks(n_columns, block_tiles, margin=reach):
            inputs = _inputs(model, observed, rows.pixels, columns.pixels)
            posterior = model.posterior_of(inputs, in_float32=True)
            yield posterior[:, rows.own, columns.own].map(torch.Tensor.cpu)

    return concatenate(
        [
            concatenate(list(strip(rows)), axis=2)
            for rows in blocks(n_rows, block_tiles, margin=reach)
        ],
        axis=1,
    )


def _inputs(model: TileModel, observed: Observation, rows: slice, columns: slice) -> NetworkInputs:
    """What a network is given of some pixels of an image."""
    if observed.has_one_psf:
        return model.inputs(observed.part(rows, columns))
    across = list(_patches(columns))
    strips = []
    for down in _patches(rows):
        parts = [
            _cropped(model.inputs(observed.part(down.pixels, one.pixels)), down.own, one.own)
            for one in across
        ]
        strips.append(_joined(parts, axis=-1))
    return _joined(strips, axis=-2)


def _patches(pixels: slice) -> Iterator["Block"]:
    """Cut a part of one axis into patches, each with all that its filters see in the part."""
    n_tiles = (pixels.stop - pixels.start) // TILE_SIZE
    for one in blocks(n_tiles, PATCH_TILES, margin=FILTER_REACH):
        seen = slice(one.pixels.start + pixels.start, one.pixels.stop + pixels.start)
        yield Block(seen, one.own)


def _cropped(inputs: NetworkInputs, rows: slice, columns: slice) -> NetworkInputs:
    """Some tiles of what a network is given."""
    y, x = [slice(TILE_SIZE * one.start, TILE_SIZE * one.stop) for one in (rows, columns)]
    return NetworkInputs(
        inputs.pixel_maps[..., y, x],
        inputs.tile_maps[..., rows, columns],
        inputs.aperture_flux[..., rows, columns],
    )


def _joined(parts: list[NetworkInputs], *, axis: int) -> NetworkInputs:
    """Parts side by side."""
    return NetworkInputs(
        *(
            torch.cat([getattr(part, field.name) for part in parts], dim=axis)
            for field in fields(NetworkInputs)
        )
    )


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
