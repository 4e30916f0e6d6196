"""The renderers' benchmark measures what it says."""

import os

import numpy as np
import pytest
from click.testing import CliRunner

from npecat.benchmarks import render_kinds
from npecat.benchmarks.render import (
    LARGE,
    SIMULATORS,
    bench_render,
    images_per_second,
    largest_errors,
    measure_errors,
    one_core,
)
from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import save_library
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.render import galsim_renderer as render


def test_all_renderers_make_the_same_images():
    """Same catalogs, sky and noise; the plain way errs where it cuts the wings of bright stars."""
    made = {name: simulate(0, indices=range(30)) for name, simulate in SIMULATORS.items()}
    reference = made["galsim"]
    sigma = np.sqrt(reference.backgrounds / reference.electrons_per_nmgy[:, None, None])
    for name, batch in made.items():
        np.testing.assert_array_equal(batch.catalog["flux"], reference.catalog["flux"])
        np.testing.assert_array_equal(batch.backgrounds, reference.backgrounds)
        errors = np.abs(batch.images - reference.images) / sigma
        assert np.median(errors.max(axis=(1, 2))) < (2 if name == "plain GalSim" else 0.01)
        assert np.median(errors) < 0.01


def test_speed_is_given_without_and_with_the_write():
    rates = images_per_second(n_images=10, n_rounds=1, seed=0)
    assert rates.keys() == SIMULATORS.keys()
    for without, with_write in rates.values():
        assert without > with_write > 0


def test_one_core_is_given_back():
    before = os.sched_getaffinity(0)
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_errors_are_the_same_for_any_number_of_workers(monkeypatch):
    monkeypatch.setattr("npecat.benchmarks.render.IMAGES_PER_JOB", 3)
    fields = default_fields()
    one, two = [
        measure_errors(fields, 0, n_images=7, workers=workers)[:, :-1] for workers in (1, 2)
    ]
    np.testing.assert_array_equal(one, two)
    assert one.shape == (7, 3) and one[:, 1:].max() < LARGE


def test_errors_over_a_library_are_printed(tmp_path):
    library = tmp_path / "lib.fits"
    save_library(default_fields(), library)
    done = CliRunner().invoke(bench_render, ["--accuracy", "3", "--fields", str(library)])
    assert done.exit_code == 0, done.exception
    assert done.stdout.splitlines()[-1].split()[0] == "compiled"
    assert done.stdout.splitlines()[-1].endswith("100.000%")


def test_fft_over_the_limit_names_the_image(monkeypatch):
    small = render.EXACT.withParams(maximum_fft_size=64)
    monkeypatch.setattr(render, "EXACT", small)
    with pytest.raises(NpecatError, match=r"image \d+, field row 0: GalSimFFTSizeError"):
        largest_errors(SINGLE_FIELD, 0, range(10))


def test_every_kind_of_psf_is_timed_and_compared(monkeypatch):
    few = ("six numbers", "Moffat 2.5", "half steps, lanczos3")
    monkeypatch.setattr(render_kinds, "KINDS", {name: render_kinds.KINDS[name] for name in few})
    done = CliRunner().invoke(bench_render, ["--kinds", "3", "--images", "3", "--rounds", "1"])
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()[-len(few) :]
    for name, line in zip(few, lines, strict=True):
        assert line.startswith(name) and line.endswith("100.000%")
