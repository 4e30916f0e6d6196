"""Deterministic damage to the bytes of a file, as disks, transfers and careless tools do it."""

import re
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]
"""Makes damaged bytes of good ones."""

CARD = re.compile(rb"[A-Z][A-Z0-9_-]{0,7} *= .{70}", re.DOTALL)
"""A card of a FITS header that has a value."""

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
"""A number in a text such as JSON, XML or CSV."""

VALUES = (b"NaN", b"'text'", b"-1", b"0", b"7", b"1E30", b"999999999999999999", b"", b"T", b"1D2")
"""What takes the place of a value."""

FITS_BLOCK = 2880

BLOCKS = 16
"""Number of blocks into which a file of another format is taken to be divided."""


def flip_bits(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip one to eight bits."""
    damaged = np.frombuffer(content, np.uint8).copy()
    places = generator.integers(0, len(damaged), generator.integers(1, 9))
    damaged[places] ^= np.uint8(1) << generator.integers(0, 8, len(places)).astype(np.uint8)
    return damaged.tobytes()


def overwrite(content: bytes, generator: np.random.Generator) -> bytes:
    """Put other bytes in the place of up to 200 in a row."""
    start = int(generator.integers(0, len(content)))
    damaged = generator.bytes(min(int(generator.integers(1, 200)), len(content) - start))
    return content[:start] + damaged + content[start + len(damaged) :]


def truncate(content: bytes, generator: np.random.Generator) -> bytes:
    """Keep the beginning alone."""
    return content[: generator.integers(0, len(content))]


def edit_value(content: bytes, generator: np.random.Generator) -> bytes:
    """Give a card of a FITS header, or else a number in a text, another value."""
    is_fits = content.startswith(b"SIMPLE")
    found = list((CARD if is_fits else NUMBER).finditer(content))
    if is_fits:
        found = [card for card in found if card.start() % 80 == 0]
    if not found:
        return flip_bits(content, generator)
    chosen = found[generator.integers(0, len(found))]
    value = VALUES[generator.integers(0, len(VALUES))]
    if is_fits:
        value = (chosen[0][:10] + value.rjust(20)).ljust(80)
    return content[: chosen.start()] + value + content[chosen.end() :]


def move_block(content: bytes, generator: np.random.Generator) -> bytes:
    """Leave out a block, or put it in twice."""
    size = FITS_BLOCK if content.startswith(b"SIMPLE") else -(-len(content) // BLOCKS)
    start = int(generator.integers(0, -(-len(content) // size))) * size
    block = content[start : start + size] * (2 * int(generator.integers(0, 2)))
    return content[:start] + block + content[start + size :]


MUTATIONS: tuple[Mutation, ...] = (flip_bits, overwrite, truncate, edit_value, move_block)
"""All kinds of damage."""


def mutated(content: bytes, seed: int) -> bytes:
    """Damaged bytes; the same seed gives the same.

    Parameters
    ----------
    content : bytes
        The good file, at least one byte.
    seed : int
        Chooses kind and place of the damage.

    Returns
    -------
    bytes
    """
    generator = np.random.default_rng(seed)
    return MUTATIONS[seed % len(MUTATIONS)](content, generator)
