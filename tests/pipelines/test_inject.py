"""Injection: light, noise and bookkeeping are right, and a known cataloger gets its known score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sep
import torch
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from npecat.commands.inject import inject as inject_command
from npecat_eval.catalog.detections import Detections
from npecat_eval.real_images.injection import EDGES, MERGED_RADIUS, injection_test, recover, summary
from npecat_eval.real_images.injection_report import draw_injection_test, injection_text
from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.injection import CELL, MAGNITUDES, draw_injection, inject
from npecat_sim.units import magnitude
from npecat_train import checkpoint
from tests.helpers.survey_images import ELECTRONS, SKY, survey_image
from tests.train.test_tile_network import settings as untrained

PSF = SINGLE_FIELD.psf_of(0)
PRIOR = CatalogPrior()


def empty_image(height: int = 330, width: int = 460, seed: int = 0) -> SurveyImage:
    """Sky with its noise."""
    return survey_image(height, width, n_stars=0, seed=seed)


def detections(x, y, flux=5.0, prob_galaxy=0.0) -> Detections:
    x, y = np.atleast_1d(x).astype(float), np.atleast_1d(y).astype(float)
    columns = (
        np.broadcast_to(value, x.shape).astype(float) for value in (flux, 1.0, 1.0, prob_galaxy)
    )
    return Detections(np.zeros(len(x), np.int64), x, y, *columns)


def test_drawn_sources_do_not_crowd_and_follow_their_law():
    image = empty_image(1489, 2048)
    sources = draw_injection(image, PRIOR, seed=5, round_number=0)
    n = len(sources["x"])
    assert n == (1489 // CELL) * (2048 // CELL)
    assert abs(sources["is_galaxy"].sum() - n / 2) < 1
    distance = np.hypot(*(np.subtract.outer(sources[a], sources[a]) for a in ("x", "y")))
    assert distance[~np.eye(n, dtype=bool)].min() > CELL / 2
    assert sources["x"].min() > 0 and sources["x"].max() < 2047
    assert sources["y"].min() > 0 and sources["y"].max() < 1488
    share, _ = np.histogram(magnitude(sources["flux"]), EDGES)
    assert share.sum() == n and share.min() > 0.5 * n / len(share)
    assert magnitude(sources["flux"]).min() > MAGNITUDES[0]
    assert np.isnan(sources["angle"][~sources["is_galaxy"]]).all()
    again = draw_injection(image, PRIOR, seed=5, round_number=0)
    assert all(np.array_equal(again[k], sources[k], equal_nan=True) for k in sources)
    for other in ((6, 0), (5, 1)):
        assert not np.array_equal(
            draw_injection(image, PRIOR, seed=other[0], round_number=other[1])["x"], sources["x"]
        )


def test_no_source_is_put_where_nothing_is_seen():
    image = empty_image()
    everywhere = draw_injection(image, PRIOR, seed=0, round_number=0)
    image.flags[:, 200:] = PixelFlag.NO_DATA
    image.flags[:, :100] = PixelFlag.SATURATED
    image.flags[:, 100:200] = PixelFlag.INTERPOLATED
    x = draw_injection(image, PRIOR, seed=0, round_number=0)["x"]
    assert 0 < len(x) < len(everywhere["x"])
    assert ((x > 99) & (x < 200)).all()


def test_light_and_its_photon_noise_are_added_and_nothing_else():
    image = empty_image(200, 200)
    image.flags[:, 150:] = PixelFlag.NO_DATA
    image.image[:, 150:] = 0
    sources = draw_injection(image, PRIOR, seed=1, round_number=0)
    sources["flux"][:] = 300.0
    light = draw_field(sources, PSF, shape=(200, 200), sky_sigma=np.sqrt(SKY / ELECTRONS))
    drawn = [inject(image, sources, seed=seed, round_number=0).image for seed in range(150)]
    added = np.array([one - image.image for one in drawn])
    bright = light > 0.05
    bright[:, 150:] = False
    assert bright.sum() > 500
    deviation = (added.mean(axis=0) - light)[bright] / np.sqrt(light[bright] / ELECTRONS / 150)
    assert abs(deviation.mean()) < 0.2 and 0.9 < deviation.std() < 1.1
    variance = added.var(axis=0, ddof=1)[bright] / (light[bright] / ELECTRONS)
    assert variance.mean() == pytest.approx(1, abs=0.03)
    assert not added[:, :, 150:].any()
    first = inject(image, sources, seed=7, round_number=2)
    again = inject(image, sources, seed=7, round_number=2)
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, inject(image, sources, seed=7, round_number=3).image)
    assert np.array_equal(first.flags, image.flags)


def test_a_source_that_was_there_before_recovers_nothing():
    there = detections([50, 100], [50, 100])
    x, y = np.array([50.6, 100 + MERGED_RADIUS + 0.1, 200]), np.array([50.0, 100, 200])
    unchanged = recover(there, there, x=x, y=y)
    assert (unchanged.detection == -1).all()
    np.testing.assert_array_equal(unchanged.merged, [True, False, False])

    # the old source keeps its detection, even one that moved towards the added source
    moved = detections([50, 100.8, 102.0, 200.4], [50, 100, 100, 200.9])
    found = recover(there, moved, x=x, y=y)
    np.testing.assert_array_equal(found.detection, [-1, 2, 3])
    too_far = detections([200.8], [200.7])
    assert (recover(there, too_far, x=x, y=y).detection == -1).all()
    np.testing.assert_array_equal(recover(detections([], []), moved, x=x, y=y).merged, [False] * 3)


def write_weights(path: Path) -> None:
    """A checkpoint with random weights that gives sources in many tiles."""
    settings = untrained()
    torch.manual_seed(0)
    network = settings.build_network()
    torch.nn.init.normal_(network.head.weight)
    checkpoint.save(path, network.state_dict(), settings=settings, state={})


def known_cataloger(image: SurveyImage) -> Detections:
    """SEP's barycentres, half of the flux within 15 pixels, and all of them called galaxies."""
    pixels = image.image.astype(np.float64)
    found = sep.extract(pixels, 4.0, err=np.sqrt(SKY / ELECTRONS))
    flux, _, _ = sep.sum_circle(pixels, found["x"], found["y"], 15.0)
    kept = flux > 0
    return detections(found["x"][kept], found["y"][kept], 0.5 * flux[kept], 0.8)


def test_known_cataloger_gets_its_score(tmp_path):
    table = injection_test(empty_image(560, 700), known_cataloger, rounds=2, seed=2)
    assert len(np.unique(table["round"])) == 2 and not table["merged"].any()
    result = summary(table)
    assert len(result) == 2 * (len(EDGES) - 1)
    bright = result[(result["mag_high"] <= 19) & (result["type"] == "star")]
    assert (bright["recovered"] == 1).all() and bright["recovered_n"].sum() > 20
    np.testing.assert_allclose(bright["flux_ratio"], 0.5, rtol=0.03)
    assert (bright["right_type"] == 0).all()
    faint = result[result["mag_low"] == 22.5]
    assert (faint["recovered"] < 0.5).all()
    assert (result["right_type"][(result["type"] == "galaxy")][:4] == 1).all()
    again = injection_test(empty_image(560, 700), known_cataloger, rounds=2, seed=2)
    assert all(np.array_equal(table[n], again[n], equal_nan=True) for n in ("x", "found_flux"))

    lines = injection_text(result, band="i").splitlines()
    assert lines[0].startswith("true i")
    assert len(lines) == 1 + len(result) and any("-0.50" in line for line in lines)
    for name in ("a.png", "b.png"):
        draw_injection_test(result, tmp_path / name, band="i")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_merged_sources_are_in_no_figure():
    image = empty_image()
    sources = draw_injection(image, PRIOR, seed=0, round_number=0)
    bright = {**sources, "flux": np.full(len(sources["x"]), 100.0)}
    crowded = inject(image, bright, seed=9, round_number=9)
    table = injection_test(crowded, known_cataloger, rounds=1, seed=0)
    assert table["merged"].mean() > 0.9
    assert summary(table)["recovered_n"].sum() == (~table["merged"]).sum()


def test_command_prints_and_writes_the_same_bytes_again(tmp_path):
    frame, weights = tmp_path / "sky.fits", tmp_path / "weights.safetensors"
    fits.writeto(frame, ELECTRONS * empty_image(150, 200).image)  # a gain of 1
    write_weights(weights)
    written = []
    for name in ("a", "b"):
        plot, output = tmp_path / f"{name}.png", tmp_path / f"{name}.ecsv"
        words = f"{frame} --zeropoint {22.5 + 2.5 * np.log10(ELECTRONS)} --gain 1 --fwhm 1.5"
        words += f" --sky {SKY * ELECTRONS} --checkpoint {weights} --rounds 2 --seed 3"
        words += f" --plot {plot} -o {output}"
        result = CliRunner().invoke(inject_command, words.split(), catch_exceptions=False)
        assert result.exit_code == 0
        assert "12 sources added in 2 rounds" in result.output
        written.append((plot.read_bytes(), output.read_bytes()))
    assert written[0] == written[1]
    table = Table.read(output)
    assert len(table) == 12 and table["flux"].unit == "nmgy"


def test_image_that_holds_no_cell_is_refused():
    image = empty_image(60, 300)
    with pytest.raises(NpecatError, match=r"frame-test\.fits: 300 x 60 pixels are too few"):
        injection_test(image, known_cataloger, rounds=1, seed=0)
    image = empty_image()
    image = replace(image, flags=np.full_like(image.flags, PixelFlag.SATURATED))
    with pytest.raises(NpecatError, match=r"frame-test\.fits: no place"):
        injection_test(image, known_cataloger, rounds=1, seed=0)
