"""The comparison of encodings of the PSF."""

from functools import partial

import pytest
from click.testing import CliRunner

from npecat.experiments import trials
from npecat.experiments.psf_encodings import HEADER, compare_encodings
from npecat_sim.wide.survey import Survey
from npecat_train.checkpoint import BEST
from npecat_train.network.psf_autoencoder import fit_encoder
from npecat_train.network.tile_network import NETWORKS, NetworkSize
from npecat_train.training import loop
from tests.helpers.stores import write_store
from tests.pipelines.test_conditions import InThisProcess

VARIANTS = ["wide", "wide_autoencoder"]


def test_command_trains_the_variants_and_compares_them(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "default", NetworkSize((4,), (4,), 8, 4, (1, 1), (1, 2)))
    monkeypatch.setattr(loop, "fit_encoder", partial(fit_encoder, steps=5))
    monkeypatch.setattr(trials, "ProcessPoolExecutor", InThisProcess)
    crowded = trials.condition("elliptical", "elliptical", density=4e-3)
    monkeypatch.setitem(trials.CONDITIONS, "elliptical", crowded)
    for split, n_images in (("train", 16), ("validation", 8)):
        write_store(tmp_path / "data", split, n_images, "wide", survey=Survey())

    words = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs"), "--images", "8"]
    words += ["--family", "elliptical", *(w for name in VARIANTS for w in ("--variant", name))]
    said = []
    for _ in range(2):  # the second time with the networks and the store of the first
        result = CliRunner().invoke(compare_encodings, words, catch_exceptions=False)
        assert result.exit_code == 0
        said.append(result.output[result.output.index("| family") :].splitlines())
        said.append([(tmp_path / "runs" / name / BEST).read_bytes() for name in VARIANTS])
    assert said[:2] == said[2:]

    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in said[0] if line]
    assert tuple(cells[0]) == HEADER
    rows = [dict(zip(HEADER, row, strict=True)) for row in cells[2:]]
    assert [(row["family"], row["variant"]) for row in rows] == [
        ("elliptical", name) for name in VARIANTS
    ]
    for row in rows:
        factors = sum(float(row[name]) for name in ("source", "position", "type", "flux"))
        assert float(row["NLL"]) == pytest.approx(factors, abs=3e-3)
        over = float(row["over the first"].split()[0])
        assert over == pytest.approx(float(row["NLL"]) - float(rows[0]["NLL"]), abs=2e-3)
