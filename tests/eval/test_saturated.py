"""Saturated stars: each has one flagged row, with the flux that its wings tell, or none."""

import numpy as np
import pytest
from scipy.spatial import KDTree

import npecat
from npecat_eval.catalog.flags import SourceFlag
from npecat_eval.catalog.reconstruction import Reconstruction
from npecat_eval.survey_catalog import SurveyCatalog, catalog_survey_image
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.units import PIXEL_SCALE
from tests.helpers.counts import FWHM, TOLD, flux_of, noisy, starlight

SIZE, CLIP = 512, 6000.0
"""Pixels along each side, and the counts at which pixels are full."""

CLIPPED = np.array([(100, 100), (300, 100), (420, 250), (100, 300), (300, 300), (420, 420)]) + 0.3
"""Places of saturated stars."""

MAGNITUDES = np.arange(10, 16.0)
"""Of the saturated stars."""

CORE = 4.0
"""Pixels from a saturated star within which nothing else is listed."""


@pytest.fixture(scope="module")
def model():
    """The network of the package."""
    return npecat.load()


def clipped_counts(shape: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts of CLIPPED stars among fainter ones, and the places of these (star, 2)."""
    generator = np.random.default_rng(5)
    grid = np.array([(x, y) for x in range(30, 500, 60) for y in range(30, 500, 60)])
    faint = grid + generator.uniform(-2, 2, grid.shape)
    faint = faint[KDTree(CLIPPED).query(faint)[0] > 45]
    light = starlight(CLIPPED, flux_of(MAGNITUDES), size=SIZE, shape=shape, stamp=200)
    magnitudes = generator.uniform(17, 19, len(faint))
    light += starlight(faint, flux_of(magnitudes), size=SIZE, shape=shape)
    return np.minimum(noisy(light), np.float32(CLIP)), faint


def catalog_of(counts: np.ndarray, model) -> SurveyCatalog:
    """The catalog, told that stars are FWHM wide."""
    image = npecat.image_from_arrays(counts, psf=FWHM * PIXEL_SCALE, **TOLD)
    return catalog_survey_image(image, model)


def place(rows) -> np.ndarray:
    """x and y of rows: (row, 2)."""
    return np.column_stack([rows["x"], rows["y"]])


@pytest.fixture(scope="module")
def of_psf(model):
    """The catalog of an image whose stars have the PSF that is told, and its faint stars."""
    counts, faint = clipped_counts("psf")
    return catalog_of(counts, model), faint


@pytest.mark.parametrize(("shape", "max_error"), [("psf", 0.05), ("2.5", 0.7), ("3.0", 0.7)])
def test_every_saturated_star_has_one_flagged_row_and_its_flux(model, of_psf, shape, max_error):
    counts, faint = clipped_counts(shape)
    found = of_psf[0] if shape == "psf" else catalog_of(counts, model)
    assert found.image.findings.saturation == pytest.approx(CLIP, rel=0.02)
    rows = found.rows
    saturated = rows[(rows["flags"] & SourceFlag.SATURATED) != 0]
    distance, star = KDTree(CLIPPED).query(place(saturated))
    assert sorted(star) == list(range(len(CLIPPED))) and distance.max() < 0.2
    n_in_core = KDTree(place(rows)).query_ball_point(CLIPPED, CORE, return_length=True)
    assert n_in_core.max() == 1
    error = saturated["mag_r"] - MAGNITUDES[star]
    assert np.abs(error).max() < max_error
    flux, sigma = saturated["flux_r"], saturated["flux_r_sigma"]
    if shape == "psf":
        truth = 10 ** (0.4 * (22.5 - MAGNITUDES[star]))
        assert (np.abs(flux - truth) < 3 * sigma).all()
    assert (saturated["flux_r_q16"] < flux).all() and (flux < saturated["flux_r_q84"]).all()
    assert (sigma < 0.6 * flux).all() and not saturated["prob_galaxy"].any()
    # The other stars are all there, and nothing was missed.
    assert (KDTree(place(rows)).query(faint)[0] < 1).mean() > 0.97
    assert len(rows) < len(faint) + len(CLIPPED) + 6 and len(found.missed) == 0


def test_draws_and_rows_number_the_same_sources(of_psf):
    found, _ = of_psf
    n, rows = 50, found.rows
    draws = found.draws(n, seed=3)
    assert len(rows) == len(found) and (np.diff(draws["draw"]) >= 0).all()
    own = draws[draws["source"] >= 0]
    assert own["source"].max() == len(rows) - 1
    distance = np.hypot(*(place(own) - place(rows)[own["source"]]).T)
    assert np.quantile(distance, 0.99) < 1
    is_saturated = (rows["flags"][own["source"]] & SourceFlag.SATURATED) != 0
    times = np.bincount(own["source"][is_saturated], minlength=len(rows))
    assert times[times > 0].tolist() == [n] * len(CLIPPED)
    for row in np.flatnonzero(times):
        flux = own["flux_r"][own["source"] == row]
        low, middle, high = [rows[row][f"flux_r_q{level}"] for level in (16, 50, 84)]
        assert low < np.median(flux) < high
        assert 0.5 < np.log(flux / middle).std() / np.log(high / middle) < 1.5
    # No tile gives a saturated star once more.
    _, star = KDTree(CLIPPED).query(place(draws))
    near = np.hypot(*(place(draws) - CLIPPED[star]).T) < CORE
    assert near.sum() == n * len(CLIPPED)
    assert found.samples(3, seed=1).colnames == draws.colnames


def test_halos_are_flagged_and_the_stars_are_subtracted(of_psf):
    found, _ = of_psf
    image, rows = found.image, found.rows
    y, x = np.indices(image.flags.shape)
    halo = (image.flags & PixelFlag.HALO) != 0
    reach = [np.hypot(x - at[0], y - at[1])[halo].min() < 1 for at in CLIPPED]
    assert all(reach) and 0.01 < halo.mean() < 0.2
    of_brightest, of_faintest = [
        halo[np.hypot(x - at[0], y - at[1]) < 40].mean() for at in (CLIPPED[0], CLIPPED[-1])
    ]
    assert of_brightest > 3 * of_faintest
    in_halo = halo[np.rint(rows["y"]).astype(int), np.rint(rows["x"]).astype(int)]
    assert ((rows["flags"] & SourceFlag.HALO) != 0)[in_halo].all()
    rebuilt = Reconstruction.of(image, found.detections)
    for at in CLIPPED:
        distance = np.hypot(x - at[0], y - at[1])
        ring = (distance > 9) & (distance < 14)
        assert abs(np.median(rebuilt.residual[ring])) < 0.1 * np.median(image.image[ring])


def rows_near(found: SurveyCatalog, x: float, y: float):
    """Rows within 6 pixels of a place."""
    rows = found.rows
    return rows[np.hypot(rows["x"] - x, rows["y"] - y) < 6]


def test_a_star_whose_wings_tell_no_flux_has_none(model, tmp_path):
    counts, _ = clipped_counts("gauss")  # wings that fall within the noise
    found = catalog_of(counts, model)
    for at in CLIPPED:
        [row] = rows_near(found, *at)
        assert row["flags"] & SourceFlag.SATURATED and np.isnan(row["flux_r"])
    draws = found.draws(2)
    last = draws["source"] == len(found) - 1
    assert last.sum() == 2 and np.isnan(draws["flux_r"][last]).all()
    assert len(found.detections) == len(found) - len(CLIPPED)
    assert all((found.image.flags[round(y), round(x)] & PixelFlag.HALO) for x, y in CLIPPED)
    for suffix in (".fits", ".ecsv", ".vot", ".csv", ".reg"):
        found.write(tmp_path / f"catalog{suffix}")


def test_edges_and_trails_of_charge_take_no_other_source_with_them(model):
    counts, faint = clipped_counts("psf")
    # A star whose centre lies beyond the edge, and one whose core touches it.
    for left, has_flux in ((103, False), (96, True)):
        found = catalog_of(np.ascontiguousarray(counts[:, left:]), model)
        [row] = rows_near(found, max(100.3 - left, 2), 100.3)
        assert row["flags"] & SourceFlag.SATURATED
        assert np.isfinite(row["flux_r"]) == has_flux != bool(row["flags"] & SourceFlag.EDGE)
    # A trail through all of the image, from a star of r = 12, and one that belongs to none.
    trail = counts.copy()
    trail[:, 419:422] = CLIP
    trail[:, 190:192] = CLIP
    found = catalog_of(trail, model)
    [row] = rows_near(found, 420.3, 250.3)
    assert row["mag_r"] == pytest.approx(12, abs=0.1)
    [row] = rows_near(found, 190.5, 255.5)
    assert row["flags"] & SourceFlag.SATURATED and np.isnan(row["flux_r"])
    assert row["x_sigma"] > 100
    free = faint[(np.abs(faint[:, 0] - 420) > 8) & (np.abs(faint[:, 0] - 190.5) > 8)]
    distance, _ = KDTree(place(found.rows)).query(free)
    assert (distance < 1).mean() > 0.97


def test_a_few_saturated_pixels_are_no_star(model):
    counts = noisy(np.zeros((100, 100)))
    counts[50, 40:43] = 9000
    image = npecat.image_from_arrays(counts, psf=FWHM * PIXEL_SCALE, saturate=8000.0, **TOLD)
    assert ((image.flags & PixelFlag.SATURATED) != 0).sum() == 3
    found = catalog_survey_image(image, model)
    assert len(found.saturated) == 0
    assert not (found.rows["flags"] == 0)[
        np.hypot(found.rows["x"] - 41, found.rows["y"] - 50) < 3
    ].any()
