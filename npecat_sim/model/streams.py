"""Random streams that belong to an image, never to a worker, a task or a chunk.

A stream is a Philox counter-based generator (Salmon et al. 2011): its key is (seed, split and
purpose) and the top word of its counter is the image index, so every (seed, split, index,
purpose) owns 2^192 blocks of numbers that no other stream can reach.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from npecat_sim.errors import NpecatError

SPLITS = ("train", "validation", "test")
"""Names of the stores of a data set; the order is part of the streams."""


class Purpose(IntEnum):
    """Use of the numbers of a stream; a new purpose does not change the other streams."""

    CATALOG = 0
    FIELD = 1
    NOISE = 2
    INJECTION = 3
    INJECTION_NOISE = 4
    PSF_KERNEL = 5
    CONDITIONS = 6
    ARTIFACTS = 7


def check_seed(seed: int) -> None:
    """Raise NpecatError if a seed is not in [0, 2^64)."""
    if not 0 <= seed < 2**64:
        raise NpecatError(
            f"the seed {seed} is outside [0, 2^64); give a non-negative seed", parameters=("seed",)
        )


def stream(seed: int, split: str, *, index: int, purpose: Purpose) -> np.random.Generator:
    """The random generator of one image and purpose.

    Parameters
    ----------
    seed : int
        Seed of the store, in [0, 2^64).
    split : str
        One of SPLITS.
    index : int
        Index of the image in the split.
    purpose : Purpose
        Use of the numbers.

    Returns
    -------
    numpy.random.Generator
        At the start of its stream.

    Raises
    ------
    NpecatError
        If the seed is out of its range.
    """
    check_seed(seed)
    key = np.array([seed, SPLITS.index(split) * 256 + purpose], dtype=np.uint64)
    counter = np.array([0, 0, 0, index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(_Key(key), counter=counter))  # type: ignore[arg-type]


class _Key(ISeedSequence):
    """The key of a Philox generator, passed as its seed.

    The argument ``key`` of Philox would take three times as long, since Philox then also draws a
    seed from the operating system, which it does not use.
    """

    def __init__(self, key: np.ndarray) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> np.ndarray:
        """The key, the two words of 64 bits that Philox needs."""
        return self._key
