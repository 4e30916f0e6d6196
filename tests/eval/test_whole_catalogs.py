"""Catalogs that were damaged, cut short or changed are refused; odd file names are kept legible."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table

from npecat_eval.catalog.formats import FORMATS, read_table, write_table
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.table import catalog_table
from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from tests.helpers.bit_flips import flip_bits
from tests.helpers.survey_images import random_model, survey_image


@pytest.fixture(scope="module")
def table():
    image = survey_image(122, 150)
    found = ImageReading.of(image, random_model()).catalog()
    return catalog_table(found, image, about={"CREATOR": "npecat", "INPUT": "frame-test.fits"})


def refusal(path) -> str:
    """The one line with which a catalog is refused."""
    with pytest.raises(NpecatError) as error:
        read_catalog(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_every_flipped_bit_is_refused_or_changes_nothing(table, tmp_path):
    """A flip in the blanks behind a header, or in the zeros behind data, changes nothing."""
    path = tmp_path / "catalog.fits"
    write_table(table, path)
    whole, n_refused = read_catalog(path), 0
    for _ in flip_bits(path, 200):
        try:
            found = read_catalog(path)
        except NpecatError as error:
            n_refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error)
        else:
            for name, values in vars(whole).items():
                assert np.array_equal(getattr(found, name), values), name
    assert n_refused > 120


def test_fits_has_the_checksums_of_the_standard(table, tmp_path):
    """A program that chooses rows must not keep the old ones; astropy does if nobody drops them."""
    path = tmp_path / "catalog.fits"
    write_table(table, path)
    with fits.open(path, checksum=True) as hdus:  # a wrong one would be a warning
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
    some = Table.read(path)[:5]
    some.write(tmp_path / "some.fits")
    assert "drop CHECKSUM and DATASUM if you changed it" in refusal(tmp_path / "some.fits")
    del some.meta["CHECKSUM"], some.meta["DATASUM"]
    some.write(tmp_path / "some.fits", overwrite=True)
    assert len(read_catalog(tmp_path / "some.fits")) == 5


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".parquet", ".vot", ".csv"])
def test_a_catalog_that_was_cut_is_refused(table, tmp_path, suffix):
    """A CSV file that was cut between two rows cannot be told from a shorter catalog."""
    path = tmp_path / f"catalog{suffix}"
    write_table(table, path)
    assert len(read_table(path)) == len(table)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for kept in (content[: len(content) // 2], b"".join(lines[:-1]), b"".join(lines[:-3])):
        path.write_bytes(kept)
        if suffix == ".csv":
            if kept.endswith(b"\n"):
                assert len(read_catalog(path)) < len(table)
        else:
            refusal(path)


def test_rows_may_be_chosen_where_the_header_says_so(table, tmp_path):
    path = tmp_path / "catalog.ecsv"
    write_table(table, path)
    some = Table.read(path)[:5]
    some.write(path, overwrite=True)
    assert f"has 5 rows, and NROWS in its header is {len(table)}" in refusal(path)
    del some.meta["NROWS"]
    some.write(path, overwrite=True)
    assert len(read_catalog(path)) == 5


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("name", "shown", "in_ascii"),
    [
        ("bad\udcff.fits", r"bad\udcff.fits", r"bad\udcff.fits"),  # a byte that is not UTF-8
        ("Ñandú β.fits", "Ñandú β.fits", r"\xd1and\xfa \u03b2.fits"),
        ("two\nlines\x1b.fits", r"two\nlines\x1b.fits", r"two\nlines\x1b.fits"),
        ("long" * 40 + ".fits", "long" * 40 + ".fits", "long" * 40 + ".fits"),
    ],
)
def test_every_name_of_an_input_is_kept(table, tmp_path, suffix, name, shown, in_ascii):
    path = tmp_path / f"catalog{suffix}"
    named = table.copy()
    named.meta["INPUT"] = name
    write_table(named, path)
    assert named.meta["INPUT"] == name
    if suffix == ".fits":
        assert fits.getheader(path, 1)["INPUT"] == in_ascii
    elif suffix in (".vot", ".xml"):
        assert [i.value for i in parse(path).resources[0].infos if i.name == "INPUT"] == [shown]
    elif suffix == ".reg":
        assert f"# INPUT: {shown}" in path.read_text(encoding="utf-8").split("\n")
    elif suffix != ".csv":
        assert read_table(path).meta["INPUT"] == shown
