"""Frames of SDSS become survey images with the PSF, gain and mask that lie beside them."""

import bz2
import gzip
import logging

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.surveys.open import open_image
from npecat_sim.surveys.sdss.optics import field_optics
from npecat_sim.surveys.sdss.photofield import BANDS, read_photofield
from tests.helpers.survey_files import (
    COORDINATES,
    OF_BANDS,
    PHOTOFIELD_COLUMNS,
    PSFIELD,
    SMALL,
    bilinear,
    photofield_data,
    small_frame_data,
    write_frame,
    write_mask,
    write_photofield,
    write_psfield,
)

PHOTOFIELD_PSF = np.array(list(PHOTOFIELD_COLUMNS.values())[:6]) * 1.01
PSFIELD_PSF = np.array(list(PSFIELD.values())[:6])


@pytest.fixture
def frame(tmp_path):
    """A small frame of field 94/1/12 whose photoField file lies beside it."""
    write_photofield(tmp_path)
    return write_frame(tmp_path, small_frame_data())


def refusal(path, *arguments) -> str:
    with pytest.raises(NpecatError) as refused:
        open_image(path, **dict(zip(("psf", "mask"), arguments, strict=False)))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)]
)
def test_a_frame_gives_image_sky_and_coordinates(frame, suffix, pack):
    packed = frame.with_name(frame.name + suffix)
    packed.write_bytes(pack(frame.read_bytes()))
    image = open_image(packed)
    data = small_frame_data()
    np.testing.assert_array_equal(image.image, data["image"])
    sky = bilinear(data["ALLSKY"], data["YINTERP"], data["XINTERP"]) * data["calibration"]
    # n counts of sky have a variance of n / gain counts^2; this field's row is the second.
    dark = 1.8 * 1.01 * (4.71 * 1.01) * data["calibration"].mean()
    np.testing.assert_allclose(image.background, sky + dark, rtol=1e-5)
    assert image.image.dtype == image.background.dtype == np.float32
    place = image.wcs.pixel_to_world(10, 20)
    assert (place.ra.deg, place.dec.deg) == pytest.approx(
        (COORDINATES["CRVAL1"], COORDINATES["CRVAL2"])
    )
    assert image.wcs.pixel_to_world(11, 20).dec.deg > place.dec.deg
    assert image.name == str(packed)
    assert not image.flags.any()
    named = {"run": 94, "camcol": 1, "field": 12}
    assert named.items() <= image.origin.items()


def test_psf_and_gain_come_from_the_photofield_beside_the_frame(frame, tmp_path):
    write_psfield(tmp_path)
    image = open_image(frame)
    np.testing.assert_allclose(image.psf.parameters, PHOTOFIELD_PSF, rtol=1e-6)
    calibration = small_frame_data()["calibration"].mean(dtype=np.float64)
    assert image.electrons_per_nmgy == pytest.approx(4.71 * 1.01 / calibration, rel=1e-6)


def test_without_a_photofield_the_psfield_serves_and_without_both_none(frame, tmp_path):
    (tmp_path / "photoField-000094-1.fits").unlink()
    message = refusal(frame)
    assert message.startswith(f"{frame}: no PSF is known")
    assert "photoField-000094-1.fits or psField-000094-1-0012.fit" in message
    write_psfield(tmp_path)
    image = open_image(frame)
    np.testing.assert_allclose(image.psf.parameters, PSFIELD_PSF, rtol=1e-6)
    calibration = small_frame_data()["calibration"].mean(dtype=np.float64)
    assert image.electrons_per_nmgy == pytest.approx(4.6 / calibration, rel=1e-6)


def test_a_psf_may_be_given_as_a_file_or_as_numbers(frame, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    image = open_image(frame, psf=str(write_psfield(elsewhere)))
    np.testing.assert_allclose(image.psf.parameters, PSFIELD_PSF, rtol=1e-6)
    dark = image.background
    image = open_image(frame, psf=",".join(map(str, PSFIELD_PSF)))
    np.testing.assert_array_equal(image.psf.parameters, PSFIELD_PSF)
    calibration = small_frame_data()["calibration"].mean()
    more = (1.8225 * 4.71 - 1.0 * 4.6) * calibration  # camera column 1 against the file's
    np.testing.assert_allclose(image.background - dark, more, rtol=1e-3)
    calibration = small_frame_data()["calibration"].mean(dtype=np.float64)
    assert image.electrons_per_nmgy == pytest.approx(4.71 / calibration)  # camera column 1


def test_the_mask_beside_the_frame_flags_its_spans(frame, tmp_path):
    write_mask(
        tmp_path,
        {
            1: [[(0, 0, 2), (1, 1, 1)]],
            2: [[(39, 40, 47)]],
            4: [[(5, 5, 5)]],
            8: [[(7, 3, 9)]],
            10: [[(0, 2, 2)]],
        },
    )
    flags = open_image(frame).flags
    expected = np.zeros(SMALL, np.uint8)
    expected[0, 0:3] = expected[1, 1] = PixelFlag.INTERPOLATED
    expected[39, 40:48] = PixelFlag.SATURATED
    expected[7, 3:10] = PixelFlag.HALO
    expected[0, 2] |= int(PixelFlag.COSMIC_RAY)
    np.testing.assert_array_equal(flags, expected)


def test_pixels_that_are_not_finite_hold_no_data(tmp_path):
    write_photofield(tmp_path)
    write_mask(tmp_path, {2: [[(3, 4, 4)]]})
    data = small_frame_data()
    data["image"][3, 4:7] = np.nan, np.inf, -np.inf
    image = open_image(write_frame(tmp_path, data))
    assert image.image[3, 4:7].tolist() == [0, 0, 0]
    assert image.flags[3, 4:7].tolist() == [
        PixelFlag.NO_DATA | PixelFlag.SATURATED,
        PixelFlag.NO_DATA,
        PixelFlag.NO_DATA,
    ]
    assert np.count_nonzero(image.flags) == 3


def test_files_of_another_field_are_refused(frame, tmp_path):
    other = write_psfield(tmp_path, field=13)
    assert refusal(frame, str(other)).startswith(
        f"{other}: it is of run, camcol, field (94, 1, 13)"
    )
    columns = photofield_data()
    columns["FIELD"] += 10
    beside = write_photofield(tmp_path, columns)
    assert f"{beside}: 0 rows are of field 94/1/12" in refusal(frame)
    columns = photofield_data()
    columns["PHOTO_STATUS"][1] = 3
    write_photofield(tmp_path, columns)
    assert "row 1: PHOTO_STATUS is not 0" in refusal(frame)
    write_photofield(tmp_path)
    mask = write_mask(tmp_path, {}, field=13)
    assert refusal(frame, None, mask).startswith(f"{mask}: it is the mask of")


def test_only_the_field_s_own_row_of_a_photofield_matters(frame, tmp_path):
    columns = photofield_data()
    columns["PSF_SIGMA1"][0, 2] = -1
    write_photofield(tmp_path, columns)
    assert open_image(frame).psf.parameters[0] == pytest.approx(PHOTOFIELD_PSF[0])


@pytest.mark.parametrize(("band", "factor"), list(zip(BANDS, OF_BANDS, strict=True)))
def test_a_frame_of_any_band_has_its_own_psf_detector_and_mask(tmp_path, caplog, band, factor):
    data = small_frame_data()
    calibration = data["calibration"].mean(dtype=np.float64)
    gain, dark = 4.71 * 1.01 * factor, 1.8 * 1.01 * factor
    sky = bilinear(data["ALLSKY"], data["YINTERP"], data["XINTERP"]) * data["calibration"]
    background = sky + dark * gain * calibration
    data["image"] *= np.float32(np.sqrt(background.mean() * calibration / gain) / 0.03)
    frame = write_frame(tmp_path, data, band=band)
    write_photofield(tmp_path)
    masks = {
        name: write_mask(tmp_path, {2: [[(row, 4, 4)]]}, band=name)
        for row, name in enumerate(BANDS)
    }
    with caplog.at_level(logging.INFO):
        image = open_image(frame)
    assert image.band == band
    np.testing.assert_allclose(image.psf.parameters, PHOTOFIELD_PSF * factor, rtol=1e-6)
    assert image.electrons_per_nmgy == pytest.approx(gain / calibration, rel=1e-6)
    np.testing.assert_allclose(image.background, background, rtol=1e-5)
    assert np.argwhere(image.flags).tolist() == [[BANDS.index(band), 4]]
    assert f"pixels are flagged as in {masks[band]}" in caplog.text
    warnings = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert len(warnings) == (band != "r")
    assert (
        not warnings or f"band {band}; types and flux priors are those of the r band" in caplog.text
    )

    image = open_image(frame, psf=str(write_psfield(tmp_path)))
    np.testing.assert_allclose(image.psf.parameters, PSFIELD_PSF * factor, rtol=1e-6)
    assert image.electrons_per_nmgy == pytest.approx(4.6 * factor / calibration, rel=1e-6)


def test_a_mask_of_another_band_is_refused(frame, tmp_path):
    mask = write_mask(tmp_path, {}, band="i")
    assert "it is the mask of the i band, the frame is of r" in refusal(frame, None, mask)


@pytest.mark.parametrize(
    ("identity", "named"),
    [((94, 7, 12), "SDSS has no RUN 94, CAMCOL 7"), ((-1, 1, 12), "SDSS has no RUN -1, CAMCOL 1")],
)
def test_frames_that_sdss_cannot_have_are_refused(tmp_path, identity, named):
    frame = write_frame(tmp_path, small_frame_data(), identity=identity)
    assert named in refusal(frame, "1,3,2,3,0.1,0.1")
    frame = write_frame(tmp_path, small_frame_data(), band="y")
    assert "FILTER is 'y', none of u g r i z" in refusal(frame, "1,3,2,3,0.1,0.1")


NUMBERS = "1,3,2,3,0.1,0.1"


@pytest.mark.parametrize(
    ("band", "run", "camcol", "gain", "dark_variance"),
    [
        ("u", 1099, 2, 1.595, 12.6025),
        ("u", 1101, 2, 1.825, 12.6025),
        ("g", 94, 1, 3.32, 15.6025),
        ("r", 94, 6, 4.895, 0.9025),
        ("i", 1499, 4, 4.885, 6.25),
        ("i", 1501, 4, 4.885, 7.5625),
        ("z", 1501, 5, 3.48, 2.1025),
    ],
)
def test_with_numbers_the_detector_is_that_of_band_column_and_run(
    band, run, camcol, gain, dark_variance
):
    optics = field_optics(NUMBERS, (run, camcol, 12), band=band)
    assert (optics.gain, optics.dark_variance) == (gain, dark_variance)


def test_numbers_are_refused_where_the_gain_is_not_known():
    with pytest.raises(NpecatError, match="the gain of run 94, camera column 2 in the i band"):
        field_optics(NUMBERS, (94, 2, 12), band="i")


@pytest.mark.parametrize("status", [3, 4, 5, 6, 7, -1, 35])
def test_a_psfield_without_a_psf_of_the_field_is_refused(frame, tmp_path, status):
    psfield = write_psfield(tmp_path, status=(0, 0, status, 0, 0))
    message = refusal(frame, str(psfield))
    assert message.startswith(f"{psfield}: the status of the r band is {status} (")


@pytest.mark.parametrize(("status", "warned"), [(0, False), (32, False), (1, True), (66, True)])
def test_a_psf_of_few_stars_is_taken_with_a_warning(frame, tmp_path, caplog, status, warned):
    open_image(frame, psf=str(write_psfield(tmp_path, status=(3, 3, status, 3, 3))))
    assert (f"the status of the r band is {status} (PSF" in caplog.text) == warned
    assert len(caplog.records) == warned


@pytest.mark.parametrize(
    ("name", "run", "camcol", "field"),
    [
        ("photoField-000094-1.fits", 94, 1, 12),
        ("photoField-002583-2.fits", 2583, 2, None),
        ("photoField-003900-6.fits", 3900, 6, None),
        ("psField-003900-6-0269.fit", 3900, 6, 269),
    ],
)
def test_real_files_agree_with_the_table_of_detectors(sdss_dir, name, run, camcol, field):
    path = sdss_dir / name
    if not path.exists():
        pytest.skip(f"no {name} among the SDSS files")
    if field is None:
        field = int(read_photofield(path).identity[0, 2])
    for band in BANDS:
        optics = field_optics(str(path), (run, camcol, field), band=band)
        if (band, camcol) == ("i", 2):
            assert optics.gain == pytest.approx(5.195)
        else:
            known = field_optics(NUMBERS, (run, camcol, field), band=band)
            assert optics.gain == pytest.approx(known.gain)
            assert optics.dark_variance == pytest.approx(known.dark_variance)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gain": 2.0}, "gain is for images of other surveys"),
        ({"sky": 2.0}, "sky is for images of other surveys"),
        ({"hdu": "0"}, "hdu is for images of other surveys"),
        ({"cut": "0:40,0:40"}, "cut is for images of other surveys"),
        ({"fwhm": 2e3}, "its PSF .as given. is 5051 pixels wide"),
        ({"saturate": 0.01}, "a saturation at 0.01 nmgy .as given. is no more than its sky"),
        ({"psf": "1,2,3"}, "give six numbers"),
        ({"psf": "a,b,c,d,e,f"}, "give six numbers"),
        ({"psf": "-1,3,2,3,0.1,0.1"}, "sigma1 is -1"),
        ({"psf": "absent.fits"}, "absent.fits: cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_refused(frame, options, named):
    with pytest.raises(NpecatError, match=named):
        open_image(frame, **options)


def test_the_real_frame(sdss_dir):
    image = open_image(sdss_dir / "frame-r-000094-1-0012.fits.bz2")
    assert image.image.shape == (1489, 2048)
    assert image.electrons_per_nmgy == pytest.approx(987.3, abs=0.1)
    assert image.background.mean() == pytest.approx(0.8732 + 0.0409, abs=1e-3)
    counted = {flag.name: np.count_nonzero(image.flags & flag) for flag in PixelFlag}
    counts = {"NO_DATA": 0, "SATURATED": 523, "COSMIC_RAY": 495, "INTERPOLATED": 18861}
    assert {**counts, "HALO": 18018}.items() <= counted.items()
    of_psfield = open_image(
        sdss_dir / "frame-r-000094-1-0012.fits.bz2",
        psf=str(sdss_dir / "psField-000094-1-0012.fit"),
    )
    np.testing.assert_allclose(of_psfield.psf.parameters, image.psf.parameters, rtol=1e-6)
    assert of_psfield.electrons_per_nmgy == pytest.approx(image.electrons_per_nmgy)
    noise = np.sqrt(image.background / image.electrons_per_nmgy)
    chi = (image.image / noise)[image.flags == 0]
    spread = np.subtract(*np.quantile(chi, [0.8413, 0.1587])) / 2
    assert 1.0 < spread < 1.12
