"""The weights that come with the package."""

from hashlib import sha256
from pathlib import Path

DEFAULT_WEIGHTS = Path(__file__).parent / "psf_aware.safetensors"
"""The weights that ``npecat catalog`` uses; MODEL_CARD.md beside them describes them."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal: it names weights in catalogs and runs.

    A checkpoint holds another digest, of itself, by which damage is noticed (see checkpoint).
    """
    return sha256(path.read_bytes()).hexdigest()
