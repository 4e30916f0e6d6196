"""Reading SDSS's files: the right numbers, and a refusal that names the place of every fault."""

import bz2
import io
import logging

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import FIELD_SHAPE, SINGLE_FIELD
from npecat_sim.surveys.sdss.frame import read_frame_sky
from npecat_sim.surveys.sdss.photofield import read_photofield
from tests.helpers.survey_files import (
    N_FIELDS,
    PHOTOFIELD_COLUMNS,
    bilinear,
    frame_data,
    photofield_data,
    write_frame,
    write_photofield,
)


def refusal(read, path) -> str:
    """The message of the refusal; it is one line that starts with the file."""
    with pytest.raises(NpecatError) as refused:
        read(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert message.endswith("from SDSS again")
    return message


def test_photofield_gives_the_r_band(tmp_path):
    table = read_photofield(write_photofield(tmp_path))
    growth = 1 + np.arange(N_FIELDS) / 100
    r_band = np.column_stack(
        [table.psf, table.fwhm, table.sky, table.gain, table.dark_variance, table.nmgy_per_count]
    )
    expected = np.outer(growth, list(PHOTOFIELD_COLUMNS.values()))
    np.testing.assert_allclose(r_band, expected, rtol=1e-6)
    assert table.identity.tolist() == [[94, 1, field] for field in range(11, 11 + N_FIELDS)]


def test_bad_fields_are_left_out_and_counted_whatever_they_hold(tmp_path, caplog):
    columns = photofield_data()
    columns["PHOTO_STATUS"][[0, 3]] = 3
    columns["SKY"][[0, 3]] = np.nan
    with caplog.at_level(logging.WARNING):
        table = read_photofield(write_photofield(tmp_path, columns))
    assert table.identity[:, 2].tolist() == [12, 13, 15, 16]
    np.testing.assert_allclose(table.sky[0], 5.2 * 1.01, rtol=1e-6)
    assert f"left out 2 of {N_FIELDS} fields" in caplog.text


def test_a_file_without_a_good_field_is_refused(tmp_path):
    columns = photofield_data()
    columns["PHOTO_STATUS"][:] = 1
    assert "no field has PHOTO_STATUS 0" in refusal(
        read_photofield, write_photofield(tmp_path, columns)
    )


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("PSF_SIGMA1", np.nan, "sigma1"),
        ("PSF_SIGMA2", 0.0, "sigma2"),
        ("PSF_SIGMAP", np.inf, "sigmap"),
        ("PSF_BETA", 1.9, "beta"),
        ("PSF_B", -0.1, "b"),
        ("PSF_P0", np.nan, "p0"),
        ("PSF_WIDTH", -1.5, "fwhm"),
        ("SKY", -0.1, "sky"),
        ("GAIN", 0.0, "gain"),
        ("DARK_VARIANCE", -1.0, "dark_variance"),
        ("NMGYPERCOUNT", np.nan, "nmgy_per_count"),
    ],
)
def test_unphysical_values_are_refused_by_row_and_column(tmp_path, column, value, named):
    columns = photofield_data()
    columns["PHOTO_STATUS"][1] = 3  # rows keep the numbers they have in the file
    columns[column][4, 2] = value
    message = refusal(read_photofield, write_photofield(tmp_path, columns))
    assert "row 4: " in message
    assert f"{named} is {value:g}" in message


@pytest.mark.parametrize("column", [*PHOTOFIELD_COLUMNS, "RUN", "PHOTO_STATUS"])
def test_missing_columns_are_refused(tmp_path, column):
    columns = photofield_data()
    del columns[column]
    message = refusal(read_photofield, write_photofield(tmp_path, columns))
    assert f"column {column} is missing" in message


def test_columns_of_another_length_or_type_are_refused(tmp_path):
    columns = photofield_data()
    columns["SKY"] = columns["SKY"][:, :4]
    assert "column SKY holds float32 of shape (4,)" in refusal(
        read_photofield, write_photofield(tmp_path, columns)
    )
    columns = photofield_data()
    columns["FIELD"] = columns["FIELD"].astype(np.float32)
    assert "column FIELD holds float32" in refusal(
        read_photofield, write_photofield(tmp_path, columns)
    )


@pytest.mark.parametrize("kept", [0, 100, 2880, 2900, 8640, -2880, -1])
def test_a_photofield_cut_short_is_refused(tmp_path, kept):
    path = write_photofield(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    refusal(read_photofield, path)


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "photoField-000094-1.fits"
    text.write_text("no FITS file\n" * 500)
    refusal(read_photofield, text)
    refusal(read_photofield, tmp_path / "photoField-000095-1.fits")
    assert "HDU 1 holds no BinTable" in refusal(read_photofield, write_frame(tmp_path))
    assert "HDU 1 holds no Image" in refusal(read_frame_sky, write_photofield(tmp_path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_frame_sky_equals_the_full_map(tmp_path, suffix):
    data = frame_data()
    identity, sky_map = read_frame_sky(write_frame(tmp_path, data, suffix=suffix))
    assert identity == (94, 1, 12)
    assert_equals_full_map(sky_map, data)


def assert_equals_full_map(sky_map, data) -> None:
    """Against SDSS's recipe, ALLSKY at (YINTERP, XINTERP) times the calibration, pixel by pixel."""
    electrons_per_nmgy = 989
    for top, left in [(0, 0), (700, 1730), (FIELD_SHAPE[0] - 80, FIELD_SHAPE[1] - 80)]:
        cut = np.s_[top : top + 80], np.s_[left : left + 80]
        full = bilinear(data["ALLSKY"], data["YINTERP"][cut[0]], data["XINTERP"][cut[1]])
        full *= data["calibration"][cut[1]]
        error = np.abs(sky_map.cut(top, left, shape=(80, 80)) - full).max() * electrons_per_nmgy
        assert error < 0.01


def change(name, index, value):
    def apply(data):
        data[name][index] = value

    return apply


def shorten(name):
    def apply(data):
        data[name] = data[name][:-1]

    return apply


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (change("calibration", 7, np.nan), "calibration[7] is nan"),
        (change("calibration", 0, -0.0047), "calibration[0] is -0.0047"),
        (change("ALLSKY", (3, 5), -1), "grid[3, 5] is -1"),
        (change("ALLSKY", (3, 5), np.inf), "grid[3, 5] is inf"),
        (shorten("calibration"), "HDU 1"),
        (shorten("XINTERP"), "column XINTERP holds float32 of shape (2047,)"),
        (shorten("YINTERP"), "column YINTERP holds float32 of shape (1488,)"),
        (change("XINTERP", 9, 3.0), "column XINTERP is not linear"),
        (change("YINTERP", 9, np.nan), "column YINTERP is not linear"),
        (lambda data: data.update(YINTERP=data["YINTERP"] * 1.1), "not one"),
        (lambda data: data.update(ALLSKY=data["ALLSKY"][:, :100]), "does not cover"),
        (lambda data: data.update(ALLSKY=data["ALLSKY"].ravel()), "column ALLSKY holds"),
        (lambda data: data.pop("ALLSKY"), "column ALLSKY is missing"),
    ],
)
def test_malformed_frames_are_refused(tmp_path, fault, named):
    data = frame_data()
    fault(data)
    assert named in refusal(read_frame_sky, write_frame(tmp_path, data))


def test_a_frame_of_another_band_is_refused(tmp_path):
    message = refusal(read_frame_sky, write_frame(tmp_path, band="g"))
    assert "FILTER is 'g', not 'r'; fields are simulated in the r band alone" in message


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("RUN", np.int64(94 + 2**32), "column RUN holds 4294967390, which does not fit in int32"),
        ("FIELD", True, "column FIELD holds bool"),
        ("GAIN", np.ones(5, bool), "column GAIN holds bool"),
        ("CAMCOL", 1.0, "column CAMCOL holds float64"),
        ("PHOTO_STATUS", np.int64(2**32), "column PHOTO_STATUS holds 4294967296"),
    ],
)
def test_columns_of_another_type_or_too_large_are_refused(tmp_path, name, values, named):
    columns = photofield_data()
    columns[name] = np.array([values] * N_FIELDS)
    assert named in refusal(read_photofield, write_photofield(tmp_path, columns))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_frames_cut_short_or_damaged_are_refused(tmp_path, suffix):
    path = write_frame(tmp_path, suffix=suffix)
    content = path.read_bytes()
    for kept in (100, len(content) // 2, len(content) - 4):
        path.write_bytes(content[:kept])
        refusal(read_frame_sky, path)
    if suffix:
        damaged = bytearray(content)
        damaged[len(content) // 2] ^= 255
        path.write_bytes(damaged)
        refusal(read_frame_sky, path)


def test_real_photofield_holds_the_single_field(sdss_dir):
    table = read_photofield(sdss_dir / "photoField-000094-1.fits")
    row = table.identity.tolist().index([94, 1, 12])
    for name in ("psf", "sky", "gain", "dark_variance", "nmgy_per_count"):
        np.testing.assert_allclose(
            getattr(table, name)[row], getattr(SINGLE_FIELD, name)[0], rtol=1e-6
        )
    assert table.fwhm[row] == pytest.approx(SINGLE_FIELD.fwhm[0], abs=1e-4)


def test_real_frame_sky_equals_the_full_map(sdss_dir):
    path = sdss_dir / "frame-r-000094-1-0012.fits.bz2"
    if not path.exists():
        pytest.skip(f"no {path.name} among the SDSS files")
    identity, sky_map = read_frame_sky(path)
    assert identity == (94, 1, 12)
    with fits.open(io.BytesIO(bz2.decompress(path.read_bytes()))) as hdus:
        sky = hdus[2].data
        data = {name: sky[name][0] for name in ("ALLSKY", "XINTERP", "YINTERP")}
        assert_equals_full_map(sky_map, data | {"calibration": hdus[1].data})
    centre = sky_map.cut(700, 1000, shape=(80, 80)).mean() / 0.396**2
    assert centre == pytest.approx(SINGLE_FIELD.sky[0], rel=0.01)
