"""PSFs that depart from the circular profile."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from npecat.cli import npecat
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.psf_irregularity import convolved, draw_kernel
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.store.reader import Store

LARGEST = 0.03
SIDE = np.arange(-36.0, 37.0)
Y, X = np.meshgrid(SIDE, SIDE, indexing="ij")


def star(parameters):
    return SixNumberPsf.of(parameters).profile(np.hypot(Y, X)).astype(np.float32)


def departure(parameters, kernel) -> float:
    """Rms of the change within 5 pixels, as a share of the peak."""
    before = star(parameters)
    change = convolved(before[None], kernel)[0] - before
    return float(np.sqrt(np.mean(change[np.hypot(Y, X) <= 5] ** 2)) / before.max())


def test_departures_are_uniform_up_to_the_largest():
    fields, generator = default_fields(), np.random.default_rng(0)
    found = np.array(
        [
            departure(p, draw_kernel(SixNumberPsf.of(p), LARGEST, generator=generator))
            for p in fields.psf[:200]
        ]
    )
    assert 0.95 * LARGEST < found.max() < 1.01 * LARGEST
    assert np.median(found) == pytest.approx(LARGEST / 2, rel=0.15)


def test_flux_and_centroid_stay_and_the_shape_does_not():
    parameters, generator = SINGLE_FIELD.psf[0], np.random.default_rng(1)
    before, axes = star(parameters), []
    for _ in range(50):
        kernel = draw_kernel(
            SixNumberPsf.of(parameters), LARGEST / 3, generator=generator
        )  # no pixel becomes negative
        assert kernel.sum() == pytest.approx(1)
        after = convolved(before[None], kernel)[0]
        assert after.min() >= 0 and after.sum() == pytest.approx(before.sum(), rel=1e-3)
        core = after * (np.hypot(Y, X) <= 24)
        centre = [float((axis * core).sum() / core.sum()) for axis in (Y, X)]
        assert np.abs(centre).max() < 0.02
        axes.append([(core * X**2).sum() - (core * Y**2).sum(), (core * X * Y).sum()])
    assert np.std(axes, axis=0).min() > 0.02  # pixel^2


def test_wings_have_lumps_as_far_as_ten_pixels():
    parameters, generator = SINGLE_FIELD.psf[0], np.random.default_rng(2)
    before = star(parameters)
    kernels = [
        draw_kernel(SixNumberPsf.of(parameters), LARGEST, generator=generator) for _ in range(40)
    ]
    relative = [convolved(before[None], kernel)[0] / before - 1 for kernel in kernels]
    for radius in (6, 8, 10):
        ring = np.abs(np.hypot(Y, X) - radius) < 0.6
        spread = np.median([change[ring].std() for change in relative])
        assert 0.1 < spread < 0.4  # of SDSS's: four waves of a tenth to four tenths


def test_images_differ_from_the_regular_ones_by_the_light_of_sources_alone():
    irregular = replace(SINGLE_FIELD, irregularity=LARGEST)
    some, again, regular = [
        simulate_images(fields, 3, split="test", indices=range(6))
        for fields in (irregular, irregular, SINGLE_FIELD)
    ]
    assert np.array_equal(some.images, again.images)
    assert np.array_equal(some.catalog["flux"], regular.catalog["flux"], equal_nan=True)
    change = np.abs(some.images - regular.images).reshape(6, -1)
    assert (change.max(axis=1) > 5e-4).all() and np.median(change) < 1e-5


def test_the_command_keeps_it_in_the_store(tmp_path):
    options = ["simulate", "--prior", "one", "--n", "4", "--out", str(tmp_path), "--workers", "1"]
    done = CliRunner().invoke(npecat, [*options, "--psf-irregularity", "0.03"])
    assert done.exit_code == 0, done.output
    assert Store(tmp_path / "train.zarr").settings.psf_irregularity == LARGEST
    other = CliRunner().invoke(npecat, options)
    assert "psf_irregularity = 0.03 instead of 0.0;" in str(other.exception)
    assert CliRunner().invoke(npecat, [*options, "--psf-irregularity", "0.2"]).exit_code == 2
