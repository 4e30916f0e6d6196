"""Matching of predicted to true sources."""

from itertools import permutations

import numpy as np
import pytest

from npecat_eval.metrics.matching import MATCH_RADIUS, Match, Positions, match

COUNT_MATTERS_MOST = 1000.0


def positions(*rows: tuple[float, float, float]) -> Positions:
    """Positions from (image, x, y) rows."""
    image, x, y = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Positions(image.astype(np.int64), x, y)


def random_positions(generator: np.random.Generator, n: int, step: float) -> Positions:
    """n positions in one image of 2.5 px; rounded to ``step`` where that is positive."""
    xy = generator.random((2, n)) * 2.5
    if step:
        xy = np.round(xy / step) * step
    return Positions(np.zeros(n, dtype=np.int64), *xy)


def score(distances: np.ndarray) -> float:
    """The objective: first the number of pairs, then the total distance; small is good."""
    return float(distances.sum() - COUNT_MATTERS_MOST * len(distances))


def distances_of(result: Match, truth: Positions, detections: Positions) -> np.ndarray:
    dx = truth.x[result.truth] - detections.x[result.detection]
    dy = truth.y[result.truth] - detections.y[result.detection]
    return np.hypot(dx, dy)


def brute_force(truth: Positions, detections: Positions) -> float:
    """The best score over all assignments."""
    few, many = sorted((truth, detections), key=lambda points: len(points.x))
    best = 0.0
    for order in permutations(range(len(many.x)), len(few.x)):
        chosen = list(order)
        distance = np.hypot(few.x - many.x[chosen], few.y - many.y[chosen])
        best = min(best, score(distance[distance <= MATCH_RADIUS]))
    return best


def shuffled(points: Positions, order: np.ndarray) -> Positions:
    return Positions(points.image[order], points.x[order], points.y[order])


@pytest.mark.parametrize("step", [0.0, 0.5], ids=["random", "tied"])
def test_equals_brute_force(step):
    generator = np.random.default_rng(1)
    for _ in range(1000):
        truth, detections = [
            random_positions(generator, n, step) for n in generator.integers(0, 6, 2)
        ]
        result = match(truth, detections)
        distance = distances_of(result, truth, detections)
        assert np.all(distance <= MATCH_RADIUS)
        assert len(np.unique(result.detection)) == len(result.detection)
        assert score(distance) == pytest.approx(brute_force(truth, detections), abs=1e-9)


def test_all_images_at_once_equals_one_at_a_time():
    generator = np.random.default_rng(2)
    truth, detections = [
        Positions(np.repeat(np.arange(60), 5), *generator.random((2, 300)) * 3) for _ in range(2)
    ]
    together = match(truth, detections)
    for image in range(60):
        inside = slice(5 * image, 5 * image + 5)
        alone = match(shuffled(truth, inside), shuffled(detections, inside))
        expected = np.where(alone.truth_match >= 0, alone.truth_match + 5 * image, -1)
        np.testing.assert_array_equal(together.truth_match[inside], expected)


def test_both_directions_agree():
    generator = np.random.default_rng(3)
    truth, detections = [random_positions(generator, 40, 0.0) for _ in range(2)]
    result = match(truth, detections)
    np.testing.assert_array_equal(result.detection_match[result.detection], result.truth)
    assert np.sum(result.detection_match >= 0) == len(result.truth)
    np.testing.assert_array_equal(match(detections, truth).truth_match, result.detection_match)


def test_permutations_change_nothing():
    """Neither the order of the sources nor that of the images; ties included."""
    generator = np.random.default_rng(4)
    image = np.repeat(np.arange(50), 6)
    truth, detections = [  # six of the sixteen nodes of a grid of half pixels in each image
        Positions(image, *(np.array(np.divmod(nodes.ravel(), 4)) / 2))
        for nodes in generator.permuted(np.tile(np.arange(16), (2, 50, 1)), axis=2)[..., :6]
    ]
    plain = match(truth, detections)

    new_image = generator.permutation(50)
    truth_order, detection_order = generator.permutation(300), generator.permutation(300)
    moved = match(
        shuffled(Positions(new_image[image], truth.x, truth.y), truth_order),
        shuffled(Positions(new_image[image], detections.x, detections.y), detection_order),
    )
    restored = np.full(300, -1)
    restored[truth_order[moved.truth]] = detection_order[moved.detection]
    np.testing.assert_array_equal(restored, plain.truth_match)


def test_far_pair_is_never_matched():
    truth = positions((0, 10, 10))
    assert match(truth, positions((0, 11.0, 10))).truth_match[0] == 0
    assert match(truth, positions((0, 11.001, 10))).truth_match[0] == -1
    assert match(truth, positions((1, 10, 10))).truth_match[0] == -1  # of another image


def test_far_pair_does_not_push_out_a_near_one():
    """Least total distance over all pairs would be 0.6 + 1.7 here; the 0.2 must stay."""
    truth = positions((0, 0, 0), (0, 0.8, 0))
    detections = positions((0, 0.6, 0), (0, 2.5, 0))
    np.testing.assert_array_equal(match(truth, detections).truth_match, [-1, 0])


def test_as_many_pairs_as_possible():
    """The nearest pair (0.1) gives way where that makes two pairs of 0.9 and 1.0."""
    truth = positions((0, 0.9, 0), (0, 0, 0))
    detections = positions((0, 1.0, 0), (0, 1.8, 0))
    np.testing.assert_array_equal(match(truth, detections).truth_match, [1, 0])


def test_empty_sides():
    none, one = positions(), positions((0, 1, 1))
    assert match(none, none).truth_match.shape == (0,)
    np.testing.assert_array_equal(match(one, none).truth_match, [-1])
    np.testing.assert_array_equal(match(none, one).detection_match, [-1])


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_radius_scales_with_the_unit_of_the_positions(scale):
    generator = np.random.default_rng(2)
    for _ in range(100):
        truth, detections = [random_positions(generator, 5, 0.0) for _ in range(2)]
        expected = match(truth, detections)
        larger = (
            Positions(points.image, scale * points.x, scale * points.y)
            for points in (truth, detections)
        )
        result = match(*larger, radius=scale * MATCH_RADIUS)
        np.testing.assert_array_equal(result.truth_match, expected.truth_match)


def test_images_stay_apart_whatever_the_radius():
    result = match(positions((0, 0, 0), (1, 5, 5)), positions((0, 5, 5), (1, 0, 0)), radius=3.0)
    assert len(result.truth) == 0
