"""The catalog that a network predicts: the brightest source of every tile (Patel et al. 2025)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from npecat_train.network.tile_network import TILE_SIZE


@dataclass(frozen=True)
class TileCatalog:
    """The brightest source of each tile.

    Each field has the shape (..., batch, tile row, tile column). Where no source is, all but
    ``present`` hold harmless values.

    Parameters
    ----------
    present : Tensor
        bool, True where the tile has a source.
    x, y : Tensor
        float32, pixels from the tile's lower edges, in [0, TILE_SIZE].
    flux : Tensor
        float32, nanomaggies.
    is_galaxy : Tensor
        bool.
    """

    present: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    is_galaxy: Tensor


def tile_catalog(
    x: Tensor, y: Tensor, *, flux: Tensor, is_galaxy: Tensor, present: Tensor, n_tiles: int
) -> TileCatalog:
    """Find the brightest source of every tile in padded catalogs.

    Parameters
    ----------
    x, y : Tensor
        float32 (batch, capacity), pixels; the first pixel's centre is 0, its edge -0.5.
    flux : Tensor
        float32 (batch, capacity), nanomaggies.
    is_galaxy : Tensor
        bool (batch, capacity).
    present : Tensor
        bool (batch, capacity), False in the padding.
    n_tiles : int
        Along each side of the image.

    Returns
    -------
    TileCatalog
        Of shape (batch, n_tiles, n_tiles).
    """
    batch = len(x)
    from_edge = torch.stack([y, x], dim=-1).nan_to_num() + 0.5  # (batch, capacity, 2)
    index = (from_edge / TILE_SIZE).floor().clamp(0, n_tiles - 1)
    offset = from_edge - index * TILE_SIZE
    tile = (index[..., 0] * n_tiles + index[..., 1]).long()
    tile = tile + torch.arange(batch, device=x.device)[:, None] * n_tiles**2

    # Sizes must not depend on values, which a GPU would have to send to the host: padding, and all
    # but the brightest source of a tile, go to an extra tile, which is cut off.
    nowhere = batch * n_tiles**2
    tile = torch.where(present, tile, nowhere).flatten()
    flux = flux.flatten()
    brightest = flux.new_zeros(nowhere + 1).scatter_reduce(0, tile, flux.nan_to_num(), "amax")
    tile = torch.where(flux == brightest[tile], tile, nowhere)

    def spread(values: Tensor, empty: float) -> Tensor:
        """Put the values of the chosen sources into their tiles, ``empty`` into all others."""
        out = torch.full((nowhere + 1,), empty, dtype=values.dtype, device=x.device)
        return out.scatter(0, tile, values.flatten())[:nowhere].view(batch, n_tiles, n_tiles)

    return TileCatalog(
        present=spread(present, False),
        x=spread(offset[..., 1], TILE_SIZE / 2),
        y=spread(offset[..., 0], TILE_SIZE / 2),
        flux=spread(flux, 1.0),
        is_galaxy=spread(is_galaxy, False),
    )
