"""Compile functions, once for all processes where that can be kept."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(**options: Any) -> Callable[[Function], Function]:
    """Decorate functions with ``numba.njit`` and NumPy's treatment of a division by zero.

    The machine code is kept beside the source, or else in the user's cache. Where neither can be
    written, every process compiles again, which takes about 15 s for the renderer.

    Parameters
    ----------
    **options : object
        Further options of numba.njit.

    Returns
    -------
    callable
        The decorator.
    """

    def compiled(function: Function) -> Function:
        try:
            kept: Function = numba.njit(cache=True, error_model="numpy", **options)(function)
            return kept
        except RuntimeError:  # numba finds no folder for its cache
            again: Function = numba.njit(error_model="numpy", **options)(function)
            return again

    return compiled
