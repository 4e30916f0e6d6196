"""Damaged copies of a file: one flipped bit each."""

from collections.abc import Iterator
from pathlib import Path


def flip_bits(path: Path, n: int) -> Iterator[int]:
    """Flip one bit of a file at a time, at n places spread evenly; yields the byte of each."""
    content = path.read_bytes()
    n_bits = 8 * len(content)
    step = max(n_bits // n, 1) | 1  # odd: every bit of a byte has its turn
    for bit in range(0, n_bits, step):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield bit // 8
    path.write_bytes(content)
