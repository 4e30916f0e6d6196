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


class Purpose(IntEnum):
    """What the numbers of a stream are for; adding a purpose leaves the other streams alone."""

    CATALOG = 0
    FIELD = 1
    NOISE = 2
    INJECTION = 3
    INJECTION_NOISE = 4
    PSF_KERNEL = 5


def check_seed(seed: int) -> None:
    """Raise NpecatError if the seed is not in [0, 2^64)."""
    if not 0 <= seed < 2**64:
        raise NpecatError(
            f"the seed {seed} is outside [0, 2^64); give a non-negative seed", parameters=("seed",)
        )


def stream(seed: int, split: str, index: int, purpose: Purpose) -> np.random.Generator:
    """The generator that belongs to one image and purpose.

    Raises NpecatError if the seed is not in [0, 2^64).
    """
    check_seed(seed)
    key = np.array([seed, SPLITS.index(split) * 256 + purpose], dtype=np.uint64)
    counter = np.array([0, 0, 0, index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(_Key(key), counter=counter))  # type: ignore[arg-type]


class _Key(ISeedSequence):
    """Hands Philox its key. Given as ``key`` it takes three times as long: Philox then draws a
    seed from the operating system as well, only to drop it."""

    def __init__(self, key: np.ndarray):
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> np.ndarray:
        """The key, two words of 64 bits, which is all that Philox asks for."""
        return self._key
