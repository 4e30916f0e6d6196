"""What a file says of its image: calibration in headers, planes, and which part to read."""

import logging
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.keywords import facts_of
from npecat_sim.surveys.open import open_image
from tests.helpers.counts import GAIN, SIGMA, SKY, noisy
from tests.helpers.survey_files import COORDINATES, write_photofield

SHAPE = (80, 120)
COUNTS = noisy(np.zeros(SHAPE))


def hdus_of(*images: tuple[str, np.ndarray, dict], primary: dict | None = None) -> fits.HDUList:
    """A file with an empty primary HDU and images of these names, pixels and cards."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    hdus[0].header.update(primary or {})
    for name, pixels, cards in images:
        hdu = fits.ImageHDU(pixels, name=name)
        hdu.header.update(cards)
        hdus.append(hdu)
    return hdus


def write(folder: Path, hdus: fits.HDUList | fits.PrimaryHDU, name: str = "night.fits") -> Path:
    path = folder / name
    hdus.writeto(path, overwrite=True)
    return path


def of_sky(folder: Path, cards: dict, pixels: np.ndarray = COUNTS) -> Path:
    image = fits.PrimaryHDU(pixels)
    image.header.update({**COORDINATES, **cards})
    return write(folder, image)


def opened(path: Path, **options) -> SurveyImage:
    return open_image(path, **{"zeropoint": 25.0, "gain": GAIN, "fwhm": 1.4, **options})


def refused(path: Path, **options) -> str:
    with pytest.raises(NpecatError) as refusal:
        opened(path, **options)
    message = str(refusal.value)
    assert str(path.parent) in message and "\n" not in message
    return message


# Headers.


def values(**cards) -> dict[str, object]:
    return {name: fact.value for name, fact in facts_of([cards]).items()}


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"GAIN": 2.5}, {"gain": 2.5}),
        ({"GAIN": 100, "EGAIN": 2.5}, {"gain": 2.5}),
        ({"ARAWGAIN": 4.2}, {"gain": 4.2}),
        ({"SATURATE": 6e4}, {"saturate": 6e4}),
        ({"SATLEVEL": 6e4}, {"saturate": 6e4}),
        ({"MAGZERO": 25.1}, {"zeropoint": 25.1}),
        ({"ZEROPT": "25.1"}, {"zeropoint": 25.1}),
        ({"MAGZP": 25.1, "MAGZPT": 22.0}, {"zeropoint": 25.1}),
        ({"SEEING": 1.2}, {"fwhm": 1.2}),
        ({"EXPTIME": 90, "FILTER": "z DECam SDSS c0004"}, {"seconds": 90.0, "band": "z"}),
        ({"FILTER1": "g'"}, {"band": "g"}),
        ({"BUNIT": "nanomaggies"}, {"unit": "nanomaggies", "zeropoint": 22.5}),
        ({"BUNIT": "uJy"}, {"unit": "uJy", "zeropoint": 23.9}),
        # Zero points of a count per second.
        ({"MAGZPT": 25.0, "EXPTIME": 100.0}, {"zeropoint": 30.0, "seconds": 100.0}),
        ({"MAGZPT": 25.0, "BUNIT": "adu/s"}, {"zeropoint": 25.0, "unit": "adu/s"}),
        ({"MAGZPT": 25.0}, {}),
        # Rates and electrons.
        *[
            (
                {"BUNIT": unit, "GAIN": 2.0, "EXPTIME": 50},
                {"unit": unit, "gain": gain, "seconds": 50},
            )
            for unit, gain in (
                ("adu", 2.0),
                ("ADU/s", 100.0),
                ("counts / sec", 100.0),
                ("count s**-1", 100.0),
                ("electron", 1.0),
                ("electrons/s", 50.0),
                ("e-", 1.0),
                ("e-/s", 50.0),
                ("el", 1.0),
                ("erg", 2.0),
            )
        ],
        # What is no value.
        ({"GAIN": 0.0, "CCDGAIN": 3.0}, {"gain": 3.0}),
        ({"GAIN": -1.0}, {}),
        ({"GAIN": "nan", "SATURATE": "inf"}, {}),
        ({"GAIN": True, "MAGZERO": "INDEF", "SEEING": None}, {}),
        ({"FILTER": "  ", "BUNIT": 3}, {}),
        ({}, {}),
    ],
)
def test_each_keyword_tells_its_value(cards, expected):
    assert values(**cards) == pytest.approx(expected) if expected else values(**cards) == {}


def test_seeing_in_pixels_is_not_taken_for_arcsec():
    header = fits.Header([("SEEING", 3.8, "[pixels] average FWHM"), ("GAIN", 2.0, "e-/ADU")])
    assert set(facts_of([header])) == {"gain"}


def test_the_image_s_own_header_goes_before_the_primary_one():
    own, primary = {"GAIN": 2.0}, {"GAIN": 3.0, "MAGZERO": 25.0}
    facts = facts_of([own, primary])
    assert facts["gain"] == (2.0, "GAIN") and facts["zeropoint"] == (25.0, "MAGZERO")


def test_a_header_serves_where_the_user_gives_nothing_and_is_named(tmp_path, caplog):
    cards = {"MAGZERO": 25.0, "GAIN": GAIN, "SATURATE": 3e4, "SEEING": 1.4, "FILTER": "g"}
    path = of_sky(tmp_path, {**cards, "EXPTIME": 90.0})
    image = open_image(path)
    given = opened(path, saturate=3e4)
    np.testing.assert_array_equal(image.image, given.image)
    np.testing.assert_array_equal(image.background, given.background)
    assert image.psf == given.psf and image.electrons_per_nmgy == given.electrons_per_nmgy
    assert image.band == "g" and "band g; types and flux priors" in caplog.text
    page = image.findings.page()
    for text in ("GAIN of the header", "SATURATE of the header", "SEEING of the header"):
        assert text in page
    assert "25 AB mag, MAGZERO of the header" in page and "EXPTIME 90.0" in page
    other = open_image(path, zeropoint=26.0, gain=1.02 * GAIN, saturate=2e4)
    page = other.findings.page()
    assert "26 AB mag, as given" in page and "20000 counts, as given" in page
    assert other.electrons_per_nmgy == pytest.approx(1.02 * GAIN * 10**1.4)


@pytest.mark.parametrize(
    ("cards", "named"),
    [
        ({}, "the header has none of MAGZERO, ZEROPT,"),
        ({"MAGZERO": 250.0}, "zeropoint is 250"),
        ({"MAGZERO": 25.0, "SATURATE": 1.0}, "a saturation at 1 counts (SATURATE of the header)"),
        ({"MAGZERO": 25.0, "GAIN": 1e4}, "a gain of"),
        ({"MAGZERO": 25.0, "SEEING": 1e4}, "its PSF (SEEING of the header) is"),
    ],
)
def test_a_header_that_makes_no_sense_is_named(tmp_path, cards, named):
    path = of_sky(tmp_path, {"GAIN": GAIN, "SEEING": 1.4, **cards})
    assert named in refused(path, zeropoint=None, gain=None, fwhm=None)


@pytest.mark.parametrize(
    ("seconds", "named"), [(10.0, "which makes 47.1"), (3.0, "counts per second, or a gain of")]
)
def test_counts_per_second_are_named_where_the_exposure_time_fits(tmp_path, seconds, named):
    path = of_sky(tmp_path, {"EXPTIME": seconds}, COUNTS / 10)
    (warning,) = opened(path).findings.warnings
    assert "counts per second" in warning and named in warning
    rate = of_sky(tmp_path, {"EXPTIME": 10.0, "BUNIT": "adu/s", "GAIN": GAIN}, COUNTS / 10)
    image = opened(rate, gain=None)
    assert not image.findings.warnings
    assert "GAIN times EXPTIME of the header" in image.findings.gain_was


# Which image of a file.

OTHER = np.ones(SHAPE, np.int16)


@pytest.mark.parametrize(
    "planes",
    [
        [("SCI", COUNTS), ("WHT", COUNTS), ("CTX", OTHER)],
        [("CHIP7", COUNTS), ("MASK", OTHER), ("INVVAR", COUNTS)],
        [("DQ", OTHER), ("ERR", COUNTS), ("sci", COUNTS)],
        [("IMAGE", COUNTS), ("FOO", COUNTS)],
        [("", COUNTS)],
    ],
)
def test_the_image_of_the_sky_is_found_among_its_planes(tmp_path, planes):
    """With coordinates in no other HDU, the right one has been read if there are some."""
    is_sky = [name in ("SCI", "CHIP7", "sci", "IMAGE", "") for name, _ in planes]
    images = [
        (name, pixels, COORDINATES if sky else {})
        for (name, pixels), sky in zip(planes, is_sky, strict=True)
    ]
    path = write(tmp_path, hdus_of(*images, primary={"GAIN": GAIN}))
    image = opened(path, gain=None)
    assert image.wcs is not None and "GAIN of the header" in image.findings.gain_was


def test_two_exposures_are_told_and_one_is_chosen_by_name_or_index(tmp_path):
    names = ("N1", "N2")
    images = [(name, COUNTS + 1000 * k, COORDINATES) for k, name in enumerate(names)]
    path = write(tmp_path, hdus_of(*images))
    assert "several images, HDU 1 (N1), 2 (N2); give the one that shows the sky" in refused(path)
    for hdu in ("n2", "2"):
        assert opened(path, hdu=hdu).findings.sky == pytest.approx(SKY + 1000, abs=SIGMA)
    assert "its images are HDU 1 (N1), 2 (N2)" in refused(path, hdu="3")
    images[1] = ("N1", *images[1][1:])
    path = write(tmp_path, hdus_of(*images))
    assert "more than one image is HDU N1" in refused(path, hdu="N1")
    empty = write(tmp_path, hdus_of())
    assert "no image with two axes" in refused(empty)


# A part of an image.


def test_a_cut_is_that_part_at_its_place(tmp_path):
    path = of_sky(tmp_path, {})
    whole = opened(path)
    part = opened(path, cut=" 20:70, 10:60 ")
    assert part.image.shape == (50, 50) and part.corner == (20, 10)
    np.testing.assert_allclose(
        part.image + part.findings.sky * 0.1,
        whole.image[10:60, 20:70] + whole.findings.sky * 0.1,
        atol=0.3 * SIGMA * 0.1,
    )
    place = part.wcs.pixel_to_world(25, 30)  # of the file
    assert place.separation(whole.wcs.pixel_to_world(25, 30)).arcsec < 1e-6
    pixels = fits.Header(part.header)
    assert pixels["CRPIX1"] == COORDINATES["CRPIX1"] - 20
    assert pixels["CRPIX2"] == COORDINATES["CRPIX2"] - 10
    packed = hdus_of()
    packed.append(fits.CompImageHDU(np.rint(COUNTS).astype(np.int16)))
    same = opened(write(tmp_path, packed), cut="20:70,10:60")
    assert same.image.shape == (50, 50) and same.corner == (20, 10)


@pytest.mark.parametrize(
    ("cut", "named"),
    [
        ("0:50", "cut is '0:50'; give x0:x1,y0:y1"),
        ("50:0,0:50", "give x0:x1,y0:y1"),
        ("-5:50,0:50", "give x0:x1,y0:y1"),
        ("0:50,0:50,0:50", "give x0:x1,y0:y1"),
        ("a:b,c:d", "give x0:x1,y0:y1"),
        ("0:121,0:80", "cut is 0:121,0:80, but the image has 120 x 80 pixels"),
        ("200:300,0:80", "but the image has 120 x 80 pixels"),
        ("0:37,0:80", "the image has 37 x 80 pixels; give at least 38 x 38"),
        (f"0:{10**30},0:50", "but the image has 120 x 80 pixels"),
    ],
)
def test_a_cut_that_is_none_or_beyond_the_image_is_refused(tmp_path, cut, named):
    assert named in refused(of_sky(tmp_path, {}), cut=cut)


# Planes.


def plane(folder: Path, pixels: np.ndarray, name: str = "", file: str = "plane.fits") -> Path:
    other = ("FOO", np.zeros(pixels.shape), {})
    return write(folder, hdus_of((name, pixels, {}), *([other] if name else [])), file)


def test_a_weight_a_variance_and_an_rms_map_say_the_same(tmp_path):
    rms = np.ones(SHAPE)
    rms[:, 60:] = 3.0
    path = of_sky(tmp_path, {}, SKY + rms * (COUNTS - SKY))
    maps = {"rms": 7 * rms, "variance": rms**2, "weight": 0.1 / rms**2}
    maps["weight"][3:5, 6] = 0.0, -1.0
    images = {
        kind: opened(path, **{kind: plane(tmp_path, pixels, kind.upper())})
        for kind, pixels in maps.items()
    }
    assert np.argwhere(images["weight"].flags & 1).tolist() == [[3, 6], [4, 6]]
    for image in images.values():
        background = image.background / (SKY * 0.1)
        assert np.median(background[:, :60]) == pytest.approx(1, rel=0.1)
        ratio = np.median(background[:, 60:]) / np.median(background[:, :60])
        assert ratio == pytest.approx(9, rel=0.02)
    both = {"rms": plane(tmp_path, rms, "RMS"), "weight": plane(tmp_path, rms, "RMS")}
    assert "give one of weight, rms" in refused(path, **both)


def test_bits_of_a_mask_may_be_chosen(tmp_path):
    bits = np.zeros(SHAPE, np.int32)
    bits[5, 6], bits[7, 8], bits[9, 10] = 1, 4, 5
    mask = plane(tmp_path, bits, "DQ")
    path = of_sky(tmp_path, {})

    def hidden(**options) -> list[list[int]]:
        flags = opened(path, mask=mask, **options).flags
        return np.argwhere(flags & int(PixelFlag.NO_DATA)).tolist()

    assert hidden() == [[5, 6], [7, 8], [9, 10]]
    assert hidden(mask_bits=4) == [[7, 8], [9, 10]]
    assert hidden(mask_bits=2) == []
    assert "give mask as well" in refused(path, mask_bits=4)
    real = plane(tmp_path, bits.astype(np.float32), "DQ")
    assert "float32, which has no bits" in refused(path, mask=real, mask_bits=4)


@pytest.mark.parametrize("kind", ["mask", "weight", "variance", "rms"])
def test_planes_of_another_shape_or_of_no_clear_hdu_are_refused(tmp_path, kind):
    path = of_sky(tmp_path, {})
    small = plane(tmp_path, np.ones((80, 119)))
    message = refused(path, **{kind: small})
    assert f"{small}: the {kind} has shape (80, 119), {path} (80, 120)" in message
    two = write(tmp_path, hdus_of(("A", COUNTS, {}), ("B", COUNTS, {})), "two.fits")
    assert f"HDU 1 (A), 2 (B); name one '{kind}' by its EXTNAME" in refused(path, **{kind: two})
    zeros = plane(tmp_path, np.zeros(SHAPE))
    if kind == "mask":
        assert not opened(path, mask=zeros).flags.any()
    else:
        assert "nowhere finite and positive" in refused(path, **{kind: zeros})
    diagonal = np.eye(80, 120, 70)
    other = plane(tmp_path, diagonal if kind == "mask" else 1 - diagonal)
    part = opened(path, cut="60:120,0:80", **{kind: other})
    assert np.array_equal(part.flags & int(PixelFlag.NO_DATA), diagonal[:, 60:])


def test_a_weight_map_as_mask_is_refused(tmp_path):
    weight = plane(tmp_path, np.full(SHAPE, 0.5))
    assert "is it a weight map? Then give it as weight" in refused(
        of_sky(tmp_path, {}), mask=weight
    )


def test_a_photofield_is_of_sdss_alone(tmp_path):
    message = refused(of_sky(tmp_path, {}), psf=write_photofield(tmp_path), fwhm=None)
    assert "only a frame of SDSS" in message and "give six numbers" in message


def test_the_scale_of_pixels_is_told_or_taken_for_that_of_sdss(tmp_path, caplog):
    path = write(tmp_path, fits.PrimaryHDU(COUNTS))
    with caplog.at_level(logging.WARNING):
        assert opened(path, pixel_scale=0.4).psf.fwhm == pytest.approx(1.4 / 0.4)
        assert not caplog.text
        assert opened(path).psf.fwhm == pytest.approx(1.4 / 0.396)
    assert "pixels are taken to measure 0.396 arcsec" in caplog.text
    assert "pixel_scale is -1" in refused(path, pixel_scale=-1.0)
    assert "pixels measure 25 arcsec" in refused(path, pixel_scale=25.0)
