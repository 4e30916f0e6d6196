"""JSON that may be damaged or hostile, and JSON files that are written in one step."""

import json
from typing import Any

from npecat_sim.io.storage import Location, write

MAX_DEPTH = 32
"""Maximum nesting of JSON that is read, eight times that of the metadata of a store."""


def write_json(path: Location, content: Any) -> None:
    """Write JSON in one step; raises NpecatError if the file cannot be written."""
    write(path, (json.dumps(content, indent=1) + "\n").encode())


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text that may be damaged or hostile.

    Raises
    ------
    ValueError
        If the text is not JSON, not UTF-8, or nested more than MAX_DEPTH deep.
    """
    too_deep = ValueError(f"JSON nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(content)
    except RecursionError:
        raise too_deep from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise too_deep
