"""FITS images of any survey: counts, zero point, gain, sky and PSF become nanomaggies."""

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields, has_wing, typical_psf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.surveys.any_fits import read_fits_image
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.surveys.open import open_image
from tests.helpers.survey_files import COORDINATES, PSFIELD, small_frame_data

SKY = 400.0
GAIN = 2.5
SHAPE = (90, 70)
GIVEN = {"zeropoint": 25.0, "gain": GAIN, "fwhm": 1.3}


def counts() -> np.ndarray:
    """Blank sky in counts, photon noise only."""
    noise = np.random.default_rng(1).normal(size=SHAPE)
    return SKY + np.sqrt(SKY / GAIN) * noise


def write(folder, values, cards=COORDINATES, hdu=fits.PrimaryHDU):
    path = folder / "image.fits"
    image = hdu(values)
    image.header.update(cards)
    image.writeto(path, overwrite=True)
    return path


def scaled(cards, factor):
    """The cards with pixels that measure so many times as much."""
    return {name: value * factor if name[:2] == "CD" else value for name, value in cards.items()}


def refusal(path, **options) -> str:
    with pytest.raises(NpecatError) as refused:
        open_image(path, **{**GIVEN, **options})
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_counts_become_nanomaggies(tmp_path):
    values = counts() - SKY
    image = open_image(write(tmp_path, values), **GIVEN, sky=SKY)
    nmgy_per_count = 0.1  # 10^(0.4 (22.5 - 25))
    np.testing.assert_allclose(image.image, values * nmgy_per_count, rtol=1e-6)
    np.testing.assert_allclose(image.background, SKY * nmgy_per_count)
    assert image.electrons_per_nmgy == pytest.approx(GAIN / nmgy_per_count)
    place = image.wcs.pixel_to_world(10, 20)
    assert place.ra.deg == pytest.approx(COORDINATES["CRVAL1"])


def test_a_sky_that_is_not_given_is_measured_and_subtracted(tmp_path):
    slope = np.linspace(-20, 20, SHAPE[0])[:, None]
    image = open_image(write(tmp_path, counts() + slope), **GIVEN)
    sky = image.background.mean(axis=1) / 0.1
    assert sky.mean() == pytest.approx(SKY, rel=0.01)
    assert sky[-1] - sky[0] > 10
    assert abs(image.image.mean() / 0.1) < 2


def test_integers_scales_extensions_and_packing_are_read(tmp_path):
    values = np.rint(counts()).astype(np.int16)
    expected = open_image(write(tmp_path, values.astype(np.float64)), **GIVEN).image
    path = tmp_path / "other.fits"
    image = fits.ImageHDU(values)
    image.header.update(COORDINATES)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    np.testing.assert_array_equal(open_image(path, **GIVEN).image, expected)
    packed = fits.CompImageHDU(values)
    packed.header.update(COORDINATES)
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path, overwrite=True)
    np.testing.assert_array_equal(open_image(path, **GIVEN).image, expected)


def test_masked_and_infinite_pixels_hold_no_data_and_do_not_touch_the_sky(tmp_path):
    values = counts()
    values[10, 20] = np.nan
    values[50:] = 1e5
    mask = np.zeros(SHAPE, np.uint8)
    mask[50:] = 4
    mask_path = tmp_path / "mask.fits"
    fits.writeto(mask_path, mask)
    image = open_image(write(tmp_path, values), mask=mask_path, **GIVEN)
    no_data = image.flags == PixelFlag.NO_DATA
    assert no_data.sum() == 40 * 70 + 1
    assert no_data[10, 20] and not image.image[no_data].any()
    np.testing.assert_allclose(image.background / 0.1, SKY, rtol=0.01)
    fits.writeto(mask_path, mask[1:], overwrite=True)
    with pytest.raises(NpecatError, match=r"mask.fits: the mask has shape \(89, 70\)"):
        open_image(write(tmp_path, values), mask=mask_path, **GIVEN)


def test_fwhm_scales_a_typical_psf_to_pixels(tmp_path):
    image = open_image(write(tmp_path, counts()), **GIVEN)
    assert image.psf.fwhm == pytest.approx(1.3 / 0.396, rel=1e-6)
    np.testing.assert_allclose(image.psf.parameters, typical_psf(1.3 / 0.396).parameters, rtol=1e-6)
    path = write(tmp_path, counts(), scaled(COORDINATES, 0.95))
    assert open_image(path, **GIVEN).psf.fwhm == pytest.approx(1.3 / 0.396 / 0.95, rel=1e-6)


def test_a_typical_psf_measures_stars_of_the_known_fields_well():
    """The flux that fits a star best errs as the docstring says."""
    y, x = np.mgrid[-30:31, -30:31]
    radius = np.hypot(y, x)
    errors = []
    for parameters in default_fields().psf[:100]:
        star = SixNumberPsf.of(parameters).profile(radius)
        model = typical_psf(SixNumberPsf.of(parameters).fwhm).profile(radius)
        errors.append((star * model).sum() / (model**2).sum() - 1)
    assert abs(np.median(errors)) < 0.02
    assert np.quantile(np.abs(errors), 0.9) < 0.09


def test_fwhm_is_the_width_at_half_of_the_peak():
    gaussian = np.array([2.0, 3.0, 3.0, 3.0, 0.0, 0.0])
    assert SixNumberPsf.of(gaussian).fwhm == pytest.approx(2.0 * np.sqrt(8 * np.log(2)))


def test_six_numbers_are_the_psf(tmp_path):
    numbers = list(PSFIELD.values())[:6]
    path = write(tmp_path, counts())
    image = open_image(path, zeropoint=25.0, gain=GAIN, psf=",".join(map(str, numbers)))
    np.testing.assert_array_equal(image.psf.parameters, numbers)


def test_without_coordinates_pixels_measure_those_of_sdss(tmp_path, caplog):
    image = open_image(write(tmp_path, counts(), {}), **GIVEN)
    assert image.wcs is None
    assert image.psf.fwhm == pytest.approx(1.3 / 0.396, rel=1e-6)
    assert "has no coordinates: pixels are taken to measure 0.396 arcsec" in caplog.text


@pytest.mark.parametrize(
    ("values", "options", "named"),
    [
        (counts() - SKY, {}, "the sky that was measured falls to"),
        (counts(), {"sky": SKY}, "leave sky out"),
        (counts(), {"gain": 30 * GAIN}, "its noise under the PSF is 5."),
        (counts() - SKY, {"sky": 30 * SKY}, "its noise under the PSF is 0.1"),
        (counts(), {"gain": 0.0}, "gain is 0"),
        (counts(), {"gain": -1.0}, "gain is -1"),
        (counts(), {"gain": np.nan}, "gain is nan"),
        (counts() - SKY, {"gain": None, "sky": SKY}, "the gain of an image without its sky"),
        (counts(), {"zeropoint": np.nan}, "zeropoint is nan"),
        (counts(), {"zeropoint": -1e4}, "zeropoint is -10000"),
        (counts() - SKY, {"sky": 0.0}, "sky is 0"),
        (counts() - SKY, {"sky": -3.0}, "sky is -3"),
        (counts() - SKY, {"sky": np.inf}, "sky is inf"),
        (counts(), {"fwhm": 0.0}, "fwhm is 0"),
        (counts(), {"fwhm": np.nan}, "fwhm is nan"),
        (counts(), {"fwhm": None}, "give fwhm or psf"),
        (counts(), {"psf": "1.4,3,2.6,3.2,0.04,0.01"}, "give either fwhm or psf"),
        (np.zeros(SHAPE), {}, "every pixel is 0"),
        (np.zeros(SHAPE), {"sky": SKY}, "every pixel is 0"),
        (np.full(SHAPE, 7.0), {}, "every pixel is 7"),
        (np.full(SHAPE, np.nan), {"sky": SKY}, "every pixel is without data"),
        (counts()[:10, :10], {}, "the image has 10 x 10 pixels"),
        (np.ones((3, 40, 40)), {}, "no image with two axes"),
        (np.ones(400), {}, "no image with two axes"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, values, options, named):
    assert named in refusal(write(tmp_path, values), **options)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"CD1_2": 2 * COORDINATES["CD1_2"]}, "pixels are not square"),
        ({"CD1_1": COORDINATES["CD1_2"]}, "pixels are not square"),
        ({"CD1_2": 0.0}, "WCS cannot be read"),
        ({"CRVAL2": -120.0}, "WCS"),
        ({"CTYPE1": "RA---XXX"}, "WCS cannot be read"),
        ({"CTYPE1": "DEC--TAN"}, "WCS"),
        ({"CUNIT1": "parsec"}, "WCS cannot be read"),
        (scaled(COORDINATES, 60), "pixels measure 23.8 arcsec"),
        (scaled(COORDINATES, 0.1), "pixels measure 0.0396 arcsec"),
    ],
)
def test_coordinates_that_cannot_serve_are_refused(tmp_path, changes, named):
    assert named in refusal(write(tmp_path, counts(), {**COORDINATES, **changes}))


def test_frames_are_nanomaggies_with_a_zeropoint_of_22_5(tmp_path):
    """The generic reader gives what the reader of frames gives."""
    data = small_frame_data()
    path = write(tmp_path, data["image"])
    image = read_fits_image(path, zeropoint=22.5, gain=980.0, fwhm=1.3, sky=0.88)
    np.testing.assert_array_equal(image.image, data["image"])
    assert image.electrons_per_nmgy == 980
    assert has_wing(image.psf.parameters[None])[0]
