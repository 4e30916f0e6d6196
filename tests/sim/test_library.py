"""Field libraries: what is imported comes back, and only whole, physical libraries load."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from npecat.commands.fields import fields
from npecat_sim.errors import NpecatError
from npecat_sim.fields import library
from npecat_sim.fields.library import load_library, save_library
from npecat_sim.fields.sdss_statistics import default_fields, draw_fields
from npecat_sim.fields.table import SCALARS, FieldTable
from npecat_sim.io.checksums import add_checksums
from npecat_sim.surveys.sdss.fields import import_fields
from tests.helpers.bit_flips import flip_bits
from tests.helpers.survey_files import (
    N_FIELDS,
    frame_data,
    photofield_data,
    write_frame,
    write_photofield,
)


def imported(folder: Path) -> FieldTable:
    """Two camera columns of N_FIELDS fields; 94/1/12 and 2583/2/13 have a sky map."""
    other = write_photofield(folder, photofield_data(2583, 2), "photoField-002583-2.fits")
    frames = [write_frame(folder, identity=key) for key in [(2583, 2, 13), (94, 1, 12)]]
    return import_fields([frames[0], write_photofield(folder), frames[1], other])


def assert_same(one: FieldTable, other: FieldTable) -> None:
    for name in ("identity", "psf", *SCALARS):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.sky_maps.keys() == other.sky_maps.keys()
    for row, sky_map in one.sky_maps.items():
        back = other.sky_maps[row]
        np.testing.assert_array_equal(sky_map.grid, back.grid)
        np.testing.assert_array_equal(sky_map.calibration, back.calibration)
        assert (sky_map.y0, sky_map.x0, sky_map.step) == (back.y0, back.x0, back.step)


def test_sky_maps_belong_to_their_fields(tmp_path):
    table = imported(tmp_path)
    assert len(table) == 2 * N_FIELDS
    owners = {tuple(table.identity[row].tolist()) for row in table.sky_maps}
    assert owners == {(94, 1, 12), (2583, 2, 13)}


def test_a_library_comes_back_the_same(tmp_path):
    table = imported(tmp_path)
    save_library(table, tmp_path / "library.fits")
    back = load_library(tmp_path / "library.fits")
    assert_same(table, back)
    assert back.source == "library"
    drawn = draw_fields(7, 1)
    save_library(drawn, tmp_path / "drawn.fits")
    assert_same(drawn, load_library(tmp_path / "drawn.fits"))


def test_columns_have_units(tmp_path):
    save_library(draw_fields(3, 0), tmp_path / "library.fits")
    with fits.open(tmp_path / "library.fits") as hdus:
        columns = hdus["FIELDS"].columns
        assert columns["SIGMA1"].unit == "pixel"
        assert columns["SKY"].unit == "nmgy/arcsec2"


def test_the_same_fields_give_the_same_bytes(tmp_path):
    for name in ("one.fits", "two.fits"):
        save_library(imported(tmp_path), tmp_path / name)
    assert (tmp_path / "one.fits").read_bytes() == (tmp_path / "two.fits").read_bytes()


def test_a_failed_save_leaves_the_old_library(tmp_path, monkeypatch):
    path = tmp_path / "library.fits"
    save_library(draw_fields(3, 0), path)
    before = path.read_bytes()

    def disk_full(hdus, partial, overwrite):
        partial.write_bytes(b"SIMPLE")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(library.fits.HDUList, "writeto", disk_full)
    with pytest.raises(NpecatError, match=r"library\.fits: cannot be written \(No space left"):
        save_library(draw_fields(4, 0), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_reads_a_library_while_it_is_saved_again_reads_the_old_one(tmp_path):
    path = tmp_path / "library.fits"
    save_library(draw_fields(3, 0), path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        save_library(draw_fields(4, 0), path)
        assert reader.read() == before
    assert len(load_library(path)) == 4


def refusal(path: Path) -> str:
    with pytest.raises(NpecatError) as refused:
        load_library(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "npecat fields import" in message
    assert "\n" not in message
    return message


def spoiled(folder: Path, spoil) -> str:
    """The refusal of a library of imported() after ``spoil`` changed its HDUs."""
    path = folder / "library.fits"
    save_library(imported(folder), path)
    with fits.open(path, mode="update") as hdus:
        spoil(hdus)
        add_checksums(hdus)
    return refusal(path)


def set_value(column, row, value):
    def spoil(hdus):
        hdus["FIELDS"].data[column][row] = value

    return spoil


def set_keyword(index, name, value):
    def spoil(hdus):
        hdus[index].header[name] = value

    return spoil


def set_pixel(index, value):
    def spoil(hdus):
        hdus[index].data[..., 4] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (set_value("SIGMA1", 3, np.nan), "row 3: PSF parameter sigma1 is nan"),
        (set_value("SKY", 2, -1), "row 2: sky is -1"),
        (set_value("DARK_VARIANCE", 0, 0), "row 0: dark_variance is 0"),
        (set_value("FIELD", 4, 11), "field 94/1/11 comes twice, from row 0 and row 4"),
        (set_keyword(0, "NPECAT", "catalog"), "this is no field library"),
        (set_keyword(0, "FORMAT", 99), "FORMAT is 99"),
        (set_keyword(0, "SKYMAPS", 3), "HDU 6 is missing"),
        (set_keyword(2, "FIELD", 999), "sky map of field 94/1/999, not in FIELDS"),
        (set_keyword(4, "STEP", 0.5), "does not cover a field"),
        (
            lambda hdus: [hdus[4].header.set(n, hdus[2].header[n]) for n in library.IDENTITY],
            "a second sky map of field 94/1/12",
        ),
        (set_pixel(2, np.nan), "row 1, sky map: grid[0, 4] is nan"),
        (set_pixel(3, -1), "row 1, sky map: calibration[4] is -1"),
        (lambda hdus: hdus[1].columns.change_name("FWHM", "SEEING"), "column FWHM is missing"),
    ],
)
def test_spoiled_libraries_are_refused(tmp_path, spoil, named):
    assert named in spoiled(tmp_path, spoil)


@pytest.mark.parametrize("make", [imported, lambda folder: draw_fields(40, 0)])
def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path, make):
    """A flip in the blanks behind a header, or in the zeros behind data, changes nothing."""
    path = tmp_path / "library.fits"
    save_library(make(tmp_path), path)
    before, n_refused = load_library(path).digest, 0
    for _ in flip_bits(path, 150):
        try:
            assert load_library(path).digest == before
        except NpecatError as error:
            n_refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert n_refused > 100


@pytest.mark.parametrize("name", [b"CHECKSUM", b"DATASUM "])
def test_a_library_without_a_checksum_is_refused(tmp_path, name):
    path = tmp_path / "library.fits"
    save_library(draw_fields(3, 0), path)
    path.write_bytes(path.read_bytes().replace(name + b"=", name[:-1] + b"X="))
    assert "CHECKSUM" in refusal(path)


def test_a_library_of_an_earlier_npecat_is_read_with_one_warning(tmp_path, caplog, monkeypatch):
    path = tmp_path / "library.fits"
    monkeypatch.setattr(library, "add_checksums", lambda hdus: None)
    monkeypatch.setattr(library, "FORMAT", 1)
    table = imported(tmp_path)
    save_library(table, path)
    monkeypatch.undo()
    assert_same(table, load_library(path))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_libraries_cut_short_and_other_files_are_refused(tmp_path):
    path = tmp_path / "library.fits"
    save_library(imported(tmp_path), path)
    content = path.read_bytes()
    for kept in (0, 3000, len(content) // 2, len(content) - 2880 * 4, len(content) - 1):
        path.write_bytes(content[:kept])
        refusal(path)
    assert "this is no field library" in refusal(write_photofield(tmp_path))
    assert "there is no such field library" in refusal(tmp_path / "none.fits")


def test_unphysical_fields_are_not_saved(tmp_path):
    table = draw_fields(3, 0)
    table.sky[1] = np.nan
    with pytest.raises(NpecatError, match="row 1: sky is nan"):
        save_library(table, tmp_path / "library.fits")
    assert not any(tmp_path.iterdir())


def test_import_refuses_what_does_not_fit_together(tmp_path):
    photofield = write_photofield(tmp_path)
    frame = write_frame(tmp_path)
    stranger = write_frame(tmp_path, identity=(3900, 6, 269))
    unlisted = write_frame(tmp_path, identity=(94, 1, 400))
    (tmp_path / "photos.fits").write_bytes(photofield.read_bytes())
    for paths, named in [
        ([frame], "add photoField-000094-1.fits"),
        ([photofield, stranger], "add photoField-003900-6.fits"),
        ([photofield, unlisted], "no good field 94/1/400; leave this frame out"),
        ([photofield, frame, frame], "a second frame of field 94/1/12"),
        ([photofield, photofield], "field 94/1/11 comes twice"),
        ([tmp_path / "photos.fits"], "keep the names that SDSS gives"),
    ]:
        with pytest.raises(NpecatError) as refused:
            import_fields(paths)
        assert named in str(refused.value)


def test_a_sky_map_gives_the_background(tmp_path):
    data = frame_data()
    data["ALLSKY"][:] = 200
    table = import_fields([write_photofield(tmp_path), write_frame(tmp_path, data)])
    background = table.background(1, 80, generator=np.random.default_rng(0))
    levels = np.unique(background)
    np.testing.assert_allclose(levels, 200 * np.unique(data["calibration"]), rtol=1e-6)


def run(*words) -> str:
    result = CliRunner().invoke(fields, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_import_and_show(tmp_path):
    path = tmp_path / "library.fits"
    frame = write_frame(tmp_path)
    text = run("import", write_photofield(tmp_path), frame, "-o", path)
    assert f"{N_FIELDS} fields, 1 with a sky map" in text
    line = run("show", path).splitlines()[1].split()
    assert line[:3] == ["94/1", str(N_FIELDS), "1"]
    assert line[-2:] == ["0.0%", f"{4.71 / 0.00475:.0f}"]
    assert (tmp_path / "library.png").read_bytes().startswith(b"\x89PNG")


def test_show_without_a_library_shows_the_default_fields(tmp_path):
    text = run("show", "-o", tmp_path / "default.png")
    assert text.splitlines()[1].split()[:2] == ["synthetic", str(len(default_fields()))]
    assert (tmp_path / "default.png").exists()
