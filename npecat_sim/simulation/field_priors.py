"""The priors over fields from which images are simulated, by name."""

from pathlib import Path

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.image_library import load_image_library
from npecat_sim.fields.images import Fields
from npecat_sim.fields.library import load_library
from npecat_sim.fields.sdss_statistics import DEFAULT_FIELDS, default_fields, held_out_fields
from npecat_sim.fields.table import SINGLE_FIELD

ONE, MANY, HELD_OUT, WIDE = "one", "many", "held_out", "wide"
PRIORS = (ONE, MANY, HELD_OUT, WIDE)
"""SDSS field 94/1/12; 500 SDSS fields; 500 others, to test a network on fields that it was not
trained on; and any telescope, of whose images some are as those of the 500 fields."""

LIBRARY_SEED = 0
"""Seed of the order in which fields are taken; it is fixed, so that a prior and a library always
give the same fields."""


def prior_fields(prior: str, library: Path | None) -> Fields:
    """The fields of a prior, from a library file of real fields or images if one is given.

    ``many`` takes DEFAULT_FIELDS random fields of a library, or all fields if it has fewer;
    ``held_out`` takes at most as many of the remaining fields; ``wide`` takes all images of a
    library of one's own.

    Parameters
    ----------
    prior : str
        One of PRIORS.
    library : Path or None
        A field library, or for ``wide`` one of images; None for the fields of the package.

    Returns
    -------
    FieldTable or ImageTable

    Raises
    ------
    NpecatError
        If the library cannot be read or does not suit the prior.
    """
    if library and prior == ONE:
        raise NpecatError(
            f"prior {prior} is field 94/1/12 and takes no field library", parameters=("fields",)
        )
    if prior == ONE:
        return SINGLE_FIELD
    if library is None:
        return held_out_fields() if prior == HELD_OUT else default_fields()
    if prior == WIDE:
        return load_image_library(library)
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
