"""Lists of files with fingerprints, which show whether a file is still as it was written.

A list holds a digest of itself, so damage to the list is not mistaken for damage to a file.
"""

import errno
import hashlib
import json
from typing import NamedTuple

from npecat_sim.io import storage
from npecat_sim.io.json_files import parse_json
from npecat_sim.io.storage import Location, failures, reason

METADATA = "zarr.json"
"""Name of Zarr's metadata files: small, and without a checksum of their own."""


class Fingerprint(NamedTuple):
    """Size, hash and last bytes of a file when it was written.

    Parameters
    ----------
    size : int
        Bytes.
    sha256 : str
        SHA-256 of the content, in hex.
    ending : str
        The last four bytes, in hex. In a chunk they are the CRC-32C of all bytes before them, so
        they distinguish two chunks without a full read.
    """

    size: int
    sha256: str
    ending: str


Files = dict[str, Fingerprint]
"""Path of a file, relative to the listed folder -> its fingerprint."""


def fingerprint(content: bytes) -> Fingerprint:
    """Fingerprint of the whole content of a file."""
    return Fingerprint(len(content), hashlib.sha256(content).hexdigest(), content[-4:].hex())


def digest(files: Files) -> str:
    """SHA-256 of a list, in hex: it identifies the exact content of all its files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write(path: Location, files: Files) -> None:
    """Write a list of files to ``path`` in one step."""
    storage.write(path, _content(files))


def read(path: Location) -> Files | None:
    """Read a list of files.

    Returns
    -------
    dict of str to Fingerprint, or None
        None if the file is missing, damaged or not a list.

    Raises
    ------
    NpecatError
        If the file cannot be reached.
    """
    try:
        with storage.reading(path):
            content = storage.read(path)
        listed = parse_json(content)["files"]
        files = {name: Fingerprint(*row) for name, row in listed.items()}
        return files if content == _content(files) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def fault(path: Location, listed: Fingerprint, *, thorough: bool) -> str | None:
    """What is wrong with a file, if anything.

    Parameters
    ----------
    path : Path or UPath
        Path of the file.
    listed : Fingerprint
        Its fingerprint in the list.
    thorough : bool
        Compare the whole content. Otherwise only size and ending of a chunk are compared, which
        requests five bytes from an object store. That detects a chunk that is missing, cut short
        or replaced by another chunk or one of another store, but not a flipped bit inside it.
        Metadata files are always compared in full.

    Returns
    -------
    str or None
        Words that follow the name of the file in a sentence, such as "is missing"; None for a
        file without a fault.
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
    """Content of a list's file: JSON with the digest of the list and its files."""
    return (json.dumps({"digest": digest(files), "files": files}, indent=1) + "\n").encode()


def _agrees(path: Location, listed: Fingerprint, thorough: bool) -> bool:
    """True if a file has the listed size and, if thorough, content, otherwise last bytes."""
    start = 0 if thorough else max(listed.size - 4, 0)
    try:
        content = storage.read(path, start=start, stop=listed.size + 1)
    except OSError as error:
        if error.errno == errno.EINVAL:  # S3's answer where the file ends before
            return False
        raise
    return fingerprint(content) == listed if thorough else content.hex() == listed.ending
