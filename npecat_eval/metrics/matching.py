"""Matching of predicted to true sources, image by image.

Pairs farther apart than a radius, MATCH_RADIUS by default, are forbidden before the assignment. The
match contains as many allowed pairs as possible and, of all such choices, has the minimum total
distance. This is the matching of section 7 of the paper; a forbidden pair can never replace an
allowed one. One call of scipy.optimize.linear_sum_assignment per image, over all its sources, would
give the same match more slowly; here only sources that compete for a partner go through it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

MATCH_RADIUS = 1.0
"""Maximum distance of a matched pair, pixels (section 7 of the paper)."""


class Points(Protocol):
    """A table with the positions of sources in images."""

    @property
    def image(self) -> np.ndarray:
        """Index of the image: int (source,)."""

    @property
    def x(self) -> np.ndarray:
        """Column in 0-indexed pixels: (source,)."""

    @property
    def y(self) -> np.ndarray:
        """Row in 0-indexed pixels: (source,)."""


@dataclass(frozen=True)
class Positions:
    """Positions of sources without any other property, such as those of true sources.

    Parameters
    ----------
    image : ndarray
        int (source,): index of the image.
    x, y : ndarray
        (source,), 0-indexed pixels.
    """

    image: np.ndarray
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Match:
    """The pairs of true and predicted sources.

    Parameters
    ----------
    truth_match : ndarray
        int64 (truth,): index of the matched detection, -1 where there is none.
    detection_match : ndarray
        int64 (detection,): index of the matched true source, -1 where there is none.
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
        detection: np.ndarray = self.truth_match[self.truth]
        return detection


def match(truth: Points, detections: Points, *, radius: float = MATCH_RADIUS) -> Match:
    """Match the sources of all images at once.

    Parameters
    ----------
    truth, detections : Points
        True and predicted sources.
    radius : float, optional
        Maximum distance of a pair, in the unit of the positions.

    Returns
    -------
    Match

    Notes
    -----
    If several matches are equally good, the order of the positions (x, then y) decides, not the
    order of the rows. So permuted sources give the same pairs, unless two sources of an image have
    the same position.
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
    """int64 (source,): indices that sort points by image, then x, then y."""
    return np.lexsort((points.y, points.x, points.image))


def _allowed_pairs(
    truth: Points,
    detections: Points,
    truth_order: np.ndarray,
    detection_order: np.ndarray,
    radius: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs within the radius in the same image: places in the two orders, distance."""
    true_tree = KDTree(_separated(truth, radius)[truth_order])
    detected_tree = KDTree(_separated(detections, radius)[detection_order])
    near = true_tree.sparse_distance_matrix(detected_tree, radius, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"]))]
    return near["i"], near["j"], near["v"]


def _separated(points: Points, radius: float) -> np.ndarray:
    """float64 (source, 3): positions, with different images too far apart to give pairs."""
    apart = 4 * radius * points.image
    return np.stack([points.x, points.y, apart], axis=1).astype(np.float64)


def _components(rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
    """Groups of pairs that share sources, directly or through others: indices of the pairs."""
    if len(rows) == 0:
        return []
    n_rows = rows.max() + 1
    size = n_rows + columns.max() + 1
    graph = coo_array((np.ones(len(rows)), (rows, n_rows + columns)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    label = component[rows]
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _assign(
    rows: np.ndarray, columns: np.ndarray, distance: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (row, column) of one group that are in the match."""
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    shape = len(row_names), len(column_names)
    forbidden = radius * (min(shape) + 1)  # costs more than all allowed pairs together
    cost = np.full(shape, forbidden)
    cost[row, column] = distance
    chosen_row, chosen_column = linear_sum_assignment(cost)
    allowed = cost[chosen_row, chosen_column] < forbidden
    return row_names[chosen_row[allowed]], column_names[chosen_column[allowed]]
