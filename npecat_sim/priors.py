"""The priors over fields that images are simulated under, by name."""

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.field import SINGLE_FIELD, FieldTable
from npecat_sim.field_model import DEFAULT_FIELDS, default_fields, held_out_fields

ONE, MANY, HELD_OUT = "one", "many", "held_out"
PRIORS = (ONE, MANY, HELD_OUT)
"""SDSS field 94/1/12; 500 SDSS fields; as many others, to judge a network on fields it never saw.
"""

LIBRARY_SEED = 0
"""Fixed, so that a library always gives the same fields to the same prior."""


def prior_fields(prior: str, library: FieldTable | None) -> FieldTable:
    """The fields of a prior, from a library of real fields if there is one.

    ``many`` takes DEFAULT_FIELDS fields of a library at random, or all if it has no more, and
    ``held_out`` others of the rest. Raises NpecatError where a library does not suit the prior.
    """
    if prior == ONE:
        if library:
            raise NpecatError("--fields belongs to other priors; prior one is field 94/1/12")
        return SINGLE_FIELD
    if library is None:
        return default_fields() if prior == MANY else held_out_fields()
    order = np.random.default_rng(LIBRARY_SEED).permutation(len(library))
    rows = order[:DEFAULT_FIELDS] if prior == MANY else order[DEFAULT_FIELDS : 2 * DEFAULT_FIELDS]
    if len(rows) == 0:
        raise NpecatError(
            f"the library has {len(library)} fields and prior many takes {DEFAULT_FIELDS}, so that "
            "none is left to hold out; import more, or leave --fields for fields of the package"
        )
    return library.take(np.sort(rows))
