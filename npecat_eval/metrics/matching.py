"""Matching of predicted to true sources, image by image.

Pairs farther apart than a radius, MATCH_RADIUS by default, are forbidden before the assignment.
Among the allowed pairs, the match has as many as possible and, of those choices, the least total
distance: the minimum total distance matching of section 7 of the paper, in which a far pair can
never push out a near one. The equal but slow path is one scipy.optimize.linear_sum_assignment an
image, over all its sources; only sources that compete for a partner need it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

MATCH_RADIUS = 1.0
"""Pixels: the largest distance of a matched pair (section 7 of the paper)."""


class Points(Protocol):
    """Positions in images: arrays (n,) of image index and of 0-indexed pixels."""

    @property
    def image(self) -> np.ndarray: ...
    @property
    def x(self) -> np.ndarray: ...
    @property
    def y(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Positions:
    """Points that are nothing but their positions, such as true sources."""

    image: np.ndarray
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Match:
    """Which predicted source is which true one.

    truth_match: int64 (truth,), index of the matched detection, -1 where there is none.
    detection_match: int64 (detection,), index of the matched true source, -1 where none.
    """

    truth_match: np.ndarray
    detection_match: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """int64 (pair,): the true source of each pair, ascending."""
        return np.flatnonzero(self.truth_match >= 0)

    @property
    def detection(self) -> np.ndarray:
        """int64 (pair,): the detection of each pair, in the order of ``truth``."""
        return self.truth_match[self.truth]


def match(truth: Points, detections: Points, radius: float = MATCH_RADIUS) -> Match:
    """Match all images at once; ``radius`` in the unit of the positions.

    Equal optima are settled by the order of the positions (x, then y), not of the rows, so a
    permuted input gives the same pairs unless two sources of an image share one position.
    """
    truth_order, detection_order = _position_order(truth), _position_order(detections)
    rows, columns, distance = _allowed_pairs(
        truth, detections, truth_order, detection_order, radius
    )

    rivals = np.maximum(np.bincount(rows)[rows], np.bincount(columns)[columns])
    lone = rivals == 1
    pairs = [(rows[lone], columns[lone])]
    for contested in _components(rows[~lone], columns[~lone]):
        member = np.flatnonzero(~lone)[contested]
        pairs.append(_assign(rows[member], columns[member], distance[member], radius))

    truth_pair = truth_order[np.concatenate([row for row, _ in pairs])]
    detection_pair = detection_order[np.concatenate([column for _, column in pairs])]
    truth_match = np.full(len(truth_order), -1)
    detection_match = np.full(len(detection_order), -1)
    truth_match[truth_pair] = detection_pair
    detection_match[detection_pair] = truth_pair
    return Match(truth_match, detection_match)


def _position_order(points: Points) -> np.ndarray:
    return np.lexsort((points.y, points.x, points.image))


def _allowed_pairs(
    truth: Points,
    detections: Points,
    truth_order: np.ndarray,
    detection_order: np.ndarray,
    radius: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of one image within the radius: places in the two orders, distance."""
    trees = [
        KDTree(_separated(points, radius)[order])
        for points, order in ((truth, truth_order), (detections, detection_order))
    ]
    near = trees[0].sparse_distance_matrix(trees[1], radius, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"]))]
    return near["i"], near["j"], near["v"]


def _separated(points: Points, radius: float) -> np.ndarray:
    """float64 (n, 3): positions with the images too far apart to be neighbours."""
    apart = 4 * radius * points.image
    return np.stack([points.x, points.y, apart], axis=1).astype(np.float64)


def _components(rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
    """Pairs that share sources, directly or through others: a list of indices of pairs."""
    if len(rows) == 0:
        return []
    n_rows = rows.max() + 1
    size = n_rows + columns.max() + 1
    graph = coo_array((np.ones(len(rows)), (rows, n_rows + columns)), shape=(size, size))
    label = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _assign(
    rows: np.ndarray, columns: np.ndarray, distance: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (row, column) that one component keeps."""
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    shape = len(row_names), len(column_names)
    forbidden = radius * (min(shape) + 1)  # dearer than all allowed pairs together
    cost = np.full(shape, forbidden)
    cost[row, column] = distance
    chosen_row, chosen_column = linear_sum_assignment(cost)
    allowed = cost[chosen_row, chosen_column] < forbidden
    return row_names[chosen_row[allowed]], column_names[chosen_column[allowed]]
