"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb


class NpecatError(Exception):
    """A problem the user can mend; its message is one line that names the thing and the fix.

    The command line prints it without a traceback and exits with status 1.
    """


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Turn any failure into an NpecatError that says what was being worked on, and where."""
    try:
        yield
    except NpecatError as error:
        raise NpecatError(f"{what}: {error}") from error
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise NpecatError(
            f"{what}: {reason} ({Path(place.filename).name} line {place.lineno})"
        ) from error
