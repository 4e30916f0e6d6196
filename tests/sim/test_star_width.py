"""The width of an image's PSF from its own stars."""

from dataclasses import replace

import numpy as np
import pytest

from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.psf_width import MIN_STARS, star_width, with_width_of_stars
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from tests.helpers.survey_images import ELECTRONS, SKY, survey_image

TRUE_PSF = SINGLE_FIELD.psf_of(0)


def field_of_stars(n: int, told: float = 1.0) -> tuple[SurveyImage, Detections]:
    """n stars of r = 16 to 18 on a grid, under a PSF ``told`` times as wide as the image says."""
    generator = np.random.default_rng(n)
    side = 50 * int(np.ceil(np.sqrt(n))) + 50
    column, row = [axis.ravel()[:n] for axis in np.meshgrid(*(np.arange(50, side, 50),) * 2)]
    x, y = [axis + generator.uniform(-5, 5, n) for axis in (column, row)]
    sources = {
        "x": x,
        "y": y,
        "flux": generator.uniform(60, 400, n),
        "is_galaxy": np.zeros(n, bool),
        "disk_fraction": np.zeros(n),
        "angle": np.zeros(n),
        "disk_half_light_radius": np.ones(n),
        "disk_axis_ratio": np.ones(n),
        "bulge_half_light_radius": np.ones(n),
        "bulge_axis_ratio": np.ones(n),
    }
    light = draw_field(sources, TRUE_PSF, shape=(side, side), sky_sigma=np.sqrt(SKY / ELECTRONS))
    noise = generator.normal(size=light.shape) * np.sqrt((SKY + light) / ELECTRONS)
    empty = survey_image(side, side, n_stars=0)
    image = replace(
        empty,
        image=(light + noise).astype(np.float32),
        psf=TRUE_PSF.scaled(1 / told),
    )
    zeros, ones = np.zeros(n), np.ones(n)
    found = Detections(zeros.astype(int), x + 0.1, y - 0.1, sources["flux"], ones, ones, zeros)
    return image, found


def test_scaling_widens_the_profile_alone():
    wide = TRUE_PSF.scaled(1.1)
    assert wide.fwhm == pytest.approx(1.1 * TRUE_PSF.fwhm)
    radius = np.linspace(0, 5, 20)
    shares = wide.profile(1.1 * radius) / TRUE_PSF.profile(radius)
    assert shares == pytest.approx(np.full(20, shares[0]))


@pytest.mark.parametrize("told", [0.95, 1.0, 1.02])
def test_stars_tell_how_much_wider_they_are(told):
    image, found = field_of_stars(49, told)
    width = star_width(image, found)
    assert width is not None and width.n_stars == 49
    assert width.error < 0.002
    assert abs(width.factor - told) < 3 * width.error + 0.0005
    mended, done = with_width_of_stars(image, found)
    assert "49 stars" in done
    assert mended.psf.parameters == pytest.approx(TRUE_PSF.scaled(width.factor / told).parameters)


def test_a_few_stars_change_nothing():
    image, found = field_of_stars(MIN_STARS - 1, told=1.05)
    same, done = with_width_of_stars(image, found)
    assert same is image and f"fewer than {MIN_STARS} stars" in done


def test_a_psf_that_is_far_off_is_left_and_told():
    image, found = field_of_stars(25, told=1.4)
    same, done = with_width_of_stars(image, found)
    assert same is image and "give a better one" in done


def spoilt(image: SurveyImage, found: Detections, how: str) -> tuple[SurveyImage, Detections]:
    """With all but a few of the stars made unfit."""
    most = np.arange(len(found)) >= MIN_STARS - 1
    if how == "galaxies":
        return image, replace(found, prob_galaxy=most * 0.5)
    if how == "faint":
        return image, replace(found, flux=np.where(most, 1.0, found.flux))
    if how == "neighbours":
        columns = {name: np.append(c, c[most]) for name, c in vars(found).items()}
        columns["x"][len(found) :] += 5
        return image, Detections(**columns)
    if how == "edge":
        return image, replace(found, x=np.where(most, 12.0, found.x))
    flags = image.flags.copy()
    rows, columns = [np.rint(axis[most]).astype(int) for axis in (found.y, found.x)]
    flags[rows, columns] = PixelFlag.SATURATED
    return replace(image, flags=flags), found


@pytest.mark.parametrize("how", ["galaxies", "faint", "neighbours", "edge", "saturated"])
def test_unfit_stars_are_not_asked(how):
    image, found = field_of_stars(25, told=1.02)
    assert star_width(image, found) is not None
    assert star_width(*spoilt(image, found, how)) is None
