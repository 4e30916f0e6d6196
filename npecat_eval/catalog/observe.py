"""A survey image as a network takes it, whole or in parts.

A network of the paper's variants is told six numbers of one PSF. One of variant wide is told the
PSF in the middle of each part, which pixels tell nothing, how neighbouring pixels share noise, and
what sources to expect.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from npecat_eval.catalog.population import Population
from npecat_sim.fields.sdss_statistics import nearest_six_numbers
from npecat_sim.model.prior import PSF_SIDE
from npecat_sim.psf.varying import ConstantMap
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_train.data.batch import ObservedImages
from npecat_train.network.tile_network import TILE_SIZE

TELLS_NOTHING = (
    PixelFlag.NO_DATA | PixelFlag.SATURATED | PixelFlag.COSMIC_RAY | PixelFlag.INTERPOLATED
)
"""Pixels with one of these flags are masked for a network of variant wide."""


@dataclass(frozen=True)
class Observation:
    """A survey image as a network takes it.

    Parameters
    ----------
    image : SurveyImage
        The image.
    population : Population or None
        What a network of variant wide is told of the sources; None for the paper's networks.
    """

    image: SurveyImage
    population: Population | None

    @property
    def has_one_psf(self) -> bool:
        """Whether the network is told the same PSF everywhere."""
        return self.population is None or self.image.psf_map.is_constant

    @property
    def n_tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles; the last ones may be padded."""
        rows, columns = [-(-length // TILE_SIZE) for length in self.image.image.shape]
        return rows, columns

    def part(self, rows: slice, columns: slice) -> ObservedImages:
        """A part of the image, told the PSF in its middle.

        Parameters
        ----------
        rows, columns : slice
            Pixels of the part, whole tiles; they may end beyond the image by less than a tile.

        Returns
        -------
        ObservedImages
            One image.
        """
        cut = self._cut(np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop))
        if self.population is None:
            return self._six_numbers([cut])
        tiles = np.s_[
            rows.start // TILE_SIZE : rows.stop // TILE_SIZE,
            columns.start // TILE_SIZE : columns.stop // TILE_SIZE,
        ]
        middle = (columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2
        return self._wide(
            [cut],
            [middle],
            density=self.population.density[tiles][None],
            star_share=self.population.star_share[tiles][None],
        )

    def cutouts(
        self, row: np.ndarray, column: np.ndarray, *, shape: tuple[int, int]
    ) -> ObservedImages:
        """Cutouts of the image, each told what holds in its middle.

        Parameters
        ----------
        row, column : ndarray
            int (cutout,): first pixel of each; it may lie beyond the image.
        shape : tuple of int
            Pixels (y, x) of a cutout.

        Returns
        -------
        ObservedImages
            (cutout,).
        """
        height, width = shape
        corners = list(zip(row, column, strict=True))
        cuts = [self._cut(y + np.arange(height), x + np.arange(width)) for y, x in corners]
        if self.population is None:
            return self._six_numbers(cuts)
        n_rows, n_columns = self.n_tiles
        tiles = (
            ((row + height // 2) // TILE_SIZE).clip(0, n_rows - 1),
            ((column + width // 2) // TILE_SIZE).clip(0, n_columns - 1),
        )
        return self._wide(
            cuts,
            [(x + (width - 1) / 2, y + (height - 1) / 2) for y, x in corners],
            density=self.population.density[tiles],
            star_share=self.population.star_share[tiles],
        )

    def _cut(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
        """Pixels, background and mask in some rows and columns, which may lie beyond the image."""
        height, width = self.image.image.shape
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        at = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
        masked = ~inside | ((self.image.flags[at] & int(TELLS_NOTHING)) != 0)
        hidden = ~inside if self.population is None else masked
        light = np.where(hidden, np.float32(0), self.image.image[at])
        return light, self.image.background[at], masked.astype(np.uint8)

    def _arrays(self, cuts: list[tuple[np.ndarray, ...]]) -> dict[str, torch.Tensor]:
        """What every network takes."""
        images, backgrounds, _ = [torch.from_numpy(np.stack(of)) for of in zip(*cuts, strict=True)]
        electrons = torch.full((len(cuts),), self.image.electrons_per_nmgy)
        return {"images": images, "backgrounds": backgrounds, "electrons_per_nmgy": electrons}

    def _six_numbers(self, cuts: list[tuple[np.ndarray, ...]]) -> ObservedImages:
        """Cuts as the paper's networks take them."""
        psf = self._psf_parameters.expand(len(cuts), -1)
        return ObservedImages(**self._arrays(cuts), psf_parameters=psf)

    @cached_property
    def _psf_parameters(self) -> torch.Tensor:
        """Six numbers of the PSF."""
        return torch.tensor(nearest_six_numbers(self.image.psf).parameters, dtype=torch.float32)

    def _wide(
        self,
        cuts: list[tuple[np.ndarray, ...]],
        middles: list[tuple[float, float]],
        **per_tile: np.ndarray,
    ) -> ObservedImages:
        """Cuts as a network of variant wide takes them, each with the PSF at its middle (x, y)."""
        assert self.population is not None
        arrays = self._arrays(cuts)
        # The background holds the noise of a flux; the network takes that of a pixel.
        arrays["backgrounds"] /= self.noise_correlation**2
        numbers = {
            "pixel_scale": self.image.pixel_scale,
            "noise_correlation": self.noise_correlation,
            "faint_flux": self.population.faint_flux,
        }
        stamps = np.stack([self._stamp(x, y) for x, y in middles])
        return ObservedImages(
            **arrays,
            psf=torch.from_numpy(stamps),
            mask=torch.from_numpy(np.stack([mask for *_, mask in cuts])),
            **{name: torch.full((len(cuts),), number) for name, number in numbers.items()},
            **{name: torch.from_numpy(values) for name, values in per_tile.items()},
        )

    @property
    def noise_correlation(self) -> float:
        """Noise of a flux over that which its pixels alone would have."""
        return self.image.findings.noise_correlation if self.image.findings else 1.0

    def _stamp(self, x: float, y: float) -> np.ndarray:
        """The PSF at a place: float32 (PSF_SIDE, PSF_SIDE)."""
        if self.has_one_psf:
            return self._one_stamp
        return self.image.psf_map.at(x, y).stamp(PSF_SIDE).astype(np.float32)

    @cached_property
    def _one_stamp(self) -> np.ndarray:
        """The PSF of an image that has one."""
        stamp: np.ndarray = self.image.psf_map.at(0, 0).stamp(PSF_SIDE).astype(np.float32)
        return stamp


def as_used(image: SurveyImage, *, is_wide: bool) -> SurveyImage:
    """An image with the PSF that a network is told, and no other.

    Networks of variant wide take the PSF at every place, the paper's the one in the middle.
    """
    if not is_wide:
        return replace(image, psf_map=ConstantMap(image.psf))
    height, width = image.image.shape
    return replace(image, psf=image.psf_map.at((width - 1) / 2, (height - 1) / 2))
