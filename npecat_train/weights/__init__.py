"""The weights that come with the package, and the digests of weights."""

from hashlib import sha256
from pathlib import Path

from npecat_sim.errors import NpecatError

DEFAULT_WEIGHTS = Path(__file__).parent / "psf_aware.safetensors"
"""The weights that ``npecat catalog`` uses; MODEL_CARD.md beside them describes them."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    return sha256(path.read_bytes()).hexdigest()


def digest_path(weights: Path) -> Path:
    """Return the file beside some weights with their digest, as ``sha256sum --check`` reads it."""
    return weights.with_suffix(".sha256")


def check_digest(weights: Path) -> None:
    """Raise NpecatError if a digest lies beside the weights and is not theirs."""
    beside = digest_path(weights)
    if weights.exists() and beside.exists() and digest(weights) not in beside.read_text().split():
        raise NpecatError(f"{weights} is not what {beside.name} says; install npecat again")
