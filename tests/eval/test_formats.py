"""Catalogs in every format, read back by astropy; what they hold; flags."""

import re
from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table

from npecat_eval.catalog import formats as catalog_files
from npecat_eval.catalog.flags import SourceFlag, source_flags
from npecat_eval.catalog.formats import FORMATS, write_table
from npecat_eval.catalog.reading import ImageReading
from npecat_eval.catalog.saturated import SaturatedStars
from npecat_eval.catalog.table import (
    catalog_columns,
    catalog_table,
    draws_columns,
    draws_table,
    provenance,
)
from npecat_eval.survey_catalog import SurveyCatalog
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import PixelFlag
from tests.helpers.survey_images import random_model, survey_image

READERS = {
    ".fits": "fits",
    ".ecsv": "ascii.ecsv",
    ".parquet": "parquet",
    ".vot": "votable",
    ".xml": "votable",
    ".csv": "ascii.csv",
}
FLUXES = ("flux_r", "flux_r_sigma", "flux_r_q16", "flux_r_q50", "flux_r_q84")


@pytest.fixture(scope="module")
def image():
    return survey_image(122, 150)


@pytest.fixture(scope="module")
def reading(image):
    return ImageReading.of(image, random_model())


@pytest.fixture(scope="module")
def table(image, reading):
    about = provenance(image, replace(random_model(), weights_sha256="ab" * 32))
    return catalog_table(reading.catalog(), image, about=about)


def test_columns_hold_the_posterior_and_the_place_on_the_sky(table, image, reading):
    found = reading.catalog()
    assert table.colnames == [column.name for column in catalog_columns("r")] and len(table) > 30
    place = SkyCoord(table["ra"], table["dec"])
    x, y = image.wcs.world_to_pixel(place)
    assert x == pytest.approx(table["x"].data, abs=1e-6)
    assert y == pytest.approx(table["y"].data, abs=1e-6)
    for level in ("16", "50", "84"):
        below = found.flux.cdf(found.flux.quantile(0.5).new_tensor(table[f"flux_r_q{level}"].data))
        assert below.numpy() == pytest.approx(int(level) / 100, abs=1e-6)
    assert table["flux_r"].tolist() == table["flux_r_q50"].tolist()
    assert table["mag_r"].data == pytest.approx(22.5 - 2.5 * np.log10(table["flux_r"]), abs=1e-5)
    assert table["x_sigma"].data == pytest.approx(found.position.x.std().numpy(), rel=1e-6)
    fwhm = image.psf.fwhm * 0.396
    assert table["psf_fwhm"].data == pytest.approx(fwhm, rel=1e-4)


@pytest.mark.parametrize("suffix", READERS)
def test_table_is_read_back_as_it_was_without_a_warning(table, tmp_path, suffix):
    path = tmp_path / f"catalog{suffix}"
    write_table(table, path)
    back = Table.read(path, format=READERS[suffix])
    for name in table.colnames:
        assert np.array_equal(back[name], table[name]), name
    for column in catalog_columns("r"):
        if column.unit == "nmgy" and suffix in (".fits", ".vot", ".xml"):
            twin = back[f"{column.name}_njy"]
            assert twin.unit == units.nJy and "nanomaggies" in _description(path, column.name)
            assert np.asarray(twin) == pytest.approx(3631 * table[column.name].data)
        elif suffix != ".csv":
            assert back[column.name].unit == (column.unit or None)
    if suffix in (".fits", ".ecsv", ".parquet"):
        assert back.meta.items() >= table.meta.items()
        assert back.meta["WEIGHTS"] == "ab" * 32 and "0-indexed" in back.meta["PIXELS"]


def _description(path, name: str) -> str:
    if path.suffix == ".fits":
        header = fits.getheader(path, 1)
        return next(header[f"TCOMM{n}"] for n in range(1, 99) if header[f"TTYPE{n}"] == name)
    return parse(path).get_first_table().get_field_by_id(name).description


def test_fits_and_votable_pass_strict_verification(table, tmp_path):
    for suffix in (".fits", ".vot"):
        write_table(table, tmp_path / f"catalog{suffix}")
    with fits.open(tmp_path / "catalog.fits") as hdus:
        hdus.verify("exception")
        assert all(hdu.header.tostring().isascii() for hdu in hdus)
    file = parse(tmp_path / "catalog.vot", verify="exception")
    about = {info.name: info.value for info in file.resources[0].infos}
    assert about["WEIGHTS"] == "ab" * 32 and about["INPUT"] == "frame-test.fits"


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_table_gives_the_same_bytes(table, tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in ("first", "again")]
    for path in paths:
        write_table(table, path)
    first, again = [path.read_bytes() for path in paths]
    assert first == again and sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize("on_sky", [True, False])
def test_regions_mark_each_source_where_it_is(reading, image, tmp_path, on_sky):
    image = image if on_sky else replace(image, wcs=None)
    table = catalog_table(reading.catalog(), image, about={"INPUT": "frame-test.fits"})
    write_table(table, tmp_path / "catalog.reg")
    lines = (tmp_path / "catalog.reg").read_text().splitlines()
    assert lines[0] == "# Region file format: DS9 version 4.1"
    assert "# INPUT: frame-test.fits" in lines
    start = lines.index("icrs" if on_sky else "image") + 1
    assert len(lines) - start == len(table)
    for line, row in zip(lines[start:], table, strict=True):
        kind, first, second = re.match(r"(\w+)\(([-.\d]+),([-.\d]+),", line).groups()
        expected = (row["ra"], row["dec"]) if on_sky else (row["x"] + 1, row["y"] + 1)
        assert (float(first), float(second)) == pytest.approx(expected, abs=1e-3)
        assert kind == ("box" if row["prob_galaxy"] > 0.5 else "circle")


def test_draws_are_a_table_too(reading, image, tmp_path):
    draws = draws_table(reading.draws(20, seed=0), image, about={"SEED": 0})
    assert draws.colnames == [column.name for column in draws_columns("r")] and set(
        draws["draw"]
    ) == {*range(20)}
    for suffix, reader in READERS.items():
        write_table(draws, tmp_path / f"draws{suffix}")
        back = Table.read(tmp_path / f"draws{suffix}", format=reader)
        assert len(back) == len(draws) and np.array_equal(back["source"], draws["source"])
        galaxies = np.asarray(back["is_galaxy"]).astype(str) == "True"
        assert np.array_equal(galaxies, draws["is_galaxy"]), suffix


def test_columns_bear_the_band(reading, image, tmp_path):
    other = replace(image, band="i")
    about = provenance(other, random_model())
    catalog = SurveyCatalog(other, reading, SaturatedStars.of(other), about)
    of_r = catalog_table(reading.catalog(), image, about={})
    names = [name.replace("flux_r", "flux_i").replace("mag_r", "mag_i") for name in of_r.colnames]
    assert catalog.rows.colnames == names and catalog.rows.meta["BAND"] == "i"
    assert catalog.rows["flux_i"].tolist() == of_r["flux_r"].tolist()
    assert "flux_i_q84" in catalog.rows["flux_i_sigma"].description
    assert {"flux_i", "mag_i"} <= set(catalog.draws(2).colnames)
    assert catalog.table["mag_i"].info.format == ".3f"
    catalog.write(tmp_path / "catalog.reg")
    last = (tmp_path / "catalog.reg").read_text().splitlines()[-1]
    assert last.endswith(f"text={{{of_r['mag_r'][-1]:.2f}}}")


def test_catalog_without_sources_is_a_table_of_no_rows(image, tmp_path):
    model = random_model()
    model.network.head.bias.data[0] = -1e3
    nothing = ImageReading.of(image, model)
    table = catalog_table(nothing.catalog(), image, about={})
    draws = draws_table(nothing.draws(3, seed=0), image, about={})
    for suffix in FORMATS:
        write_table(table, tmp_path / f"catalog{suffix}")
    assert len(table) == len(draws) == len(Table.read(tmp_path / "catalog.fits")) == 0


@pytest.mark.parametrize("name", ["catalog.txt", "catalog", "catalog.fits.gz"])
def test_unknown_suffix_is_refused_with_those_that_there_are(table, tmp_path, name):
    with pytest.raises(NpecatError, match=r"no format has the suffix .*\.fits .*\.reg"):
        write_table(table, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_parquet_says_what_to_install(table, tmp_path, monkeypatch):
    monkeypatch.setattr(catalog_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NpecatError, match=r"npecat\[parquet\]"):
        write_table(table, tmp_path / "catalog.parquet")


def test_flags_tell_of_bad_pixels_in_the_core_and_of_the_edge(image):
    radius = image.psf.fwhm  # 3.6 pixels
    assert 3 < radius < 4
    flags = image.flags.copy()
    for place, flag in enumerate(PixelFlag, start=1):
        flags[50, 20 * place] = flag
    flagged = replace(image, flags=flags)
    places = {
        (20, 50): SourceFlag.NO_DATA,
        (43, 51): SourceFlag.SATURATED,
        (60.4, 46.9): SourceFlag.COSMIC_RAY,
        (80, 53): SourceFlag.INTERPOLATED,
        (80, 54): SourceFlag(0),
        (100, 49): SourceFlag.HALO,
        (146, 60): SourceFlag(0),
        (147, 60): SourceFlag.EDGE,
        (75, 3): SourceFlag(0),
        (75, 2): SourceFlag.EDGE,
        (75, 121.4): SourceFlag.EDGE,
    }
    x, y = np.array(list(places)).T
    found = [SourceFlag(int(bits)) for bits in source_flags(x, y, image=flagged)]
    assert found == list(places.values())
    both = source_flags(np.array([1.0]), np.array([50.0]), image=replace(image, flags=flags | 6))
    assert both.tolist() == [SourceFlag.SATURATED | SourceFlag.COSMIC_RAY | SourceFlag.EDGE]
