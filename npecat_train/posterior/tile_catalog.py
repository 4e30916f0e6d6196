"""What the network is asked: the brightest source of every tile (Patel et al. 2025)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from npecat_train.network.tile_network import TILE_SIZE


@dataclass(frozen=True)
class TileCatalog:
    """The brightest source of each tile, axes (batch, tile row, tile column).

    present: bool. x, y: float32, pixels from the tile's lower edges, in [0, TILE_SIZE]; flux:
    float32, nanomaggies; is_galaxy: bool. Where no source is, these hold harmless values.
    """

    present: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    is_galaxy: Tensor


def tile_catalog(
    x: Tensor, y: Tensor, flux: Tensor, is_galaxy: Tensor, present: Tensor, n_tiles: int
) -> TileCatalog:
    """Sort padded catalogs into tiles.

    x, y, flux, is_galaxy, present: (batch, capacity) in the store's coordinates; n_tiles: along
    each side of the image. A position is measured from the image's edge at -0.5.
    """
    batch = len(x)
    from_edge = torch.stack([y, x], dim=-1).nan_to_num() + 0.5  # (batch, capacity, 2)
    index = (from_edge / TILE_SIZE).floor().clamp(0, n_tiles - 1)
    offset = from_edge - index * TILE_SIZE
    tile = (index[..., 0] * n_tiles + index[..., 1]).long()
    tile = tile + torch.arange(batch, device=x.device)[:, None] * n_tiles**2

    # Sizes must not depend on values, which a GPU would have to send to the host: padding and the
    # fainter of two sources in a tile go to one tile more, which is cut off.
    nowhere = batch * n_tiles**2
    tile = torch.where(present, tile, nowhere).flatten()
    flux = flux.flatten()
    brightest = flux.new_zeros(nowhere + 1).scatter_reduce(0, tile, flux.nan_to_num(), "amax")
    tile = torch.where(flux == brightest[tile], tile, nowhere)

    def spread(values: Tensor, empty: float) -> Tensor:
        out = torch.full((nowhere + 1,), empty, dtype=values.dtype, device=x.device)
        return out.scatter(0, tile, values.flatten())[:nowhere].view(batch, n_tiles, n_tiles)

    return TileCatalog(
        present=spread(present, False),
        x=spread(offset[..., 1], TILE_SIZE / 2),
        y=spread(offset[..., 0], TILE_SIZE / 2),
        flux=spread(flux, 1.0),
        is_galaxy=spread(is_galaxy, False),
    )
