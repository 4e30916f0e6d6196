"""The catalog is held against the image: bright sources without a row, and pixels not searched."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.spatial import KDTree

from npecat_eval.catalog.bright import BrightSources
from npecat_eval.catalog.footprint import NOT_SEARCHED, write_mask
from npecat_eval.survey_catalog import catalog_survey_image
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.units import PIXEL_SCALE
from tests.helpers.counts import FWHM, TOLD, flux_of, noisy, starlight
from tests.helpers.survey_images import random_model, survey_image

PLACES = np.array([(40.0, 40), (100, 40), (160, 40), (40, 100), (100, 100), (160, 100), (40, 160)])
"""Of bright stars."""

FAINT, AT_EDGE = (160.0, 160.0), (100.0, 197.5)
"""A star whose SNR is below 20, and a bright one whose core goes beyond the image."""

MASKED = {1: PixelFlag.NO_DATA, 2: PixelFlag.COSMIC_RAY, 3: PixelFlag.SATURATED}
"""Index of a star in PLACES -> flag in its core."""


@pytest.fixture(scope="module")
def image():
    """An image of these stars, without the flags."""
    places = np.array([*PLACES, FAINT, AT_EDGE])
    magnitudes = np.array([16.0, 17, 17, 17, 17, 18, 19, 22.5, 16])
    counts = noisy(starlight(places, flux_of(magnitudes), size=200, shape="psf"))
    return image_from_arrays(counts, psf=FWHM * PIXEL_SCALE, **TOLD)


@pytest.fixture(scope="module")
def flagged(image):
    """The same, with the flags of MASKED, and all of it crowded."""
    flags = image.flags | PixelFlag.CROWDED
    for star, flag in MASKED.items():
        x, y = PLACES[star].astype(int)
        flags[y - 1 : y + 2, x - 1 : x + 2] |= flag
    return replace(image, flags=flags)


def _star_of(found: BrightSources) -> list[int]:
    """The index in PLACES of each detection."""
    distance, star = KDTree(PLACES).query(np.column_stack([found.x, found.y]))
    assert distance.max() < 0.2
    return star.tolist()


def test_bright_sources_are_those_that_a_catalog_must_hold(image, flagged):
    found = BrightSources.of(image)
    star = _star_of(found)
    assert sorted(star) == list(range(len(PLACES)))
    assert found.snr.min() > 20 and found.flux.argmax() == star.index(0)
    unflagged = BrightSources.of(flagged)
    assert sorted(_star_of(unflagged)) == [n for n in range(len(PLACES)) if n not in MASKED]


def test_a_row_belongs_to_a_detection_within_three_quarters_of_the_fwhm(image):
    found = BrightSources.of(image)
    for shift, n_missed in ((2.5, 0), (2.7, len(found))):  # pixels; the FWHM is 3.5
        assert len(found.without(found.x + shift, found.y, fwhm=FWHM)) == n_missed
    assert len(found.without(found.x[1:], found.y[1:], fwhm=FWHM)) == 1
    nothing = np.zeros(0)
    assert len(found.without(nothing, nothing, fwhm=FWHM)) == len(found)
    none = BrightSources(nothing, nothing, nothing, nothing)
    assert len(none.without(found.x, found.y, fwhm=FWHM)) == 0


def test_a_network_that_finds_nothing_leaves_every_bright_source_in_the_table(flagged):
    blind = random_model()
    blind.network.head.bias.data[0] = -1e3
    found = catalog_survey_image(flagged, blind)
    own = found.rows["flags"] & PixelFlag.SATURATED != 0
    assert own.all() and len(found.rows) == 1  # the network has no say in saturated stars
    assert found.n_missed == found.n_bright == len(PLACES) - len(MASKED)
    table = found.missed_rows
    assert table.colnames == ["ra", "dec", "x", "y", "flux_r", "mag_r", "snr"]
    assert table["flux_r"].unit == "nmgy" and all(column.description for column in table.itercols())
    assert found.rows.meta["NMISSED"] == found.rows.meta["NBRIGHT"] == len(table)
    truth = {40: 16.0, 100: 17.0}  # the light in the detected pixels is fainter than all of it
    magnitude = {round(row["x"]): row["mag_r"] for row in table if row["y"] < 50}
    assert magnitude[40] == pytest.approx(truth[40], abs=0.3) and magnitude[40] > truth[40]


def test_footprint_tells_the_pixels_that_were_not_searched(tmp_path):
    image = survey_image(100, 130)
    image.flags[10:20, 30:50] = PixelFlag.NO_DATA | PixelFlag.HALO
    image.flags[60, 70] = PixelFlag.SATURATED | PixelFlag.INTERPOLATED
    image.flags[80:, :40] = PixelFlag.CROWDED
    for name in ("a.fits", "b.fits"):
        write_mask(image.flags, replace(image, corner=(7, 5)).header, tmp_path / name)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
        hdus.verify("exception")
        mask, header = hdus[0].data, hdus[0].header
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, image.flags & int(NOT_SEARCHED))
        assert set(np.unique(mask)) == {0, 1, 2, 64}
        assert [header[f"BIT{bit}"] for bit in (1, 2, 64)] == ["NO_DATA", "SATURATED", "CROWDED"]
        assert header["DATASUM"] and header["CHECKSUM"]
        # The first pixel of the cut is pixel (7, 5) of the image that the coordinates are of.
        own, whole = WCS(header).pixel_to_world(0, 0), image.wcs.pixel_to_world(7, 5)
        assert own.separation(whole).arcsec < 1e-3


@pytest.mark.parametrize("fwhm", [1.5, 3.5, 7.0])
def test_cosmic_rays_are_told_from_stars_by_the_psf(fwhm):
    """Stars at every place in a pixel, some with a neighbour; tracks of six pixels and more."""
    generator = np.random.default_rng(2)
    grid = np.array([(x, y) for x in range(30, 400, 30) for y in range(30, 230, 30)])
    places = grid + generator.uniform(-0.5, 0.5, grid.shape)
    flux = flux_of(generator.uniform(15, 18, len(places)))
    neighbours = places[:40] + 0.8 * fwhm
    light = starlight(places, flux, size=(320, 400), shape="3.0", fwhm=fwhm)
    light += starlight(neighbours, flux[:40], size=(320, 400), shape="3.0", fwhm=fwhm)
    rays = [(260, 50 + 40 * k) for k in range(8)]
    for number, (row, column) in enumerate(rays):
        steps = np.arange(6 + number)
        across = (0 * steps, steps // 2, -(steps // 3))[number % 3]
        light[row + across, column + steps] += 500
    counts = noisy(light)
    image = image_from_arrays(counts, psf=fwhm * PIXEL_SCALE, trust_psf=True, saturate=1e9, **TOLD)
    every = BrightSources.of(replace(image, flags=0 * image.flags))
    kept = every.as_wide_as_the_psf(image)
    n_rays, n_left = [(found.y > 245).sum() for found in (every, kept)]
    assert n_rays >= len(rays) and n_left <= (1 if fwhm > 2 else 3)
    assert len(every) - n_rays == len(kept) - n_left > 60
