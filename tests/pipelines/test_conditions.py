"""PSF families of tests, and the comparison of networks under one condition at a time."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from npecat.experiments import trials
from npecat.experiments.conditions import HEADER, compare_conditions
from npecat.experiments.psf_families import FAMILIES
from npecat.experiments.trials import CONDITIONS
from npecat_sim.psf.base import Psf
from npecat_sim.store.reader import Store
from npecat_sim.units import magnitude
from npecat_train.weights import DEFAULT_WEIGHTS


@pytest.mark.parametrize("family", FAMILIES)
def test_family_has_unit_flux_and_the_asked_width_in_the_middle(family):
    generator = np.random.default_rng(2)
    for width in (1.5, 3.3, 6.0):
        psf = FAMILIES[family](generator, width)
        assert isinstance(psf, Psf)
        psf.check(family)
        assert psf.fwhm == pytest.approx(np.hypot(width, 0.75), rel=0.04)  # with the pixel
        stamp = psf.stamp(2 * int(6 * width) + 1)
        assert stamp.sum() == pytest.approx(1, abs=0.02)
        assert stamp.min() > -1e-4 * stamp.max()
        offset = np.arange(len(stamp)) - len(stamp) // 2
        for axis in (0, 1):
            assert (stamp.sum(axis=axis) * offset).sum() == pytest.approx(0, abs=0.02 * width)
    again, other = [FAMILIES[family](np.random.default_rng(seed), 3.0).stamp(21) for seed in (2, 3)]
    np.testing.assert_array_equal(again, FAMILIES[family](np.random.default_rng(2), 3.0).stamp(21))
    assert np.abs(again - other).max() > 1e-3 * again.max()


def test_families_are_as_round_as_they_say():
    """Ellipticity by second moments of the core, 3 to 12 % in shear but for the first family."""
    y, x = np.indices((41, 41)) - 20.0
    for family, draw in FAMILIES.items():
        sizes = []
        for seed in range(6):
            stamp = draw(np.random.default_rng(seed), 4.0).stamp(41) ** 2
            xx, yy, xy = [(stamp * moment).sum() for moment in (x * x, y * y, x * y)]
            sizes.append(np.hypot(xx - yy, 2 * xy) / (xx + yy) / 2)
        if family == "round":
            assert max(sizes) < 1e-6
        elif family != "aberrated":
            assert min(sizes) > 0.02 and max(sizes) < 0.13


def test_conditions_are_as_deep_as_sdss_and_as_they_are_named():
    for name, one in CONDITIONS.items():
        drawn = one.draw(5, 3)
        electrons = drawn.electrons_per_nmgy
        assert electrons == pytest.approx(990)
        per_area = drawn.variance.mean() / electrons / drawn.pixel_scale**2
        assert per_area == pytest.approx(5.6, rel=1e-6)
        noise = drawn.sigma * np.sqrt(drawn.effective_pixels)
        width_px = drawn.psf_shape[0]
        if name.startswith("width_"):
            assert drawn.psf_shape[0] == pytest.approx(float(name[6:]))
        elif drawn.pixel_scale < 1:
            assert abs(magnitude(10 * noise) - 22) < 1
            assert 0.6 <= width_px * drawn.pixel_scale <= 1.81
        if name.startswith("density_"):
            assert drawn.catalog_prior.density == pytest.approx(float(name[8:]))
        assert (drawn.psf_kind == 4) == (name in ("aberrated", "von_karman", "double_gaussian"))
    assert CONDITIONS["stars_1.5e-2"].draw(5, 3).star_share == 1
    assert CONDITIONS["correlated"].draw(5, 3).correlation > 0


def test_command_compares_a_network_with_sep(tmp_path, monkeypatch):
    crowded = replace(
        CONDITIONS["elliptical"].survey,
        sources=replace(CONDITIONS["elliptical"].survey.sources, density=(4e-3, 4e-3)),
    )
    monkeypatch.setitem(CONDITIONS, "elliptical", replace(CONDITIONS["elliptical"], survey=crowded))
    monkeypatch.setattr(trials, "ProcessPoolExecutor", InThisProcess)
    words = ["--data", str(tmp_path), "--images", "12", "--only", "elliptical"]
    for _ in range(2):  # the second time with the store of the first
        said = CliRunner().invoke(
            compare_conditions, [*words, str(DEFAULT_WEIGHTS)], catch_exceptions=False
        )
        lines = (tmp_path / "conditions.md").read_text().splitlines()
        assert said.output.splitlines()[-len(lines) - 1 : -1] == lines
        cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
        assert tuple(cells[0]) == HEADER and len(cells) == 4
        assert {row[0] for row in cells[2:]} == {"elliptical"}
        assert [row[1] for row in cells[2:]] == ["SEP", "psf_aware"]
        of_sep, of_network, gain = float(cells[2][2]), float(cells[3][2]), float(cells[3][3])
        assert of_network > 0.4 and gain == pytest.approx(of_network - of_sep, abs=2e-3)
    store = Store(tmp_path / "compiled" / "elliptical" / "test.zarr")
    assert len(store) == 12 and set(store.array("psf_kind")) == {2}


class InThisProcess:
    """A pool of processes that starts none."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    map = staticmethod(map)
