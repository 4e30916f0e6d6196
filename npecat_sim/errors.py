"""The exceptions whose messages are written for the user."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any


class NpecatError(Exception):
    """A problem that the user can solve; its message is one line with the cause and the fix.

    The command line prints it without a traceback, adds the options that `parameters` have there,
    and exits with `status`.

    Parameters
    ----------
    fact : str
        What is wrong, with the name of the file or field and its value.
    parameters : sequence of str, optional
        The arguments of the Python API whose change solves it, such as ``("overwrite",)``.
    """

    status = 1
    """Exit status of the command line."""

    def __init__(self, fact: str, *, parameters: Sequence[str] = ()) -> None:
        super().__init__(fact)
        self.parameters = tuple(parameters)


class OutputError(NpecatError):
    """A place that cannot be written, or must not be, which is known before any work is done.

    As any wrong use of the command line, it exits with status 2.
    """

    status = 2


class StoreError(NpecatError):
    """A store that is missing, unfinished or damaged, and has to be simulated.

    Parameters
    ----------
    fact : str
        What is wrong, with the path of the store.
    path : Path or UPath
        Path of the store.
    settings : dict, optional
        The configuration with which the store can be made again, as in its attributes; None if it
        cannot be read.
    """

    def __init__(self, fact: str, *, path: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__(fact)
        self.path, self.settings = path, settings

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors travel between processes, which call the class with ``args`` alone."""
        return _store_error, (str(self), self.path, self.settings)


def _store_error(fact: str, path: Any, settings: dict[str, Any] | None) -> StoreError:
    """A StoreError of positional arguments, for pickle."""
    return StoreError(fact, path=path, settings=settings)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Turn any failure into an NpecatError that names the work in progress and the place.

    Parameters
    ----------
    what : str
        The work in progress, such as a file's name; the message begins with it.

    Raises
    ------
    NpecatError
        If the code in the ``with`` block raises any exception.
    """
    try:
        yield
    except NpecatError as error:
        raise NpecatError(f"{what}: {error}", parameters=error.parameters) from error
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise NpecatError(
            f"{what}: {reason} ({Path(place.filename).name} line {place.lineno})"
        ) from error
