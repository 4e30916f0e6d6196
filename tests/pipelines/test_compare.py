"""Comparison with SDSS's catalog: planted differences come back as numbers, and by name."""

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from scipy.spatial import KDTree

from npecat.commands.compare import compare
from npecat_eval.catalog.flags import SourceFlag
from npecat_eval.real_images.photoobj import BRIGHT, SKY, read_photoobj
from npecat_eval.real_images.sdss_comparison import Comparison
from npecat_eval.real_images.sdss_tables import BINS, disagreements, joined, summary
from npecat_eval.real_images.sky_catalog import projected, read_catalog
from npecat_sim.errors import NpecatError
from npecat_sim.units import PIXEL_SCALE
from tests.helpers.sky_files import catalog_data, photoobj_data, sky_of, write_photoobj

N = 300


@pytest.fixture
def compared(tmp_path):
    """Write both files and compare them."""

    def run(photoobj: dict[str, np.ndarray], catalog: Table) -> Comparison:
        catalog.write(tmp_path / "catalog.fits", overwrite=True)
        sdss = read_photoobj(write_photoobj(tmp_path / "photoObj.fits", photoobj))
        return Comparison.of(read_catalog(tmp_path / "catalog.fits"), sdss)

    return run


def row_of(table: Table, low: float, high: float) -> Table.Row:
    return table[(table["mag_low"] == low) & (table["mag_high"] == high)][0]


def rows_between(photoobj: dict[str, np.ndarray], low: float, high: float) -> np.ndarray:
    magnitude = np.linspace(15, 22, N, endpoint=False)
    return np.flatnonzero((magnitude >= low) & (magnitude < high))


def test_perfect_catalog_has_no_disagreement(compared):
    comparison = compared(photoobj_data(N), catalog_data(photoobj_data(N)))
    row = row_of(summary(comparison), 15, 21)
    assert row["complete"] == row["agree"] == 1 and row["alone"] == 0
    assert row["star_ratio"] == pytest.approx(1, abs=1e-6)
    assert row["galaxy_ratio"] == pytest.approx(1, abs=1e-6)
    assert row["star_n"] + row["galaxy_n"] == len(rows_between(photoobj_data(N), 15, 21))
    assert len(disagreements(comparison)) == 0


def test_planted_differences_come_back(compared):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    bright, faint = rows_between(photoobj, 18, 20), rows_between(photoobj, 20, 21)
    catalog["prob_galaxy"][bright[:10]] = 1 - catalog["prob_galaxy"][bright[:10]]
    is_star = np.arange(N) % 2 == 0
    catalog["mag_r"][is_star] += 2.5 * np.log10(1.01)  # fainter by 1 %
    catalog["mag_r"][bright[20]] += 0.5
    far = catalog[bright[30:33]]
    far["x"] += 3.0
    far["ra"], far["dec"] = sky_of(far["x"], far["y"])
    far["flags"] = [0, 0, 2]
    catalog = Table(np.concatenate([catalog, far]))
    catalog.remove_rows(faint[:5])

    order = np.random.default_rng(0).permutation(len(catalog))
    comparison = compared(photoobj, catalog[order])
    table = summary(comparison)
    of_bright, of_faint = row_of(table, 18, 20), row_of(table, 20, 21)
    assert of_faint["complete"] == pytest.approx(1 - 5 / len(faint))
    assert of_faint["complete_low"] < of_faint["complete"] < of_faint["complete_high"]
    assert of_bright["agree"] == pytest.approx(1 - 10 / len(bright))
    assert of_bright["star_ratio"] == pytest.approx(1 / 1.01, abs=1e-5)
    assert of_bright["galaxy_ratio"] == pytest.approx(1, abs=1e-5)
    assert of_bright["alone"] == pytest.approx(3 / of_bright["alone_n"])
    assert of_bright["alone_unflagged"] == pytest.approx(2 / (of_bright["alone_n"] - 1))
    kinds, counts = np.unique(disagreements(comparison)["kind"], return_counts=True)
    assert dict(zip(kinds, counts, strict=True)) == {"extra": 3, "flux": 1, "missed": 5, "type": 10}
    listed = disagreements(comparison)
    wrong = listed[listed["kind"] == "type"]
    np.testing.assert_allclose(wrong["sdss_mag"], np.linspace(15, 22, N, False)[bright[:10]], 1e-5)
    np.testing.assert_allclose(wrong["mag_r"], catalog["mag_r"][bright[:10]], 1e-5)
    assert (wrong["sdss_type"] == np.where(is_star, "star", "galaxy")[bright[:10]]).all()
    missed = listed[listed["kind"] == "missed"]
    np.testing.assert_allclose(np.sort(missed["x"]), np.sort(photoobj["COLC"][faint[:5], 2] - 0.5))
    assert np.isnan(missed["mag_r"]).all() and (missed["flags"] == 0).all()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("NCHILD", 2),
        ("OBJC_FLAGS", BRIGHT),
        ("THING_ID", -1),
        ("OBJC_TYPE", 0),
        ("FLAGS", 0),
    ],
)
def test_rows_that_are_no_reference_are_not_missed_but_make_no_detection_lonely(
    compared, column, value
):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    photoobj[column][:50] = value
    with_all = summary(compared(photoobj, catalog))
    without = summary(compared(photoobj, catalog[50:]))
    for table in (with_all, without):
        row = row_of(table, -np.inf, 21)
        assert row["complete"] == 1 and row["alone"] == 0
        assert row["complete_n"] == len(rows_between(photoobj, 15, 21)) - 50


def test_sdss_is_not_asked_for_what_it_does_not_measure(compared):
    """Within 20 pixels of the frame's edge a detection is alone for no fault of its own."""
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    edge = Table(np.repeat(catalog[:1], 4))
    edge["x"], edge["y"] = [19.5, 20.5, 2047 - 19.5, 700], [700, 650, 800, 1488 - 19.5]
    edge["ra"], edge["dec"] = sky_of(edge["x"], edge["y"])
    edge["mag_r"] = 16.0
    before = row_of(summary(compared(photoobj, catalog)), 15, 18)
    comparison = compared(photoobj, Table(np.concatenate([catalog, edge])))
    row = row_of(summary(comparison), 15, 18)
    assert comparison.is_alone.sum() == 4
    assert row["alone_n"] == before["alone_n"] + 1 and row["alone"] * row["alone_n"] == 1
    assert (disagreements(comparison)["kind"] == "extra").sum() == 4


def test_places_of_empty_sky_are_no_sources(compared):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    photoobj["OBJC_TYPE"][0] = SKY
    assert compared(photoobj, catalog).is_alone.sum() == 1


def test_sources_match_one_to_one_within_an_arcsecond(compared):
    photoobj = photoobj_data(N)
    for shift, found in ((0.9, N), (1.1, 1)):
        catalog = catalog_data(photoobj)
        catalog["dec"][1:] += shift / 3600
        assert len(compared(photoobj, catalog).match.truth) == found
    catalog = catalog_data(photoobj)
    twice = Table(np.concatenate([catalog, catalog]))
    assert len(compared(photoobj, twice).match.truth) == N


def test_projection_keeps_distances_where_right_ascension_jumps():
    generator = np.random.default_rng(1)
    x, y = generator.uniform(0, 2048, 50), generator.uniform(0, 1489, 50)
    ra, dec = sky_of(x, y)
    plane = projected(ra, dec, centre=(float(ra[0]), float(dec[0])))
    distance = np.hypot(plane.x - plane.x[7], plane.y - plane.y[7]) / PIXEL_SCALE
    np.testing.assert_allclose(distance, np.hypot(x - x[7], y - y[7]), rtol=2e-3)
    far = projected((ra + 180) % 360, -dec, centre=(float(ra[0]), float(dec[0])))
    assert np.hypot(far.x, far.y)[1:].min() > 1e4


def test_joined_table_has_every_source_once(compared):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)[10:]
    table = joined(compared(photoobj, catalog))
    assert len(table) == N and np.isnan(table["mag_r"]).sum() == 10
    np.testing.assert_allclose(np.sort(table["x"]), np.sort(photoobj["COLC"][:, 2] - 0.5))
    assert table["nearest"].unit == "arcsec" and all(c.description for c in table.columns.values())


def test_a_catalog_is_compared_in_its_own_band(tmp_path):
    photoobj = photoobj_data(N, band="i")
    catalog_data(photoobj, "i").write(tmp_path / "catalog.fits")
    write_photoobj(tmp_path / "photoObj.fits", photoobj)
    names = ("catalog.fits", "photoObj.fits", "all.ecsv", "all.png")
    catalog, reference, output, plot = [str(tmp_path / name) for name in names]
    words = [catalog, reference, "-o", output, "--plot", plot]
    result = CliRunner().invoke(compare, words, catch_exceptions=False)
    lines = result.output.splitlines()
    assert lines[0].startswith("300 detections and 300 SDSS sources, 300 pairs")
    assert lines[2].startswith("SDSS i ") and lines[3].startswith("i < 15")
    assert "0 disagreements brighter than i = 21:" in lines
    every = Table.read(output)
    np.testing.assert_allclose(every["mag_i"], every["sdss_mag"], rtol=1e-5)
    other = catalog_data(photoobj, "i")
    other.rename_column("mag_i", "mag_V")
    other.write(catalog, overwrite=True)
    with pytest.raises(NpecatError, match="SDSS has the bands u g r i z, the catalog is of band V"):
        CliRunner().invoke(compare, words, catch_exceptions=False)


def test_command_prints_and_writes_the_same_bytes_again(tmp_path):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    catalog["prob_galaxy"][120] = 0.99
    catalog[2:].write(tmp_path / "catalog.ecsv")
    write_photoobj(tmp_path / "photoObj.fits", photoobj)
    written = []
    for name in ("a", "b"):
        plot, output = tmp_path / f"{name}.png", tmp_path / f"{name}.ecsv"
        words = [
            tmp_path / "catalog.ecsv",
            tmp_path / "photoObj.fits",
            "--plot",
            plot,
            "-o",
            output,
        ]
        result = CliRunner().invoke(compare, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0
        written.append((plot.read_bytes(), output.read_bytes()))
    assert written[0] == written[1]
    lines = result.output.splitlines()
    assert lines[0].startswith("298 detections and 300 SDSS sources, 298 pairs")
    assert sum(line.startswith(("missed ", "type ")) for line in lines) == 3
    assert (
        len([line for line in lines if " to " in line or line.startswith("r <")]) == len(BINS) + 3
    )
    assert max(map(len, lines)) <= 160


def test_reference_of_a_real_field(sdss_dir):
    sdss = read_photoobj(sdss_dir / "photoObj-000094-1-0012.fits")
    assert len(sdss) == 994 and sdss.is_reference.sum() == 622
    positions = np.column_stack([sdss.x, sdss.y])[sdss.is_reference]
    assert (positions > 0).all() and (positions < (2048, 1489)).all()
    apart, _ = KDTree(positions).query(positions, k=2)
    assert apart[:, 1].min() > 4  # nothing stands in it twice


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("RA", None, "column RA is missing"),
        ("PSFFLUX", None, "column PSFFLUX is missing"),
        ("FLAGS", np.zeros(N, np.int32), "column FLAGS holds int32 of shape"),
        ("THING_ID", np.full(N, "x"), "column THING_ID holds"),
        ("DEC", np.full(N, np.nan), "row 0: dec is nan"),
        ("NCHILD", np.full(N, 1, np.int16), "no row of a star or galaxy"),
    ],
)
def test_bad_photoobj_is_refused_in_one_line(tmp_path, name, value, problem):
    photoobj = photoobj_data(N)
    if value is None:
        del photoobj[name]
    else:
        photoobj[name] = value
    path = write_photoobj(tmp_path / "photoObj.fits", photoobj)
    with pytest.raises(NpecatError, match=problem) as caught:
        read_photoobj(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 100, 2880, 8000, -1])
def test_cut_files_are_refused_in_one_line(tmp_path, kept):
    photoobj = photoobj_data(N)
    for path, read in (
        (write_photoobj(tmp_path / "photoObj.fits", photoobj), read_photoobj),
        (tmp_path / "catalog.fits", read_catalog),
    ):
        if read is read_catalog:
            catalog_data(photoobj).write(path)
        path.write_bytes(path.read_bytes()[:kept])
        if read is read_catalog and kept == -1:
            continue  # its last byte is padding
        with pytest.raises(NpecatError, match=str(path)) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_saturated_star_without_a_flux_is_found_but_not_measured(tmp_path):
    photoobj = photoobj_data(N)
    catalog = catalog_data(photoobj)
    path = tmp_path / "catalog.ecsv"
    catalog["mag_r"][0] = np.nan
    catalog.write(path)
    with pytest.raises(NpecatError, match="row 0: mag_r is nan"):
        read_catalog(path)
    catalog["flags"][0] = SourceFlag.SATURATED
    catalog.write(path, overwrite=True)
    write_photoobj(tmp_path / "photoObj.fits", photoobj)
    comparison = Comparison.of(read_catalog(path), read_photoobj(tmp_path / "photoObj.fits"))
    row = row_of(summary(comparison), -np.inf, 21)
    assert row["complete"] == 1 and row["complete_n"] == row["agree_n"]
    assert row["star_ratio"] == pytest.approx(1, rel=1e-5)
    assert row["star_n"] + row["galaxy_n"] == row["agree_n"] - 1
    disagreements(comparison)
    joined(comparison)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ra", None, "column ra is missing; make it with npecat catalog"),
        ("ra", np.nan, "row 0: ra is nan; catalog an image that has a WCS"),
        ("mag_r", np.inf, "row 0: mag_r is inf"),
        ("mag_r", None, "0 columns hold magnitudes, such as mag_r, not one"),
        ("flags", "many", "column flags does not hold numbers"),
    ],
)
def test_bad_catalog_is_refused_in_one_line(tmp_path, name, value, problem):
    catalog = catalog_data(photoobj_data(N))
    if value is None:
        catalog.remove_column(name)
    else:
        catalog.replace_column(name, [value] * len(catalog))
    catalog.write(tmp_path / "catalog.ecsv")
    with pytest.raises(NpecatError, match=problem):
        read_catalog(tmp_path / "catalog.ecsv")


def test_missing_file_other_field_and_other_kinds_are_refused(compared, tmp_path):
    with pytest.raises(NpecatError, match=r"none\.fits does not exist"):
        read_catalog(tmp_path / "none.fits")
    with pytest.raises(NpecatError, match="none of the 0 detections"):
        compared(photoobj_data(N), catalog_data(photoobj_data(N))[:0])
    catalog = catalog_data(photoobj_data(N))
    catalog["dec"] += 0.1
    with pytest.raises(NpecatError, match="none of the 300 detections lies within 1 arcsec"):
        compared(photoobj_data(N), catalog)
    for words in ("--plot a.gif", "-o a.gif", "-o a.reg"):
        files = [str(tmp_path / "catalog.fits"), str(tmp_path / "photoObj.fits")]
        error = CliRunner().invoke(compare, files + words.split()).exception
        assert isinstance(error, NpecatError) and words.split()[1] in str(error)
