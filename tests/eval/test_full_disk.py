"""Every kind of file is refused in the same words where the disk is full, and nothing is left."""

import gc
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure

from npecat_eval.catalog.formats import FORMATS, write_table
from npecat_eval.pictures.style import save_figure
from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import save_library
from npecat_sim.fields.sdss_statistics import draw_fields
from npecat_sim.io.storage import write

N = 20_000
"""Rows or points: more than the disk has room for in any format."""


def _figure(path: Path) -> None:
    figure = Figure()
    figure.subplots().imshow(np.random.default_rng(0).random((400, 400)), interpolation="none")
    save_figure(figure, path)


def _table(path: Path) -> None:
    generator = np.random.default_rng(0)
    columns = {name: generator.random(N) for name in ("x", "y", "ra", "dec", "flux")}
    write_table(Table(columns), path)


WRITERS = {
    ".pdf": _figure,
    ".png": _figure,
    ".json": lambda path: write(path, bytes(N)),
    ".lib.fits": lambda path: save_library(draw_fields(N, 0), path),
    **{suffix: _table for suffix in FORMATS if suffix != ".reg"},
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_is_told_alike_for_every_kind_of_file(small_disk, suffix):
    path = small_disk / f"out{suffix}"
    free = shutil.disk_usage(small_disk).free
    (small_disk / "other").write_bytes(bytes(free - 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that libraries leave open
        with pytest.raises(NpecatError) as full:
            WRITERS[suffix](path)
        gc.collect()
    assert str(full.value) == (
        f"{path}: cannot be written (No space left on device); free space and run the same "
        "command again"
    )
    assert [file.name for file in small_disk.iterdir()] == ["other"]
