"""A compact statistical description of SDSS fields, so that simulating needs no survey file.

Fields are divided into strata by run, by camera column and by whether the fit of the PSF's wing
succeeded. Inside a stratum every variable has its table of quantiles, and a Gaussian copula
(Nelsen 2006, section 2.3) describes the correlations: correlated normal variates become uniform
ones, and these become values. ``npecat fields fit`` made sdss_fields.json from SDSS's photoField
files 94/1, 2583/2 and 3900/6.
"""

import json
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from scipy import special, stats

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SCALARS, FieldTable
from npecat_sim.io.json_files import parse_json
from npecat_sim.psf.base import Psf
from npecat_sim.psf.six_numbers import PARAMETERS, RADII, SixNumberPsf

VARIABLES = (*PARAMETERS, *SCALARS)
"""Order of the columns of every array here; units as in FieldTable."""

WINGLESS_P0 = 1e-5
"""Minimum p0 of a fitted wing. SDSS has 1e-7 where the fit failed, else about 0.01."""

KNOTS = 33
"""Quantiles per variable: the piecewise linear law errs by at most 1/32, typically by 0.003."""

SHRINKAGE = 0.01
"""Share of the identity in a correlation matrix, which keeps it positive definite."""

DEFAULT_FIELDS = 500
"""Number of fields of prior ``many`` (Patel et al. 2025)."""

DEFAULT_SEED, HELD_OUT_SEED = 0, 1
"""Seeds of the fields of priors ``many`` and ``held_out``; any two numbers will do."""


def has_wing(psf: np.ndarray) -> np.ndarray:
    """Whether SDSS's fit of the PSF's wing succeeded.

    Parameters
    ----------
    psf : ndarray
        float64 (field, 6), see psf.PARAMETERS.

    Returns
    -------
    ndarray
        bool (field,).
    """
    found: np.ndarray = psf[:, PARAMETERS.index("p0")] >= WINGLESS_P0
    return found


def values_of(table: FieldTable) -> np.ndarray:
    """All variables of a table: float64 (field, VARIABLES)."""
    return np.column_stack([table.psf, *(getattr(table, name) for name in SCALARS)])


def default_fields() -> FieldTable:
    """The fields of prior ``many`` if the user names no library."""
    return draw_fields(DEFAULT_FIELDS, DEFAULT_SEED)


def held_out_fields() -> FieldTable:
    """As many fields again, none of them in prior ``many``; their camera column is 1."""
    fields = draw_fields(DEFAULT_FIELDS, HELD_OUT_SEED)
    return replace(fields, identity=fields.identity + np.array([0, 1, 0], dtype=np.int32))


def embedded_description() -> dict[str, Any]:
    """The description of SDSS's fields that comes with the package."""
    file = resources.files("npecat_sim.fields") / "sdss_fields.json"
    try:
        description: dict[str, Any] = parse_json(file.read_bytes())
    except ValueError as error:
        raise NpecatError(f"{file} is damaged ({error}); install npecat again") from error
    return description


def typical_psf(width: float) -> SixNumberPsf:
    """The typical PSF of SDSS at a given FWHM.

    Parameters
    ----------
    width : float
        FWHM, pixels.

    Returns
    -------
    SixNumberPsf
        The PSF of this FWHM.

    Notes
    -----
    One number fixes the scale of a PSF but not its shape. The shape here (radii over the FWHM,
    beta, b and p0) is the median of the fields of prior ``many`` whose wing was fitted. If it
    replaces a field's own PSF, the best-fitting flux of a star errs by -0.6 % in the median, and
    by -8 to +2 % in nine of ten fields.
    """
    return _typical_shape().scaled(width)


def nearest_six_numbers(psf: Psf) -> SixNumberPsf:
    """The six numbers in whose place a network of six numbers takes a PSF.

    Parameters
    ----------
    psf : Psf
        Of any kind.

    Returns
    -------
    SixNumberPsf
        The PSF itself if it is of this kind, or else the typical one of its FWHM.
    """
    return psf if isinstance(psf, SixNumberPsf) else typical_psf(psf.fwhm)


@cache
def _typical_shape() -> SixNumberPsf:
    """The PSF of median shape, with an FWHM of 1."""
    fields = default_fields().psf
    fields = fields[has_wing(fields)]
    fields[:, : len(RADII)] /= np.array(
        [SixNumberPsf.of(parameters).fwhm for parameters in fields]
    )[:, None]
    shape = np.median(fields, axis=0)
    shape[: len(RADII)] /= SixNumberPsf.of(shape).fwhm
    return SixNumberPsf.of(shape)


def draw_fields(n: int, seed: int, *, description: dict[str, Any] | None = None) -> FieldTable:
    """Draw synthetic fields from a description.

    Parameters
    ----------
    n : int
        Number of fields.
    seed : int
        Seed of the draw.
    description : dict, optional
        A description as of fit_description; the embedded one by default.

    Returns
    -------
    FieldTable
        Field k has the identity (0, 0, k). Values have single precision, as in SDSS's files, and
        sigma1 < sigma2.
    """
    strata = (description or embedded_description())["strata"]
    weight = np.array([stratum["fields"] for stratum in strata], dtype=np.float64)
    generator = np.random.Generator(np.random.Philox(seed))
    stratum_of = generator.choice(len(strata), size=n, p=weight / weight.sum())
    values = np.empty((n, len(VARIABLES)))
    for index, stratum in enumerate(strata):
        rows = np.flatnonzero(stratum_of == index)
        values[rows] = _draw_stratum(stratum, len(rows), generator)
    psf, scalars = np.split(values, [len(PARAMETERS)], axis=1)
    return FieldTable(
        identity=np.column_stack([np.zeros((n, 2)), np.arange(n)]).astype(np.int32),
        psf=psf,
        **dict(zip(SCALARS, scalars.T, strict=True)),
        sky_maps={},
        source="embedded",
    )


def _draw_stratum(stratum: dict[str, Any], n: int, generator: np.random.Generator) -> np.ndarray:
    """Fields of one stratum: float64 (n, VARIABLES); sigma1 >= sigma2 is drawn again."""
    n_varying = len(stratum["correlation"])
    factor = np.linalg.cholesky(np.reshape(stratum["correlation"], (n_varying, n_varying)))
    varying = iter(special.ndtr(factor @ generator.standard_normal((n_varying, n))))
    values = np.empty((n, len(VARIABLES)))
    for index, name in enumerate(VARIABLES):
        quantile = stratum["quantiles"][name]
        values[:, index] = (
            quantile[0]
            if len(quantile) == 1
            else np.interp(next(varying), np.linspace(0, 1, len(quantile)), quantile)
        )
    values = values.astype(np.float32).astype(np.float64)
    swapped = _swapped(values)
    if swapped.any():
        values[swapped] = _draw_stratum(stratum, int(swapped.sum()), generator)
    return values


def _swapped(psf: np.ndarray) -> np.ndarray:
    """Whether sigma1 >= sigma2: bool (n,). The columns begin with PARAMETERS."""
    swapped: np.ndarray = psf[:, PARAMETERS.index("sigma1")] >= psf[:, PARAMETERS.index("sigma2")]
    return swapped


def fit_description(table: FieldTable) -> dict[str, Any]:
    """Describe a table of real fields.

    Parameters
    ----------
    table : FieldTable
        Fields of SDSS.

    Returns
    -------
    dict
        The content of sdss_fields.json: "about", and "strata" with the run, the camera column,
        whether the wing was fitted, the number of fields, the quantiles and the correlations of
        each stratum.

    Raises
    ------
    NpecatError
        If a field is unphysical, or its sigma1 is not below its sigma2.
    """
    table.check("fields to describe")
    swapped = np.flatnonzero(_swapped(table.psf))
    if len(swapped):
        run, camcol, field = table.identity[swapped[0]]
        raise NpecatError(
            f"field {run}/{camcol}/{field}: sigma1 is not below sigma2; leave its run out"
        )
    values = values_of(table)
    keys = np.column_stack([table.identity[:, :2], has_wing(table.psf)])
    strata = []
    for run, camcol, wing in np.unique(keys, axis=0).tolist():
        members = values[(keys == (run, camcol, wing)).all(axis=1)]
        strata.append(
            {"run": run, "camcol": camcol, "wing": bool(wing), "fields": len(members)}
            | _fit_stratum(members)
        )
    return {
        "about": "SDSS fields, r band; see fields/sdss_statistics.py. Radii in pixels, fwhm in "
        "arcsec, sky in nmgy/arcsec2, gain in electrons per count, dark_variance in count2.",
        "strata": strata,
    }


def _fit_stratum(members: np.ndarray) -> dict[str, Any]:
    """Quantiles of each variable, one if it is constant, and the copula of the others."""
    is_constant = (members == members[0]).all(axis=0)
    quantiles = {}
    for name, column, constant in zip(VARIABLES, members.T, is_constant, strict=True):
        n_knots = 1 if constant else min(KNOTS, len(members))
        knots = np.quantile(column, np.linspace(0, 1, n_knots))
        quantiles[name] = [float(f"{knot:.7g}") for knot in knots]
    varying = members[:, ~is_constant]
    scores = special.ndtri(stats.rankdata(varying, axis=0) / (len(members) + 1))
    correlation = np.atleast_2d(np.corrcoef(scores, rowvar=False)) if varying.size else np.eye(0)
    correlation = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(len(correlation))
    return {"quantiles": quantiles, "correlation": correlation.round(3).tolist()}


def description_text(description: dict[str, Any]) -> str:
    """The description as JSON, with each list of numbers on one line."""
    text = json.dumps(description, indent=1)
    numbers = re.compile(r"\[[^][{}]*\]")
    return numbers.sub(lambda match: " ".join(match[0].split()), text) + "\n"
