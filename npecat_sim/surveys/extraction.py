"""Source Extractor's detection (SEP) with buffers that suit the image."""

from typing import Any

import numpy as np
import sep

MIN_BUFFER = 300_000
"""Pixels: SEP's own default."""


def extract(image: np.ndarray, threshold: float, **options: Any) -> Any:
    """``sep.extract`` with room for every pixel of the image, however crowded it is.

    The room is set for each call, since SEP clears all of it each time: that for the largest
    images makes small ones slow. Where an object has more peaks than SEP has room for, no object
    is deblended.

    Parameters
    ----------
    image : ndarray
        (y, x).
    threshold : float
        See sep.extract.
    **options : object
        Others of sep.extract.

    Returns
    -------
    ndarray or tuple of ndarray
        As of sep.extract.
    """
    image = np.ascontiguousarray(image)
    if "err" in options:
        options["err"] = np.asarray(options["err"], order="C")  # a number stays one
    sep.set_extract_pixstack(max(image.size + 2, MIN_BUFFER))  # it never uses the last two
    try:
        return sep.extract(image, threshold, **options)
    except Exception:  # the only type that SEP raises
        return sep.extract(image, threshold, **{**options, "deblend_nthresh": 1})
