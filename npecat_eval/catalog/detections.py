"""Predicted catalogs as point estimates: what a network or a classical tool found in images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from npecat_sim.errors import NpecatError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GALAXY_THRESHOLD = 0.5
"""A source more probably a galaxy than not is called one (section 7 of the paper)."""


@dataclass(frozen=True)
class Detections:
    """n predicted sources of a set of images, sorted by image; every array is (n,).

    image: int64, index of the image in the set. x, y: float64, 0-indexed pixels, centre of the
    first pixel at 0. flux: float64 nanomaggies, the point estimate. prob_source, prob_located,
    prob_galaxy: float64, probability that there is a source, that there is one within about a pixel
    of (x, y) (decode.LOCATED_SIDE), and that it is a galaxy given that there is one.

    Raises NpecatError where a value is not finite, ValueError where the lengths differ or the
    images are out of order.
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
        """Those of one image."""
        inside = self.image == image
        return Detections(**{name: column[inside] for name, column in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: "list[Detections]") -> "Detections":
        """The detections of several batches, in their order."""
        return joined_rows(parts)


Columns = TypeVar("Columns", bound="DataclassInstance")


def joined_rows(parts: Sequence[Columns]) -> Columns:
    """Several tables of one kind, dataclasses of arrays (row,), one after the other."""
    kind = type(parts[0])
    return kind(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(kind)
        }
    )
