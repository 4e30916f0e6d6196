"""Which fields each prior draws from, and that held-out ones are never trained on."""

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.field import SINGLE_FIELD
from npecat_sim.field_model import DEFAULT_FIELDS, draw_fields
from npecat_sim.priors import HELD_OUT, MANY, ONE, prior_fields


def rows(fields) -> set[tuple[float, ...]]:
    return set(map(tuple, np.column_stack([fields.psf, fields.sky])))


def test_held_out_fields_are_a_fixed_disjoint_set():
    many, held_out = prior_fields(MANY, None), prior_fields(HELD_OUT, None)
    assert len(held_out) == len(many) == DEFAULT_FIELDS
    assert not rows(many) & rows(held_out)
    assert not {*map(tuple, many.identity)} & {*map(tuple, held_out.identity)}
    assert prior_fields(HELD_OUT, None).digest == held_out.digest


def test_library_is_divided():
    library = draw_fields(DEFAULT_FIELDS + 30, 7)
    many, held_out = prior_fields(MANY, library), prior_fields(HELD_OUT, library)
    assert (len(many), len(held_out)) == (DEFAULT_FIELDS, 30)
    assert rows(many) | rows(held_out) == rows(library)
    assert len(prior_fields(HELD_OUT, draw_fields(3 * DEFAULT_FIELDS, 7))) == DEFAULT_FIELDS


def test_small_library_leaves_nothing_to_hold_out():
    library = draw_fields(40, 7)
    assert prior_fields(MANY, library).digest == library.digest
    with pytest.raises(NpecatError, match="40 fields and prior many takes 500"):
        prior_fields(HELD_OUT, library)


def test_one_field_needs_no_library():
    assert prior_fields(ONE, None) is SINGLE_FIELD
    with pytest.raises(NpecatError, match="--fields belongs"):
        prior_fields(ONE, draw_fields(3, 0))
