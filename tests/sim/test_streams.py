"""Random streams: distinct, reproducible, checked."""

import itertools

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.model.streams import SPLITS, Purpose, stream


def test_stream_is_philox_with_its_key_and_counter():
    key = np.array([2**63 + 5, 1 * 256 + Purpose.NOISE], dtype=np.uint64)
    plain = np.random.Generator(np.random.Philox(key=key, counter=7 << 192))
    ours = stream(2**63 + 5, "validation", index=7, purpose=Purpose.NOISE)
    np.testing.assert_array_equal(ours.random(9), plain.random(9))


def test_every_stream_is_its_own():
    keys = itertools.product((0, 1), SPLITS, (0, 1, 2**20), Purpose)
    first = [
        stream(seed, split, index=index, purpose=purpose).random(4).tobytes()
        for seed, split, index, purpose in keys
    ]
    assert len(set(first)) == 2 * 3 * 3 * len(Purpose)


def test_streams_are_uncorrelated_between_neighbouring_images():
    draws = np.array(
        [
            stream(0, "train", index=i, purpose=Purpose.NOISE).standard_normal(2000)
            for i in range(30)
        ]
    )
    off_diagonal = np.corrcoef(draws)[~np.eye(30, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_impossible_seed_is_refused(seed):
    with pytest.raises(NpecatError, match=r"the seed .* is outside"):
        stream(seed, "train", index=0, purpose=Purpose.CATALOG)
