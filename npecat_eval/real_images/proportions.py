"""Shares and ratios of a few sources, with their uncertainties, as cells of a table's row."""

import numpy as np
from astropy.stats import binom_conf_interval


def share(name: str, is_so: np.ndarray) -> dict[str, float]:
    """Share of the sources (n,) that is so, 1-sigma limits by Wilson (Brown et al. 2001), n.

    Named ``name``, and with the endings _low, _high and _n; NaN where there is no source.
    """
    n = len(is_so)
    value, low, high = np.nan, np.nan, np.nan
    if n:
        value = float(is_so.mean())
        low, high = map(float, binom_conf_interval(is_so.sum(), n, interval="wilson"))
    return {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}


def ratio(name: str, ratios: np.ndarray) -> dict[str, float]:
    """Median of the ratios (n,), its standard error were they normal, scatter and n.

    Named ``name``_ratio, _error, _scatter and _n. The scatter is 1.48 times the median absolute
    deviation, sigma of a normal distribution; NaN where there is no source.
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
