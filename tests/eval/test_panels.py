"""An image in panels has the catalog that it has in one piece."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

import npecat
from npecat_eval import panels
from npecat_eval.survey_catalog import catalog_survey_image
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from tests.helpers.counts import TOLD, flux_of, noisy, starlight

HEIGHT, WIDTH, PANEL = 330, 330, 100


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """60 stars, some of them on the borders of panels; a corner holds no data."""
    generator = np.random.default_rng(4)
    x, y = generator.uniform((12, 12), (WIDTH - 12, HEIGHT - 12), (60, 2)).T
    x[:8], y[8:16] = PANEL - 0.5 + np.linspace(-0.4, 0.4, 8), 2 * PANEL - 0.5
    magnitudes = generator.uniform(17, 20, 60)
    places, flux = np.column_stack([x, y]), flux_of(magnitudes)
    image = noisy(starlight(places, flux, size=WIDTH, shape="3.0"), seed=1)
    image[3 * PANEL :, 3 * PANEL :] = np.nan
    return image


@pytest.fixture
def in_small_panels(monkeypatch):
    monkeypatch.setattr(panels, "PANEL", PANEL)
    monkeypatch.setattr(panels, "MARGIN", 48)


def opened(counts: np.ndarray, cut: str | None = None) -> SurveyImage:
    x0, x1, y0, y1 = 0, WIDTH, 0, HEIGHT
    if cut:
        (x0, x1), (y0, y1) = [map(int, part.split(":")) for part in cut.split(",")]
    part = image_from_arrays(
        counts[y0:y1, x0:x1],
        psf=1.6,
        trust_psf=True,
        **TOLD,
    )
    return replace(part, corner=(x0, y0))


def test_panels_list_what_one_piece_lists_once(counts, in_small_panels):
    model, told = npecat.load(), []
    whole = catalog_survey_image(opened(counts), model).rows
    found = panels.catalog_in_panels(
        lambda cut: opened(counts, cut),
        model,
        size=(WIDTH, HEIGHT),
        n_draws=20,
        seed=0,
        told=told.append,
    )
    assert len(told) == 16  # that of the corner holds some data
    bright = whole[whole["mag_r"] < 20.5]
    places = np.column_stack([found.rows["x"], found.rows["y"]])
    distance, row = KDTree(places).query(np.column_stack([bright["x"], bright["y"]]))
    assert len(bright) >= 55 and distance.max() < 0.3
    assert np.abs(found.rows["mag_r"][row] - bright["mag_r"]).max() < 0.1
    assert len(KDTree(places).query_pairs(panels.SAME_SOURCE)) == 0
    of_bright = np.isin(found.drawn["source"], row)
    drawn = found.drawn[of_bright]
    shift = np.hypot(
        drawn["x"] - found.rows["x"][drawn["source"]], drawn["y"] - found.rows["y"][drawn["source"]]
    )
    assert np.quantile(shift, 0.9) < 0.3 and shift.max() < 3
    counts_of_draws = np.bincount(drawn["source"], minlength=len(found.rows))[row]
    assert np.median(counts_of_draws) == 20 and counts_of_draws.min() >= 10
    assert np.all(found.flags[3 * PANEL :, 3 * PANEL :] & PixelFlag.NO_DATA)
    assert not np.any(found.flags[: 3 * PANEL] & PixelFlag.NO_DATA)


def test_an_image_without_any_data_is_refused(in_small_panels):
    empty = np.full((HEIGHT, WIDTH), np.nan)
    with pytest.raises(NpecatError, match="no panel"):
        panels.catalog_in_panels(
            lambda cut: opened(empty, cut),
            npecat.load(),
            size=(WIDTH, HEIGHT),
            n_draws=0,
            seed=0,
            told=print,
        )


def test_panels_cover_every_pixel_once(in_small_panels):
    seen = np.zeros((HEIGHT, WIDTH), int)
    for left, bottom, right, top in panels.boxes(WIDTH, HEIGHT):
        seen[bottom:top, left:right] += 1
    assert np.all(seen == 1)
