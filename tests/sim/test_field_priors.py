"""Which fields each prior draws from, and that held-out ones are never trained on."""

from pathlib import Path

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import load_library, save_library
from npecat_sim.fields.sdss_statistics import DEFAULT_FIELDS, draw_fields
from npecat_sim.fields.table import SINGLE_FIELD, FieldTable
from npecat_sim.simulation.field_priors import HELD_OUT, MANY, ONE, prior_fields


def saved(folder: Path, n: int) -> tuple[Path, FieldTable]:
    """A library of n fields, and its content."""
    path = folder / f"{n}.fits"
    save_library(draw_fields(n, 7), path)
    return path, load_library(path)


def rows(fields) -> set[tuple[float, ...]]:
    return set(map(tuple, np.column_stack([fields.psf, fields.sky])))


def test_held_out_fields_are_a_fixed_disjoint_set():
    many, held_out = prior_fields(MANY, None), prior_fields(HELD_OUT, None)
    assert len(held_out) == len(many) == DEFAULT_FIELDS
    assert not rows(many) & rows(held_out)
    assert not {*map(tuple, many.identity)} & {*map(tuple, held_out.identity)}
    assert prior_fields(HELD_OUT, None).digest == held_out.digest


def test_library_is_divided(tmp_path):
    path, library = saved(tmp_path, DEFAULT_FIELDS + 30)
    many, held_out = prior_fields(MANY, path), prior_fields(HELD_OUT, path)
    assert (len(many), len(held_out)) == (DEFAULT_FIELDS, 30)
    assert rows(many) | rows(held_out) == rows(library)
    large, _ = saved(tmp_path, 3 * DEFAULT_FIELDS)
    assert len(prior_fields(HELD_OUT, large)) == DEFAULT_FIELDS


def test_small_library_leaves_nothing_to_hold_out(tmp_path):
    path, library = saved(tmp_path, 40)
    assert prior_fields(MANY, path).digest == library.digest
    with pytest.raises(NpecatError, match=r"40.fits has 40 fields and prior many takes 500"):
        prior_fields(HELD_OUT, path)


def test_one_field_needs_no_library():
    assert prior_fields(ONE, None) is SINGLE_FIELD
    with pytest.raises(NpecatError, match="takes no field library"):
        prior_fields(ONE, Path("any.fits"))
