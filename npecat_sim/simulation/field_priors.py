"""The priors over fields that images are simulated under, by name."""

from pathlib import Path

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import load_library
from npecat_sim.fields.sdss_statistics import DEFAULT_FIELDS, default_fields, held_out_fields
from npecat_sim.fields.table import SINGLE_FIELD, FieldTable

ONE, MANY, HELD_OUT = "one", "many", "held_out"
PRIORS = (ONE, MANY, HELD_OUT)
"""SDSS field 94/1/12; 500 SDSS fields; as many others, to judge a network on fields it never saw.
"""

LIBRARY_SEED = 0
"""Fixed, so that a library always gives the same fields to the same prior."""


def prior_fields(prior: str, library: Path | None) -> FieldTable:
    """The fields of a prior, from a library file of real fields if one is given.

    ``many`` takes DEFAULT_FIELDS fields of a library at random, or all if it has no more, and
    ``held_out`` others of the rest. Raises NpecatError where the library cannot be read or does
    not suit the prior.
    """
    if prior == ONE:
        if library:
            raise NpecatError(
                "prior one is field 94/1/12 and takes no field library", parameters=("fields",)
            )
        return SINGLE_FIELD
    if library is None:
        return default_fields() if prior == MANY else held_out_fields()
    table = load_library(library)
    order = np.random.default_rng(LIBRARY_SEED).permutation(len(table))
    rows = order[:DEFAULT_FIELDS] if prior == MANY else order[DEFAULT_FIELDS : 2 * DEFAULT_FIELDS]
    if len(rows) == 0:
        raise NpecatError(
            f"{library} has {len(table)} fields and prior many takes {DEFAULT_FIELDS}, so that "
            "none is left to hold out; import more, or take the fields of the package",
            parameters=("fields",),
        )
    return table.take(np.sort(rows))
