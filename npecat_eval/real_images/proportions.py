"""Shares and ratios of small numbers of sources, with uncertainties, as cells of a table's row."""

import numpy as np
from astropy.stats import binom_conf_interval


def share(name: str, is_so: np.ndarray) -> dict[str, float]:
    """The share of sources with a property, and its 1-sigma limits.

    Parameters
    ----------
    name : str
        Of the share.
    is_so : ndarray
        bool (n,), whether each source has the property.

    Returns
    -------
    dict of str to float
        The share as ``name``; its limits by Wilson [1]_ as ``name_low`` and ``name_high``; n as
        ``name_n``. NaN if there is no source.

    References
    ----------
    .. [1] Brown, Cai & DasGupta 2001, Statistical Science 16, 101.
    """
    n = len(is_so)
    value, low, high = np.nan, np.nan, np.nan
    if n:
        value = float(is_so.mean())
        low, high = map(float, binom_conf_interval(is_so.sum(), n, interval="wilson"))
    return {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}


def ratio(name: str, ratios: np.ndarray) -> dict[str, float]:
    """The median of ratios, its standard error and their scatter.

    Parameters
    ----------
    name : str
        Of the ratio.
    ratios : ndarray
        float64 (n,), of each source.

    Returns
    -------
    dict of str to float
        The median as ``name_ratio``; its standard error if the ratios are normally distributed as
        ``name_error``; 1.48 times the median absolute deviation, which is the sigma of a normal
        distribution, as ``name_scatter``; n as ``name_n``. NaN if there is no source.
    """
    n = len(ratios)
    median = scatter = error = np.nan
    if n:
        median = float(np.median(ratios))
        scatter = float(1.4826 * np.median(np.abs(ratios - median)))
    if n > 1:
        error = float(np.sqrt(np.pi / 2 / n)) * scatter
    return {
        f"{name}_ratio": median,
        f"{name}_error": error,
        f"{name}_scatter": scatter,
        f"{name}_n": n,
    }
