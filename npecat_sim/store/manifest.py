"""Lists of files with their fingerprints, which tell whether a file is still what was written.

A list carries a digest of itself, so that damage to the list is not taken for damage to a file.
"""

import errno
import hashlib
import json
from typing import NamedTuple

from npecat_sim.io import storage
from npecat_sim.io.storage import Location, failures, reason

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


def fingerprint(content: bytes) -> Fingerprint:
    """Of the whole content of a file."""
    return Fingerprint(len(content), hashlib.sha256(content).hexdigest(), content[-4:].hex())


def digest(files: Files) -> str:
    """SHA-256 over a list: names the exact content of all its files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write(path: Location, files: Files) -> None:
    """Write a list in one step."""
    storage.write(path, _content(files))


def read(path: Location) -> Files | None:
    """The list in a file, or None where the file is missing, damaged or no list.

    Raises NpecatError where it cannot be reached.
    """
    try:
        with storage.reading(path):
            content = storage.read(path)
        files = {name: Fingerprint(*row) for name, row in json.loads(content)["files"].items()}
        return files if content == _content(files) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def fault(path: Location, listed: Fingerprint, thorough: bool) -> str | None:
    """What is wrong with a file, as words that follow its name, or None.

    thorough: compare the whole content; otherwise a chunk's size and ending must do, which notice
    a chunk that is missing, cut, overwritten by another or of another store, but not a flipped
    bit within it, and ask an object store for five bytes. Metadata is always compared whole.
    """
    try:
        same = _agrees(path, listed, thorough or path.name == METADATA)
        size = listed.size if same else path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    except failures() as error:
        return f"cannot be read ({reason(error)})"
    if size != listed.size:
        how = "cut short" if size < listed.size else "too long"
        return f"is {how}: {size} bytes instead of {listed.size}"
    return None if same else "has other content than was written"


def _content(files: Files) -> bytes:
    return (json.dumps({"digest": digest(files), "files": files}, indent=1) + "\n").encode()


def _agrees(path: Location, listed: Fingerprint, thorough: bool) -> bool:
    """True if a file has its size, and its content if thorough, else its last bytes."""
    start = 0 if thorough else max(listed.size - 4, 0)
    try:
        content = storage.read(path, start, listed.size + 1)
    except OSError as error:
        if error.errno == errno.EINVAL:  # S3's answer where the file ends before
            return False
        raise
    return fingerprint(content) == listed if thorough else content.hex() == listed.ending
