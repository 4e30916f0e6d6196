"""PSFs from files of every kind, and PSFs that vary over an image."""

import base64
import os
import pickle
from pathlib import Path

import galsim.des
import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from npecat.cli import npecat
from npecat_sim.errors import NpecatError
from npecat_sim.psf.files import OVERSAMPLING, read_psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.psf.varying import ConstantMap, GridMap, PolynomialMap
from npecat_sim.surveys.arrays import image_from_arrays
from npecat_sim.surveys.open import open_image
from tests.helpers.counts import CAMERA, TOLD, noisy
from tests.helpers.survey_files import (
    OF_BANDS,
    small_frame_data,
    write_frame,
    write_photofield,
    write_psfield,
)

SIDE = 25

NUMBERS = "1.2,2.6,2.6,3.2,0.04,0.01"

PSFEX = {
    "POLNAXIS": 2,
    "POLGRP1": 1,
    "POLNAME1": "X_IMAGE",
    "POLZERO1": 101.0,
    "POLSCAL1": 100.0,
    "POLGRP2": 1,
    "POLNAME2": "Y_IMAGE",
    "POLZERO2": 51.0,
    "POLSCAL2": 50.0,
    "POLNGRP": 1,
    "POLDEG1": 2,
    "PSF_FWHM": 3.0,
    "PSF_SAMP": 0.5,
    "PSFNAXIS": 3,
    "PSFAXIS1": SIDE,
    "PSFAXIS2": SIDE,
    "PSFAXIS3": 6,
}
"""Cards of a model of which the middle is pixel (100, 50), counted from 0."""


def stamp(step: float = 1.0, side: int = SIDE, **changes) -> np.ndarray:
    """Samples of a Gaussian, or another one."""
    psf = ParametricPsf(**{"profile": "gaussian", "width": 3.0, **changes})
    offset = (np.arange(side) - (side - 1) / 2) * step
    return psf.shares(offset[None], offset[:, None])


def psfex_images() -> np.ndarray:
    """A Gaussian that becomes wider along x and elliptical along y: 1, x, x^2, y, xy, y^2."""
    images = np.zeros((6, SIDE, SIDE), np.float32)
    images[0] = stamp(0.5)
    images[1] = (stamp(0.5, width=3.3) - stamp(0.5)) / 2
    images[3] = (stamp(0.5, g1=0.1) - stamp(0.5)) / 2
    return images


def write_psfex(folder: Path, images: np.ndarray | None = None, **cards) -> Path:
    images = psfex_images() if images is None else images
    column = fits.Column(
        "PSF_MASK", f"{images.size}E", dim=str(images.shape[::-1]), array=images[None]
    )
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    table.header.update({name: v for name, v in {**PSFEX, **cards}.items() if v is not None})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "model.psf", overwrite=True)
    return folder / "model.psf"


def write_psfex_row(folder: Path) -> Path:
    """The same model as the Legacy Surveys write it: keywords are columns."""
    columns = [
        fits.Column(name.lower(), {int: "K", float: "D", str: "7A"}[type(value)], array=[value])
        for name, value in PSFEX.items()
    ]
    images = psfex_images()
    dim = str(images.shape[::-1])
    columns.append(fits.Column("psf_mask", f"{images.size}E", dim=dim, array=images[None]))
    table = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "row.fits")
    return folder / "row.fits"


def write_stamps(folder: Path, images: np.ndarray, *, places=None, **cards) -> Path:
    hdus = fits.HDUList([fits.PrimaryHDU(images)])
    hdus[0].header.update(cards)
    if places is not None:
        columns = [
            fits.Column(name, "D", array=np.array(values, float))
            for name, values in zip("xy", zip(*places, strict=True), strict=True)
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns))
    hdus.writeto(folder / "stamps.fits", overwrite=True)
    return folder / "stamps.fits"


def refused(path: Path | str) -> str:
    with pytest.raises(NpecatError) as refusal:
        read_psf(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("write", [write_psfex, write_psfex_row])
def test_a_model_of_psfex_is_that_of_galsim(tmp_path, write):
    found = read_psf(write(tmp_path))
    with fits.open(write_psfex(tmp_path)) as hdus:
        theirs = galsim.des.DES_PSFEx(hdus[1])
        for x, y in ((0, 0), (199, 0), (0, 99), (37.5, 80.2)):
            profile = theirs.getPSF(galsim.PositionD(x + 1, y + 1))
            drawn = profile.drawImage(nx=9, ny=9, scale=1, method="no_pixel", dtype=float).array
            np.testing.assert_allclose(found.at(x, y).stamp(9), drawn, atol=1e-6)
    assert not found.is_constant
    assert found.at(199, 50).fwhm > 1.02 * found.at(0, 50).fwhm
    assert found.at(100, 0).fwhm == pytest.approx(found.at(100, 99).fwhm, rel=0.01)
    middle = (SIDE - 1) // 2
    tall, broad = [found.at(100, y).stamp(SIDE) for y in (0, 99)]
    assert broad[middle, middle + 2] > 1.05 * broad[middle + 2, middle]
    assert tall[middle, middle + 2] < tall[middle + 2, middle]


@pytest.mark.parametrize(
    ("cards", "named"),
    [
        ({"POLNAXIS": 3}, "POLNAXIS is 3; it must be 2"),
        ({"POLNGRP": 2}, "POLNGRP is 2"),
        ({"POLNAME2": "MAG_AUTO"}, "POLNAME2 is MAG_AUTO"),
        ({"POLDEG1": 1}, "with POLDEG1 = 1 it must be 3 images"),
        ({"POLDEG1": 10**9}, "POLDEG1 is 1000000000"),
        ({"POLSCAL1": 0.0}, "POLSCAL1 is 0"),
        ({"PSF_SAMP": -1.0}, "PSF_SAMP is -1"),
        ({"PSF_SAMP": "much"}, "PSF_SAMP is much"),
        ({"POLZERO1": None}, "POLZERO1 is missing"),
        ({"images": np.full((6, SIDE, SIDE), np.nan, np.float32)}, "not finite"),
        ({"images": np.zeros((6, SIDE, SIDE), np.float32)}, "no positive flux"),
    ],
)
def test_a_damaged_model_of_psfex_is_refused(tmp_path, cards, named):
    assert named in refused(write_psfex(tmp_path, **cards))


def test_eigenimages_of_sdss_vary_along_rows_and_not_along_columns(tmp_path):
    path = write_psfield(tmp_path)
    found = read_psf(path)
    first, high, right = [found.at(*place).fwhm for place in ((0, 0), (0, 1000), (1000, 0))]
    assert first == right == pytest.approx(1.5 * 2.3548, rel=0.01)
    assert high > 1.01 * first
    assert read_psf(path, band="u").at(0, 0).fwhm == pytest.approx(OF_BANDS[0] * first, rel=0.01)
    with pytest.raises(NpecatError, match="bands u, g, r, i, z, not of Y"):
        read_psf(path, band="Y")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("nrow_b", 6, "HDU 3, column nrow_b holds"),
        ("RNROW", -31, "HDU 3, column RNROW holds"),
        ("RNCOL", 30, "column RROWS holds no images of 31 x 30 pixels"),
        ("c", np.nan, "holds a value that is not finite"),
    ],
)
def test_damaged_eigenimages_are_refused(tmp_path, name, value, named):
    path = write_psfield(tmp_path)
    with fits.open(path, mode="update") as hdus:
        hdus[3].data[name][:] = value
    assert named in refused(path)


def test_a_stamp_is_the_psf_everywhere(tmp_path):
    found = read_psf(write_stamps(tmp_path, stamp()))
    assert found.is_constant
    fine = read_psf(write_stamps(tmp_path, stamp(1 / 3, 91), **{OVERSAMPLING: 3}))
    np.testing.assert_allclose(fine.at(0, 0).stamp(15), stamp(side=15), atol=1e-4)
    np.testing.assert_allclose(found.at(9, 9).stamp(15), stamp(side=15), atol=1e-4)


def test_stamps_at_places_are_interpolated(tmp_path):
    widths = {(0, 0): 3.0, (200, 0): 3.6, (0, 100): 3.0, (200, 100): 3.6}
    images = np.array([7 * stamp(width=width) for width in widths.values()])
    found = read_psf(write_stamps(tmp_path, images, places=list(widths)))
    for (x, y), width in widths.items():
        np.testing.assert_allclose(
            found.at(x, y).stamp(9), stamp(width=width)[8:17, 8:17], rtol=0.01
        )
    peaks = [
        found.at(*place).shares(*np.zeros((2, 1)))[0] for place in ((0, 50), (100, 50), (200, 50))
    ]
    assert peaks[1] == pytest.approx((peaks[0] + peaks[2]) / 2, rel=1e-3)
    assert peaks[0] > 1.2 * peaks[2]


@pytest.mark.parametrize(
    ("images", "options", "named"),
    [
        (stamp()[:, :-2], {}, "its star is (1.0, "),
        (stamp()[:-1, :-1], {}, "its star is (0.5, 0.5) pixels from the middle"),
        (np.zeros((SIDE, SIDE)), {}, "no positive flux"),
        (np.full((SIDE, SIDE), np.nan), {}, "not finite"),
        (np.ones((2, 2)), {}, "at least 3 samples"),
        (np.ones((3, 2000)), {}, "more than 1001 on a side"),
        (stamp(), {OVERSAMPLING: -2}, "OVERSAMP is -2"),
        (stamp(), {OVERSAMPLING: "two"}, "OVERSAMP is two"),
        (np.array([stamp()] * 3), {}, "holds 3 stamps; a table with the columns x and y must"),
        (np.array([stamp()] * 3), {"places": [(0, 0), (9, 9)]}, "tells 2 places for the 3 stamps"),
        (np.array([stamp()] * 2), {"places": [(0, 0), (np.nan, 9)]}, "a place is not finite"),
    ],
)
def test_stamps_that_are_no_psf_are_refused(tmp_path, images, options, named):
    assert named in refused(write_stamps(tmp_path, images, **options))


def test_other_files_are_refused(tmp_path):
    assert "serves only a frame of SDSS" in refused(write_photofield(tmp_path))
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    assert "no PSF that is known; give six numbers" in refused(tmp_path / "empty.fits")
    (tmp_path / "text.psf").write_text("sigma 1.2\n")
    assert "its header is missing" in refused(tmp_path / "text.psf")
    assert "cannot be read as FITS" in refused(tmp_path / "absent.psf")
    with pytest.raises(NpecatError, match="give six numbers"):
        read_psf("1,2,3")
    assert read_psf(NUMBERS) == ConstantMap(SixNumberPsf.from_text(NUMBERS))


@pytest.mark.parametrize("bit", range(0, 8, 3))
def test_a_file_with_any_byte_changed_is_read_or_refused_in_one_line(tmp_path, bit):
    good = write_psfex(tmp_path).read_bytes()
    for place in range(2880, 2 * 2880, 97):
        spoilt = bytearray(good)
        spoilt[place] ^= 1 << bit
        (tmp_path / "model.psf").write_bytes(spoilt)
        try:
            read_psf(tmp_path / "model.psf").at(3, 4)
        except NpecatError as error:
            assert "\n" not in str(error)


def write_piff(path: Path, wcs: object) -> None:
    """The tables by which a file of Piff is known, with a pickle where it holds its coordinates."""
    pickled = base64.b64encode(pickle.dumps(wcs)).decode()
    tables = {
        "psf": [fits.Column("type", "6A", array=["Simple"])],
        "psf_wcs": [
            fits.Column("chipnums", "K", array=[0]),
            fits.Column("wcs_nchunks", "K", array=[1]),
            fits.Column("wcs_str_0000", f"{len(pickled)}A", array=[pickled]),
        ],
    }
    hdus = [fits.BinTableHDU.from_columns(columns, name=n) for n, columns in tables.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


class Program:
    """What a hostile pickle holds: it makes a folder as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_of_piff_runs_no_program(tmp_path):
    write_piff(tmp_path / "night.piff", Program(tmp_path / "made"))
    message = refused(tmp_path / "night.piff")
    assert "which no coordinates need" in message or "pip install 'npecat[piff]'" in message
    assert not (tmp_path / "made").exists()


def test_a_file_of_piff_needs_piff(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "piff", None)
    write_piff(tmp_path / "night.piff", galsim.PixelScale(0.2))
    assert "needs the package piff: pip install 'npecat[piff]'" in refused(tmp_path / "night.piff")


def test_a_model_of_piff_is_what_piff_draws(tmp_path):
    piff = pytest.importorskip("piff", reason="Piff is not installed")
    generator = np.random.default_rng(0)
    wcs = galsim.PixelScale(0.25)
    stars = []
    for x, y in generator.uniform(30, 200, (12, 2)):
        corner = galsim.PositionI(round(x) - 12, round(y) - 12)
        image = galsim.Image(25, 25, wcs=wcs, xmin=corner.x, ymin=corner.y)
        light = galsim.Gaussian(fwhm=0.8).shear(g1=0.1 * (x - 115) / 85)
        light.drawImage(image, center=(x, y))
        weight = galsim.Image(image.bounds, init_value=1e6)
        stars.append(piff.Star(piff.StarData(image, galsim.PositionD(x, y), weight=weight), None))
    model = piff.SimplePSF(piff.Gaussian(fastfit=True), piff.Polynomial(order=1))
    model.fit(stars, {0: wcs}, None)
    model.write(str(tmp_path / "model.piff"))
    found = read_psf(tmp_path / "model.piff")
    for x, y in ((30, 50), (180, 50)):
        drawn = model.draw(x + 1, y + 1, chipnum=0, stamp_size=15, center=True).array
        np.testing.assert_allclose(found.at(x, y).stamp(15), drawn, atol=1e-4)


def varying() -> PolynomialMap:
    """A Gaussian that is wider to the right."""
    images = np.array([stamp(), (stamp(width=3.6) - stamp()) / 160])
    return PolynomialMap(images, np.array([[0, 0], [1, 0]]))


def test_parts_of_an_image_keep_the_places_of_its_psf():
    grid = GridMap(np.array([stamp(), stamp(width=3.6)]), np.array([[0.0, 0.0], [160.0, 0.0]]))
    for found in (varying(), grid):
        part = found.shifted(100, 40).shifted(20, 0)
        assert part.at(10, 3).fwhm == found.at(130, 43).fwhm
        wider = part.scaled(1.1).at(10, 3).fwhm
        assert wider == pytest.approx(1.1 * found.at(130, 43).fwhm, rel=1e-3)
    constant = ConstantMap(SampledPsf(stamp()))
    assert constant.shifted(5, 5) is constant


def test_a_cut_of_an_image_has_the_psf_of_its_place(tmp_path):
    fits.writeto(tmp_path / "night.fits", noisy(np.zeros((120, 160))))
    psf = write_psfex(tmp_path)
    options = {"psf": str(psf), **TOLD, "trust_psf": True}
    whole = open_image(tmp_path / "night.fits", **options)
    part = open_image(tmp_path / "night.fits", cut="60:160,40:120", **options)
    assert whole.psf.fwhm == read_psf(psf).at(79.5, 59.5).fwhm
    assert part.psf.fwhm == whole.psf_map.at(109.5, 79.5).fwhm
    assert part.psf_map.at(10, 5).fwhm == whole.psf_map.at(70, 45).fwhm
    assert "PSF shape  as told at every place" in whole.findings.page()


@pytest.mark.parametrize(
    "psf",
    [ParametricPsf("moffat", 3.0), varying(), NUMBERS, NUMBERS.split(","), None, 1.3],
    ids=["psf", "map", "text", "numbers", "none", "fwhm"],
)
def test_pixels_in_memory_take_a_psf_in_any_form(psf):
    given = np.array(psf, float) if isinstance(psf, list) else psf
    if psf is None:
        with pytest.raises(NpecatError, match="give fwhm or psf"):
            image_from_arrays(noisy(np.zeros((80, 80))), psf=None, **TOLD)
        return
    image = image_from_arrays(noisy(np.zeros((80, 80))), psf=given, **TOLD)
    assert image.psf_map.is_constant != isinstance(psf, PolynomialMap)
    assert image.psf_map.at(39.5, 39.5).fwhm == pytest.approx(image.psf.fwhm, rel=1e-6)


def test_a_map_that_is_no_psf_in_a_corner_is_refused():
    images = np.array([stamp(), -stamp() / 100])
    with pytest.raises(NpecatError, match=r"PSF at x = 159, y = 0: the PSF image has no positive"):
        image_from_arrays(
            noisy(np.zeros((120, 160))),
            psf=PolynomialMap(images, np.array([[0, 0], [1, 0]])),
            **TOLD,
        )


@pytest.mark.parametrize("kind", ["psfield", "psfex", "object"])
def test_a_frame_of_sdss_takes_a_psf_that_varies(tmp_path, kind):
    frame = write_frame(tmp_path, small_frame_data())
    psf = {"psfield": write_psfield, "psfex": write_psfex, "object": lambda _: varying()}[kind]
    image = open_image(frame, psf=psf(tmp_path))
    assert not image.psf_map.is_constant
    assert isinstance(image.psf, SixNumberPsf) == (kind == "psfield")


def test_the_command_line_takes_a_file_for_any_image(tmp_path):
    fits.writeto(tmp_path / "night.fits", noisy(np.zeros((120, 160))))
    path = write_stamps(tmp_path, stamp())
    result = CliRunner().invoke(
        npecat, ["inspect", str(tmp_path / "night.fits"), *CAMERA, "--psf", str(path)]
    )
    assert result.exit_code == 0, result.output
    assert "PSF shape" in result.output
    bad = CliRunner().invoke(
        npecat, ["inspect", str(tmp_path / "night.fits"), *CAMERA, "--psf", "absent.psf"]
    )
    assert "night.fits: PSF absent.psf: cannot be read" in str(bad.exception)
