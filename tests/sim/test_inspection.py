"""An image is measured, and what was told of it is held against its pixels."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.inspection.explained_noise import decide_noise
from npecat_sim.surveys.inspection.noise import Noise, measure_noise, over_pixels
from npecat_sim.surveys.inspection.told import Told
from tests.helpers.counts import GAIN, PSF, SIGMA, SKY, noisy, starlight

SHAPE = (256, 320)
NOWHERE = np.zeros(SHAPE, bool)
BLANK = noisy(np.zeros(SHAPE), seed=3)


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise of a blank sky."""
    return noisy(np.zeros(shape), seed) - SKY


def opened(counts: np.ndarray, **options) -> SurveyImage:
    given = {"psf": PSF, "gain": GAIN, "pixel_scale": 0.396, "zeropoint": 22.5}
    return image_from_arrays(counts, **{**given, **options})


def refused(counts: np.ndarray, **options) -> str:
    with pytest.raises(NpecatError) as refusal:
        opened(counts, **options)
    message = str(refusal.value)
    assert message.startswith("image: ") and "\n" not in message
    return message


def field(density: float, seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Light of so many stars a pixel, of 3 to 3,000 sigma."""
    generator = np.random.default_rng(seed)
    n = int(density * shape[0] * shape[1])
    flux = np.minimum(150 * generator.random(n) ** (-1 / 0.7), 1.5e5)
    places = generator.uniform((0, 0), shape, (n, 2))[:, ::-1]
    return starlight(places, flux, size=shape)


# The noise.


def resampled(kind: str) -> np.ndarray:
    """Noise that neighbouring pixels share."""
    white = noise(SHAPE)
    if kind == "half a pixel":
        return sum(np.roll(white, by, (0, 1)) for by in ((0, 0), (0, 1), (1, 0), (1, 1))) / 4
    return gaussian_filter(white, 0.7)


def test_white_noise_is_measured_and_is_the_same_everywhere():
    measured = measure_noise(noise(SHAPE).astype(np.float32), hidden=NOWHERE, lit=NOWHERE, psf=PSF)
    assert measured.is_white
    assert measured.pixel == pytest.approx(SIGMA, rel=0.01)
    assert measured.under_psf == pytest.approx(SIGMA, rel=0.05)
    assert measured.sigma == measured.pixel
    assert (measured.cells == 1).all()


@pytest.mark.parametrize("kind", ["half a pixel", "smoothed"])
def test_resampling_does_not_lower_the_noise_under_the_psf(kind):
    residual = resampled(kind).astype(np.float32)
    assert residual.std() < 0.55 * SIGMA
    measured = measure_noise(residual, hidden=NOWHERE, lit=NOWHERE, psf=PSF.scaled(1.05))
    assert not measured.is_white
    assert measured.pixel == pytest.approx(residual.std(), rel=0.02)
    assert measured.sigma == measured.under_psf == pytest.approx(SIGMA, rel=0.1)


@pytest.mark.parametrize("kind", ["half a pixel", "smoothed"])
def test_resampled_images_pass_with_the_noise_of_a_flux(kind, caplog):
    """Not with that of a pixel, which is half of it and makes a catalog of noise."""
    image = opened(resampled(kind), sky=SKY)
    assert not caplog.text
    assert image.findings.noise < 0.55 * SIGMA
    assert np.median(image.background) == pytest.approx(SKY, rel=0.2)


def test_a_shallow_strip_has_its_own_noise():
    counts = BLANK.copy()
    counts[:, :96] += np.sqrt(3) * noise((SHAPE[0], 96), seed=7)
    background = opened(counts).background
    assert np.median(background[:, :96]) == pytest.approx(4 * SKY, rel=0.15)
    assert background[:, :96].min() > 3 * SKY
    assert np.median(background[:, 128:]) == pytest.approx(SKY, rel=0.02)
    assert np.ptp(background[:, 128:]) < 0.1 * SKY


@pytest.mark.parametrize("seed", range(2))
def test_the_light_of_a_crowd_is_no_noise(seed):
    image = opened(noisy(field(1.5e-2, seed), seed))
    assert image.findings.noise == pytest.approx(SIGMA, rel=0.05)
    assert image.findings.noise_ratio == pytest.approx(1, rel=0.05)
    assert np.median(image.background) == pytest.approx(SKY, rel=0.05)
    assert (image.flags & int(PixelFlag.CROWDED) != 0).mean() > 0.9
    assert np.isnan(image.findings.noise_under_psf)
    assert "too crowded to measure it under the PSF" in image.findings.page()
    assert not image.findings.warnings
    left = opened(noisy(field(1.5e-2, seed), seed) - SKY + SIGMA, sky=SKY)
    assert "is left" in left.findings.warnings[0]  # no sky is seen that it could be refused for


@pytest.mark.parametrize("factor", [1e-3, 1.0, 5e4])
def test_a_map_of_the_noise_counts_up_to_a_factor(factor):
    relative = np.ones(SHAPE)
    relative[100:120] = 3.0  # narrower than what is measured from place to place
    relative[30:32, 40:50] = np.nan, 0.0, *[-1.0] * 8
    counts = SKY + np.nan_to_num(relative) * noise(SHAPE, seed=5)
    image = opened(counts, noise=factor * relative)
    assert (image.flags & int(PixelFlag.NO_DATA) != 0).sum() == 20
    background = image.background / SKY
    assert np.median(background[:90]) == pytest.approx(1, rel=0.05)
    assert background[100:120] / np.median(background[:90]) == pytest.approx(9, rel=0.02)


def test_cells_of_any_shape_cover_the_image():
    for shape in ((38, 38), (38, 1000), (97, 63)):
        residual = noise(shape).astype(np.float32)
        hidden = np.zeros(shape, bool)
        measured = measure_noise(residual, hidden=hidden, lit=hidden, psf=PSF)
        assert over_pixels(measured.cells, shape).shape == shape
        assert measured.pixel == pytest.approx(SIGMA, rel=0.1)


# The sky.


@pytest.mark.parametrize("seed", range(3))
def test_the_sky_is_measured_among_sources(seed):
    shape = (384, 384)
    findings = opened(noisy(field(6e-4, seed, shape), seed)).findings
    assert findings.sky == pytest.approx(SKY, abs=0.02 * SIGMA)
    assert findings.gradient < 0.1 * SIGMA
    assert findings.noise_ratio == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("sigmas", [3.0, 20.0])
def test_a_slope_of_the_sky_is_measured_and_subtracted_up_to_the_edges(sigmas):
    height, width = SHAPE
    slope = sigmas * SIGMA * np.linspace(-0.5, 0.5, height)[:, None]
    image = opened(BLANK + slope)
    assert image.findings.gradient == pytest.approx(sigmas * SIGMA, rel=0.1)
    assert image.findings.noise_ratio == pytest.approx(1, rel=0.03)
    assert np.abs(image.image.reshape(-1, 16, width).mean((1, 2))).max() < 0.06 * SIGMA
    assert "subtracted" in image.findings.sky_was


def test_the_brightest_star_that_is_not_saturated_leaves_the_sky_alone():
    """One of 500,000 sigma in its brightest pixel, which is r = 9 in SDSS."""
    light = starlight([(200.3, 120.1)], [5.5e7], size=SHAPE)
    findings = opened(noisy(light, seed=1)).findings
    assert findings.sky == pytest.approx(SKY, abs=0.02 * SIGMA)
    assert findings.n_single == findings.n_saturated == 0
    assert np.isnan(findings.saturation)
    assert findings.noise_ratio == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("sigmas", "outcome"),
    [(0.0, "fits"), (0.06, "fits"), (0.15, "warned"), (-0.3, "warned"), (0.5, "refused")],
)
def test_a_sky_that_was_said_to_be_gone_is_checked(sigmas, outcome):
    counts = BLANK - SKY + sigmas * SIGMA
    options = {"sky": SKY}
    if outcome == "refused":
        assert "counts (+0.5" in refused(counts, **options)
        assert "have it subtracted" in refused(-counts, **options)
    else:
        image = opened(counts, **options)
        assert np.array_equal(image.image, counts.astype(np.float32))
        assert any("is left" in text for text in image.findings.warnings) == (outcome == "warned")
    image = opened(counts, **options, subtract_sky=True)
    assert not image.findings.warnings
    assert abs(image.image.mean()) < 0.02 * SIGMA


def test_a_sky_that_is_gone_though_nobody_said_so_is_refused():
    for gain, missing in ((GAIN, "sky"), (None, "sky and gain")):
        assert refused(BLANK - SKY, gain=gain).endswith(f"already, give {missing}")
    assert "the gain of an image without its sky" in refused(BLANK - SKY, gain=None, sky=SKY)
    assert "its sky may be subtracted already" in refused(BLANK - SKY + SIGMA / 2)


# Gain and noise.


def test_a_gain_that_is_not_told_is_measured():
    image = opened(BLANK, gain=None)
    assert image.electrons_per_nmgy == pytest.approx(GAIN, rel=0.02)
    assert np.isnan(image.findings.noise_ratio)
    assert image.findings.gain_was == "from the noise of the sky"


@pytest.mark.parametrize(
    ("counts", "options", "ratio", "named"),
    [
        (BLANK + 600, {}, 0.483, "a bias pedestal of about 600"),
        (BLANK / 10, {}, 0.316, "counts per second"),
        (BLANK + 1.5 * noise(SHAPE, seed=9), {}, 1.8, "of read noise, or a gain of 1.4"),
        (resampled("smoothed"), {"sky": SKY / 4}, 1.8, "the image was resampled"),
        (BLANK, {"gain": 26 * GAIN}, 5.1, "read noise, or a gain of 4.72"),
        (BLANK, {"gain": GAIN / 26}, 0.196, "or a gain of 4.72"),
    ],
)
def test_noise_that_sky_and_gain_do_not_explain_is_used_and_told(counts, options, ratio, named):
    """Beyond a factor of 5 it is refused."""
    if not 0.2 < ratio < 5:
        assert named in refused(counts, **options)
        return
    image = opened(counts, **options)
    (warning,) = image.findings.warnings
    assert named in warning and "the measured noise is used" in warning
    assert image.findings.noise_ratio == pytest.approx(ratio, rel=0.1)
    electrons = options.get("gain", GAIN)
    told = options.get("sky", image.findings.sky)
    used = np.sqrt(np.median(image.background) / electrons)
    assert used == pytest.approx(ratio * np.sqrt(told / electrons), rel=0.1)


def test_structure_on_the_scale_of_stars_counts_as_noise_and_is_no_wrong_gain():
    structure = gaussian_filter(np.random.default_rng(6).normal(size=SHAPE), 4)
    image = opened(BLANK + 2 * SIGMA / structure.std() * structure)
    assert any("such as fringes or a nebula" in text for text in image.findings.warnings)
    assert image.findings.noise == pytest.approx(SIGMA, rel=0.05)
    assert image.findings.noise_ratio > 5
    told = Told("image", "counts", 0.396, sky=None, gain=GAIN, psf=PSF)
    explained, cells = np.full(SHAPE, SKY), np.ones((16, 20))
    for is_white in (True, False):
        strong, warnings = Noise(SIGMA, 10 * SIGMA, is_white, cells), []
        if is_white:
            decide_noise(explained, strong, GAIN, told=told, warnings=warnings)
            assert "such as fringes or a nebula" in warnings[0]
        else:
            with pytest.raises(NpecatError, match="the image was resampled"):
                decide_noise(explained, strong, GAIN, told=told, warnings=warnings)


def test_noise_that_fits_leaves_the_told_sky():
    sky = SKY + np.add.outer(np.linspace(-9, 9, SHAPE[0]), np.zeros(SHAPE[1]))
    image = opened(np.sqrt(sky / SKY) * noise(SHAPE), sky=sky)
    np.testing.assert_allclose(image.background, sky, rtol=1e-6)


# Saturation and other defects.

Y, X = np.indices(SHAPE)
PLACES = np.array([(60.2, 50.4), (160.0, 60.0), (250.5, 180.5), (90.3, 200.2)])


def clipped(level: float, psf=PSF) -> np.ndarray:
    """Four stars, the brightest pixels of all but the last at one level."""
    light = starlight(PLACES, [3e6, 1e6, 5e5, 1e5], size=SHAPE, shape=psf)
    return np.minimum(noisy(light), level)


@pytest.mark.parametrize("spread", [0.0, 0.005])
def test_the_level_of_saturation_shows_where_the_brightest_pixels_pile_up(spread):
    counts = clipped(2e4)
    truth = counts == 2e4
    counts *= 1 + spread * np.random.default_rng(0).normal(size=SHAPE) * truth
    counts[20, 30] = 9e4  # a hot pixel
    image = opened(counts)
    assert image.findings.saturation == pytest.approx(2e4, rel=0.03)
    assert "pile up" in image.findings.saturation_was
    flagged = image.flags & int(PixelFlag.SATURATED) != 0
    assert flagged[truth].mean() > 0.98 and (flagged & ~truth).sum() < 10
    assert image.flags[20, 30] == int(PixelFlag.INTERPOLATED | PixelFlag.COSMIC_RAY)


def test_a_level_that_is_given_is_used_and_must_be_above_the_sky():
    image = opened(clipped(1e9), saturate=5_000.0)
    flagged = image.flags & int(PixelFlag.SATURATED) != 0
    assert np.array_equal(flagged, clipped(1e9) >= 5_000)
    assert image.findings.n_saturated == flagged.sum() > 50
    assert "no more than its sky" in refused(clipped(1e9), saturate=150.0)


@pytest.mark.parametrize("kind", ["stars", "wide stars", "galaxy", "hot pixel", "blank"])
def test_bright_light_is_no_saturation(kind):
    counts = {
        "stars": lambda: clipped(1e9),
        "wide stars": lambda: clipped(1e9, PSF.scaled(2.5)),
        "galaxy": lambda: noisy(4e4 * np.exp(-np.hypot(X - 150, Y - 120) / 12)),
        "hot pixel": lambda: np.where((X == 50) & (Y == 50), 6e4, BLANK),
        "blank": lambda: BLANK,
    }[kind]()
    findings = opened(counts).findings
    assert np.isnan(findings.saturation) and findings.n_saturated == 0


def test_constant_blocks_and_zeros_hold_no_data():
    """The borders of a stack, a chip gap, a dead column in real numbers."""
    counts = BLANK.copy()
    counts[:, :40] = 0
    counts[np.hypot(X - 200, Y - 100) < 6] = -999.0
    counts[:, 150] = 0
    image = opened(counts)
    no_data = image.flags & int(PixelFlag.NO_DATA) != 0
    filling = (counts == 0) | (counts == -999)
    assert np.array_equal(no_data & (counts != -999), counts == 0)
    assert no_data[filling].mean() > 0.98  # but for corners of the round hole
    assert not image.image[no_data].any()
    assert image.findings.no_data == no_data.mean() == image.findings.constant
    assert image.findings.noise == pytest.approx(SIGMA, rel=0.02)
    assert image.findings.sky == pytest.approx(SKY, abs=0.05 * SIGMA)


def test_zeros_that_are_numbers_like_others_are_kept():
    """Counts of photons, and real numbers in steps, such as those scaled by BSCALE."""
    counts = np.random.default_rng(0).poisson(3.0, SHAPE)
    assert (counts == 0).mean() > 0.04
    assert not opened(counts, gain=1.0).flags.any()
    steps = np.rint((BLANK - SKY) / 3.7) * 3.7
    assert (steps == 0).mean() > 0.05
    assert not opened(steps, sky=SKY).flags.any()
    whole = np.rint(BLANK)
    whole[:, 90] = 0
    image = opened(whole)
    filled = PixelFlag.INTERPOLATED | PixelFlag.COSMIC_RAY
    assert np.array_equal(image.flags, np.where(X == 90, int(filled), 0))
    assert np.abs(image.image[:, 90]).max() < 4 * SIGMA


@pytest.mark.parametrize("fwhm", [1.8, 2.5, 3.6, 6.0])
def test_single_pixels_are_filled_and_stars_keep_their_peaks(fwhm):
    """Stars of every offset from the centre of a pixel, of 5 to 2,000 sigma."""
    generator = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(20, 290, 35), np.arange(20, 230, 35)), -1).reshape(-1, 2)
    offset = generator.uniform(-0.5, 0.5, grid.shape)
    offset[::2] = 0  # where a star's light is in one pixel the most
    psf = PSF.scaled(fwhm / PSF.fwhm)
    flux = np.geomspace(5, 2000, len(grid)) * SIGMA / psf.profile(np.zeros(()))
    counts = noisy(starlight(grid + offset, flux, size=SHAPE, shape=psf))
    spoilt = counts.copy()
    hot, dead = (grid[::4] + 17).T, (grid[1::4] + 17).T
    spoilt[hot[1], hot[0]] += 60 * SIGMA
    spoilt[dead[1], dead[0]] -= 20 * SIGMA
    image = opened(spoilt - SKY, psf=psf, sky=SKY)
    truth = spoilt != counts
    flags = PixelFlag.COSMIC_RAY | PixelFlag.INTERPOLATED
    assert np.array_equal(image.flags & int(flags) == int(flags), truth)
    assert image.findings.n_single == truth.sum()
    assert np.abs(image.image[truth]).max() < 4 * SIGMA
    np.testing.assert_allclose(image.image[~truth], (counts - SKY)[~truth], rtol=1e-6)


def test_a_hole_in_the_sky_is_no_dead_pixel():
    """Surveys subtract too much around bright stars."""
    bowl = 30 * SIGMA * np.exp(-((X - 200) ** 2 + (Y - 100) ** 2) / 2 / 8**2)
    assert opened(BLANK - SKY - bowl, sky=SKY).findings.n_single == 0


def test_only_the_crowded_part_is_flagged():
    light = np.zeros((256, 512))
    light[:, :200] = field(2e-2, shape=(256, 200))
    image = opened(noisy(light))
    crowded = image.flags & int(PixelFlag.CROWDED) != 0
    assert crowded[:, :160].mean() > 0.9 and not crowded[:, 300:].any()
    assert image.findings.crowded == crowded.mean()
    assert not opened(noisy(field(6e-4))).findings.crowded


# What can be no image of the sky.


def test_a_mask_of_more_than_half_is_refused_as_a_weight_map():
    mask = np.ones(SHAPE)
    mask[:120] = 0
    assert "hides 53.1% of the pixels" in refused(BLANK, mask=mask)
    assert "is it a weight map? Then give it as weight" in refused(BLANK, mask=mask)
    mask[:130] = 0
    assert opened(BLANK, mask=mask).findings.no_data == pytest.approx(126 / 256)


SMALL = BLANK[:64, :64]
ROW, COLUMN = np.indices(SMALL.shape)


@pytest.mark.parametrize(
    ("counts", "options", "named"),
    [
        (np.where(ROW < 32, 7.0, 3.0), {}, "too few pixels to measure its noise"),
        (np.where(ROW == 5, SMALL, np.nan), {}, "98.44% hold no data"),
        (np.where((ROW + COLUMN) % 2, SMALL, np.nan), {}, "50.00% hold no data"),
        (np.where((ROW < 5) & (COLUMN < 5), SMALL, np.nan), {}, "too few pixels"),
        (np.full(SMALL.shape, 7.0), {}, "every pixel is 7"),
        (np.full(SMALL.shape, np.inf), {}, "every pixel is without data"),
        (1e30 * SMALL, {}, "every pixel is without data"),
        (1e26 * SMALL, {}, "a gain of"),
        (SMALL, {"gain": 1e-30}, "a gain of 4."),
        (SMALL, {"gain": 1e39}, "a gain of 4."),
        (ROW + 2.0 * COLUMN, {}, "it has no noise; give an image of the sky, no map"),
        (SMALL - 2 * SKY, {}, "falls to -18"),
        (SMALL[:37], {}, "the image has 64 x 37 pixels"),
        (SMALL.astype(complex), {}, "pixels hold complex128"),
        (SMALL.astype(str), {}, "give real numbers"),
        (SMALL, {"mask": SMALL.astype(str)}, "mask hold"),
        (SMALL, {"noise": np.full(SMALL.shape, "a")}, "noise hold"),
        (SMALL, {"noise": -SMALL}, "nowhere finite and positive"),
        (SMALL, {"noise": SMALL[:5]}, "the noise has shape (5, 64)"),
        (SMALL, {"gain": "2.5"}, "gain is 2.5; it must be finite and positive"),
        (SMALL, {"zeropoint": "a"}, "zeropoint is a"),
        (None, {}, "pixels have shape ()"),
    ],
)
def test_what_cannot_be_cataloged_is_refused_in_a_line(counts, options, named):
    assert named in refused(counts, **options)


@pytest.mark.parametrize(
    "kind", ["u2", "i4", "u8", ">i2", ">f4", ">f8", "f2", "list", "F", "[::2]"]
)
def test_numbers_of_any_kind_are_read_alike(kind):
    whole = np.rint(SMALL)
    given = {
        "list": lambda: whole.tolist(),
        "F": lambda: np.asfortranarray(whole),
        "[::2]": lambda: whole.repeat(2, axis=1)[:, ::2],
    }.get(kind, lambda: whole.astype(kind))()
    np.testing.assert_array_equal(opened(given).image, opened(whole).image)


def test_masked_pixels_and_borders_hold_no_data():
    counts = BLANK.copy()
    counts[:20] = np.nan
    counts[:, -9:] = np.nan
    counts[50, 50:55] = np.inf, -np.inf, np.finfo(np.float32).max, -1e38, 1e300
    image = opened(np.ma.masked_where((X == 90) & (Y > 100), counts))
    expected = ~(np.abs(counts) < 1e30) | ((X == 90) & (Y > 100))
    assert np.array_equal(image.flags == int(PixelFlag.NO_DATA), expected)
    assert image.findings.sky == pytest.approx(SKY, abs=0.05 * SIGMA)


def test_a_corner_with_data_is_enough():
    counts = np.full(SHAPE, np.nan)
    counts[-40:, -40:] = BLANK[-40:, -40:]
    findings = opened(counts).findings
    assert findings.sky == pytest.approx(SKY, abs=0.1 * SIGMA)
    assert findings.noise == pytest.approx(SIGMA, rel=0.1)


@pytest.mark.parametrize("unit", [1e-38, 1e-30, 1e26])
def test_the_unit_does_not_matter(unit):
    image = opened(unit * SMALL, gain=GAIN / unit)
    assert image.findings.noise == pytest.approx(unit * SIGMA, rel=0.05)
    assert image.findings.noise_ratio == pytest.approx(1, rel=0.05)
