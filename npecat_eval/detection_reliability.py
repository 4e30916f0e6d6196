"""Does a detection of probability p prove true in a share p of cases?"""

import numpy as np

from npecat_eval.matched import MatchedCatalog
from npecat_eval.means import MATCHED, Label, Mean
from npecat_eval.tile_scores import PROBABILITY, PROBABILITY_EDGES
from npecat_train.decode import DETECTION_THRESHOLD

EDGES = PROBABILITY_EDGES[PROBABILITY_EDGES >= DETECTION_THRESHOLD]


def detection_reliability(matched: MatchedCatalog) -> list[Mean]:
    """Share of detections that match a true source, and mean P(source), by P(source).

    ``source_share`` of matched sources; a match may fail by the position where the probability is
    of a source in the tile.
    """
    probability = matched.detections.prob_source
    shape = matched.n_images, len(EDGES) - 1
    cell = np.clip(np.digitize(probability, EDGES) - 1, 0, shape[1] - 1)
    cell += shape[1] * matched.detections.image
    ones = np.ones(len(probability))
    n, probabilities, hits = (
        np.bincount(cell, weights, shape[0] * shape[1]).reshape(shape)
        for weights in (ones, probability, matched.match.detection_match >= 0)
    )
    return [
        Mean(Label(metric, MATCHED, axis=PROBABILITY), EDGES[:-1], EDGES[1:], total, n)
        for metric, total in (("source_share", hits), ("source_probability", probabilities))
    ]
