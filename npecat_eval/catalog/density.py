"""Density and star share of an image, found by reading it again and again (empirical Bayes).

A network of variant wide is told how many sources to expect, and how many of them are stars. It
reads the image with a first guess; the sources that it then expects, smoothed, are what it is told
next. Where the image does not tell, its mean holds. Large images are read in samples, all but the
last time.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from npecat_eval.catalog.observe import TELLS_NOTHING, Observation
from npecat_eval.catalog.population import Given, Population
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.wide.survey import WIDE
from npecat_train.model import TileModel
from npecat_train.network.tile_network import TILE_SIZE

FIRST_DENSITY, FIRST_STAR_SHARE = 1e-3, 0.5
"""The first guess: the middle of prior wide's densities, in the log, and of its star shares."""

MAX_PASSES = 3
"""Maximum number of times that the image is read before the last one."""

SAME_DENSITY = 0.1
"""Relative change of the mean density below which it is found."""

SMOOTHING = 32.0
"""Standard deviation, in tiles, of the Gaussian that smooths the expected sources: 128 pixels."""

OWN_SOURCES = 5.0
"""Sources that a neighbourhood must hold to count as much as the mean of the image."""

OWN_TYPES = 20.0
"""Sources whose types count as much as those of the image, or of the whole sky: a star share of 20
sources errs by a tenth."""

CELL, WINDOW = 128, 64
"""Tiles along each side of the cells of an image that is read in samples, and of the sample in the
middle of each: a quarter of the image."""

PIXELS_AT_ONCE = 2**20
"""Pixels that the network reads together."""


def find_population(image: SurveyImage, model: TileModel, given: Given) -> Population:
    """Find what sources an image holds.

    Parameters
    ----------
    image : SurveyImage
        The image, see observe.as_used.
    model : TileModel
        A network of variant wide.
    given : Given
        What is known and not to be found.

    Returns
    -------
    Population
        Densities are kept within those of prior wide.
    """
    told = Population.even(image, given, density=FIRST_DENSITY, star_share=FIRST_STAR_SHARE)
    if given.density is not None and given.star_share is not None:
        return told
    names = [name for name in ("density", "star_share") if getattr(given, name) is None]
    words = " and ".join(names).replace("_", " ")
    searched = _searched(image)
    for number in range(1, MAX_PASSES + 1):
        before = told.mean_density
        found = _Expected.of(Observation(image, told), model, searched)
        told = replace(told, was=f"{words} found in {number + 1} passes")
        told = replace(told, **{name: getattr(found, name)() for name in names})
        if abs(told.mean_density / before - 1) < SAME_DENSITY:
            break
    return told


def _searched(image: SurveyImage) -> np.ndarray:
    """Share of the pixels of each tile that tell something: float32 (tile row, tile column)."""
    tells = ((image.flags & int(TELLS_NOTHING)) == 0).astype(np.float32)
    whole = np.pad(tells, [(0, -length % TILE_SIZE) for length in tells.shape])
    rows, columns = [length // TILE_SIZE for length in whole.shape]
    share: np.ndarray = whole.reshape(rows, TILE_SIZE, columns, TILE_SIZE).mean(axis=(1, 3))
    return share


@dataclass(frozen=True)
class _Expected:
    """What a network expects in the tiles of an image.

    Parameters
    ----------
    weight : ndarray
        float32 (tile row, tile column): share of a tile that was searched; 0 where it was not read.
    lit : ndarray
        float32 (tile row, tile column): probability that there is a source, times the weight.
    stars : ndarray
        float32 (tile row, tile column): the same for a star.
    """

    weight: np.ndarray
    lit: np.ndarray
    stars: np.ndarray

    @classmethod
    def of(cls, observed: Observation, model: TileModel, searched: np.ndarray) -> "_Expected":
        """Read an image, or samples of a large one."""
        (top, height), (left, width) = [_windows(n) for n in observed.n_tiles]
        row, column = [first.ravel() for first in np.meshgrid(top, left, indexing="ij")]
        maps = [np.zeros(observed.n_tiles, np.float32) for _ in range(3)]
        shape = TILE_SIZE * height, TILE_SIZE * width
        at_once = max(PIXELS_AT_ONCE // (shape[0] * shape[1]), 1)
        for start in range(0, len(row), at_once):
            some = slice(start, start + at_once)
            cuts = observed.cutouts(TILE_SIZE * row[some], TILE_SIZE * column[some], shape=shape)
            posterior = model.posterior(cuts, in_float32=True)
            source, galaxy = [
                one.probability.cpu().numpy() for one in (posterior.source, posterior.galaxy)
            ]
            for y, x, is_source, is_galaxy in zip(
                row[some], column[some], source, galaxy, strict=True
            ):
                tiles = np.s_[y : y + height, x : x + width]
                share = searched[tiles]
                values = share, share * is_source, share * is_source * (1 - is_galaxy)
                for one, value in zip(maps, values, strict=True):
                    one[tiles] = value
        return cls(*maps)

    def density(self) -> np.ndarray:
        """Sources per pixel: float32 (tile row, tile column), within the limits of prior wide."""
        low, high = [1 - np.exp(-limit * TILE_SIZE**2) for limit in WIDE.sources.density]
        mean = np.clip(self.lit.sum() / max(self.weight.sum(), 1e-9), low, high)
        share = _shrunk(self.lit, self.weight, mean=mean, prior=OWN_SOURCES / mean)
        # A tile is lit if it holds at least one source of a Poisson number.
        density = -np.log1p(-share.clip(low, high)) / TILE_SIZE**2
        limited: np.ndarray = np.clip(density, *WIDE.sources.density).astype(np.float32)
        return limited

    def star_share(self) -> np.ndarray:
        """Share of stars among the sources: float32 (tile row, tile column)."""
        mean = (self.stars.sum() + OWN_TYPES * FIRST_STAR_SHARE) / (self.lit.sum() + OWN_TYPES)
        share = _shrunk(self.stars, self.lit, mean=mean, prior=OWN_TYPES)
        limited: np.ndarray = np.clip(share, *WIDE.sources.star_share).astype(np.float32)
        return limited


def _windows(n_tiles: int) -> tuple[np.ndarray, int]:
    """First tiles of the samples along an axis, and their length."""
    if n_tiles <= CELL:
        return np.zeros(1, int), n_tiles
    edges = np.linspace(0, n_tiles, -(-n_tiles // CELL) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    return np.rint(middles - WINDOW / 2).astype(int), WINDOW


def _shrunk(part: np.ndarray, whole: np.ndarray, *, mean: float, prior: float) -> np.ndarray:
    """The local ratio of two maps, with a prior that has its mean and some weight.

    The weight is in units of `whole`.
    """
    # As many tiles as a Gaussian weighs: 1 over the sum of its squares.
    tiles = 4 * np.pi * SMOOTHING**2
    smooth_part, smooth_whole = [
        tiles * gaussian_filter(one.astype(np.float64), SMOOTHING, mode="constant", truncate=3.0)
        for one in (part, whole)
    ]
    ratio: np.ndarray = (smooth_part + prior * mean) / (smooth_whole + prior)
    return ratio
