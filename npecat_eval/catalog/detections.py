"""Predicted catalogs as point estimates, from a network or from a classical tool."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from npecat_sim.errors import NpecatError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GALAXY_THRESHOLD = 0.5
"""A source counts as a galaxy if the probability of that exceeds this (section 7 of the paper)."""


@dataclass(frozen=True)
class Detections:
    """Predicted sources of a set of images, sorted by image.

    Parameters
    ----------
    image : ndarray
        int64 (source,): index of the image in the set.
    x, y : ndarray
        float64 (source,): position in 0-indexed pixels, centre of the first pixel at 0.
    flux : ndarray
        float64 (source,), nanomaggies: the point estimate.
    prob_source : ndarray
        float64 (source,): probability that there is a source.
    prob_located : ndarray
        float64 (source,): probability that there is one within about a pixel of (x, y), see
        decode.LOCATED_SIDE.
    prob_galaxy : ndarray
        float64 (source,): probability that it is a galaxy if there is one.

    Raises
    ------
    NpecatError
        If a value is not finite.
    ValueError
        If the lengths differ or the images are out of order.
    """

    image: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    prob_source: np.ndarray
    prob_located: np.ndarray
    prob_galaxy: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            column = getattr(self, field.name)
            if column.shape != self.image.shape:
                raise ValueError(f"{field.name} has shape {column.shape}, not {self.image.shape}")
            bad = np.flatnonzero(~np.isfinite(column))
            if len(bad):
                raise NpecatError(
                    f"predicted catalog, image {self.image[bad[0]]}: {field.name} is "
                    f"{column[bad[0]]}; check the images and the network that it comes from"
                )
        if np.any(np.diff(self.image) < 0):
            raise ValueError("detections must be sorted by image")

    def __len__(self) -> int:
        return len(self.image)

    def of_image(self, image: int) -> "Detections":
        """Return the detections of one image, given its index in the set."""
        inside = self.image == image
        return Detections(**{name: column[inside] for name, column in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: "list[Detections]") -> "Detections":
        """Concatenate the detections of several batches, in their order."""
        return joined_rows(parts)


Columns = TypeVar("Columns", bound="DataclassInstance")


def joined_rows(parts: Sequence[Columns]) -> Columns:
    """Concatenate tables of the same class.

    Parameters
    ----------
    parts : sequence
        Instances of one dataclass whose fields are arrays (row,).

    Returns
    -------
    object
        Of the same class, with the rows of all parts in their order.
    """
    kind = type(parts[0])
    return kind(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(kind)
        }
    )
