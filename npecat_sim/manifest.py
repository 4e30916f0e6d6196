"""Lists of files with their fingerprints, which tell whether a file is still what was written.

A list carries a digest of itself, so that damage to the list is not taken for damage to a file.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from npecat_sim.files import replacing

METADATA = "zarr.json"
"""Name of Zarr's metadata files: small, and without a checksum of their own."""


class Fingerprint(NamedTuple):
    """What a file was when it was written.

    size: bytes. sha256: of the content, in hex. ending: the last four bytes in hex, which in a
    chunk are the CRC-32C of all before: they tell two chunks apart without reading them whole.
    """

    size: int
    sha256: str
    ending: str


Files = dict[str, Fingerprint]
"""Path of a file, relative to the folder listed -> its fingerprint."""


def fingerprint(path: Path) -> Fingerprint:
    """Of a file as it is now; raises OSError where it cannot be read."""
    content = path.read_bytes()
    return Fingerprint(len(content), hashlib.sha256(content).hexdigest(), content[-4:].hex())


def digest(files: Files) -> str:
    """SHA-256 over a list: names the exact content of all its files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write(path: Path, files: Files) -> None:
    """Write a list in one step."""
    with replacing(path) as partial:
        partial.write_bytes(_content(files))


def read(path: Path) -> Files | None:
    """The list in a file, or None where the file is missing, damaged or no list."""
    try:
        content = path.read_bytes()
        files = {name: Fingerprint(*row) for name, row in json.loads(content)["files"].items()}
        return files if content == _content(files) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def fault(path: Path, listed: Fingerprint, thorough: bool) -> str | None:
    """What is wrong with a file, as words that follow its name, or None.

    thorough: compare the whole content; otherwise a chunk's size and ending must do, which notice
    a chunk that is missing, cut, overwritten by another or of another store, but not a flipped
    bit within it. Metadata is always compared whole.
    """
    try:
        size, ending = _size_and_ending(path)
        if size != listed.size:
            how = "cut short" if size < listed.size else "too long"
            return f"is {how}: {size} bytes instead of {listed.size}"
        if thorough or path.name == METADATA:
            same = fingerprint(path) == listed
        else:
            same = ending == listed.ending
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if same else "has other content than was written"


def _content(files: Files) -> bytes:
    return (json.dumps({"digest": digest(files), "files": files}, indent=1) + "\n").encode()


def _size_and_ending(path: Path) -> tuple[int, str]:
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(max(size - 4, 0))
        return size, file.read(4).hex()
