"""Coordinates of pixels: distortions count, and what cannot be read is named, never left out."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import image_at, image_hdus, open_fits
from npecat_sim.surveys.wcs import celestial_wcs, pixel_scale

SHAPE = (60, 80)
DEGREES = 1e-4
CARDS = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 1.0,
    "CRPIX2": 1.0,
    "CRVAL1": 10.0,
    "CRVAL2": 20.0,
    "CD1_1": -DEGREES,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": DEGREES,
}


def header_of(changes: dict | None = None, shape: tuple[int, ...] = SHAPE) -> fits.Header:
    header = fits.PrimaryHDU(np.zeros(shape, np.float32)).header
    header.update({**CARDS, **(changes or {})})
    return header


def raw_header(*lines: str) -> fits.Header:
    """A header whose last cards are these lines, unchecked."""
    text = header_of().tostring(endcard=False, padding=False)
    return fits.Header.fromstring(text + "".join(line.ljust(80) for line in lines))


def without(name: str) -> fits.Header:
    header = header_of()
    del header[name]
    return header


TPV = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_0": 0.0, "PV2_0": 0.0, "PV2_1": 1.0}


def test_distortions_count_for_the_sides_of_a_pixel():
    """The CD matrix alone would tell of sides that differ by 20 %."""
    header = header_of({**TPV, "CD1_1": -DEGREES / 1.2, "PV1_1": 1.2})
    assert pixel_scale(celestial_wcs(header)) == pytest.approx(3600 * DEGREES, rel=1e-5)
    with pytest.raises(NpecatError, match=r"not square: .* measure 0\.432 by 0\.36 arcsec"):
        celestial_wcs(header_of({**TPV, "PV1_1": 1.2}))


def test_the_scale_is_that_of_the_centre_and_every_corner_is_square():
    """A quadratic term: pixels are square at the reference pixel alone."""
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
    mild, strong = (header_of({**sip, "A_2_0": size}) for size in (5e-4, 1e-3))
    at_centre = 3600 * DEGREES * np.sqrt(1 + 2 * 5e-4 * 39.5)
    assert pixel_scale(celestial_wcs(mild)) == pytest.approx(at_centre, rel=1e-4)
    with pytest.raises(NpecatError, match="not square"):
        celestial_wcs(strong)


def test_without_a_shape_the_scale_is_that_of_the_reference_pixel():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    wcs.wcs.cdelt = [-DEGREES, DEGREES]
    assert pixel_scale(wcs) == pytest.approx(3600 * DEGREES, rel=1e-6)


def test_an_exponent_may_be_written_with_a_d():
    places = []
    for letter in "ED":
        lines = [
            f"{name:8}= " + f"{value:20.10E}".replace("E", letter)
            if isinstance(value, float)
            else f"{name:8}= '{value}'"
            for name, value in CARDS.items()
        ]
        header = fits.Header.fromstring("".join(line.ljust(80) for line in lines))
        places.append(celestial_wcs(header).pixel_to_world_values(30, 40))
    np.testing.assert_array_equal(*places)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (raw_header("CRVAL1  =                  NaN"), "CRVAL1 cannot be read"),
        (raw_header("CRVAL1  =                 11.0"), r"CRVAL1 is 10.0 and 11.0"),
        (header_of({"CRVAL1": "ten"}), "CRVAL1 is 'ten', no finite number"),
        (header_of({"CRVAL1": "inf"}), "CRVAL1 is inf, no finite number"),
        (header_of({"CRVAL2": True}), "CRVAL2 is True, no finite number"),
        (header_of({"CD1_1": None}), "CD1_1 is .*, no finite number"),
        (header_of({"CTYPE1": 3}), "CTYPE1 is 3, no text"),
        (header_of({"A_ORDER": 30_000}), "A_ORDER is 30000, more than 9"),
        (header_of({f"PV1_{n}": 0.0 for n in range(1200)}), "more than 1,000 cards"),
        (without("CRVAL1"), "has no CRVAL1"),
        (without("CRPIX2"), "has no CRPIX2"),
        (without("CTYPE2"), "Unmatched celestial axes"),
        (header_of({"RADESYS": "GAPPT"}), "WCS is of GAPPT, which astropy cannot turn to ICRS"),
        (header_of({"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN"}), "WCS"),
        (header_of({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}), "WCS"),
        (header_of({"CTYPE1": "XLON-TAN", "CTYPE2": "XLAT-TAN"}), "WCS"),
    ],
)
def test_coordinates_that_cannot_be_read_are_named(header, named):
    with pytest.raises(NpecatError, match=named) as refusal:
        celestial_wcs(header)
    assert "\n" not in str(refusal.value)


def test_cards_that_are_no_coordinates_may_be_malformed():
    lines = ["AIRMASS =                  NaN", "TELESCOP= 'open", "HISTORY " + "x" * 60]
    wcs = celestial_wcs(raw_header(*lines, "EQUINOX = '2000.0  '"))
    assert wcs.pixel_to_world(0, 0).ra.deg == pytest.approx(10)
    assert wcs.wcs.equinox == 2000


@pytest.mark.parametrize(
    "extra", [{}, {"WCSAXES": 3, "CTYPE3": "FREQ", "CRVAL3": 1e9, "CDELT3": 1e6}]
)
def test_a_third_axis_of_length_one_is_dropped(extra):
    wcs = celestial_wcs(header_of(extra, (1, *SHAPE)))
    assert wcs.pixel_to_world(0, 0).dec.deg == pytest.approx(20)
    assert wcs.pixel_shape == SHAPE[::-1]


def test_coordinates_may_be_looked_up_in_a_table_of_the_file(tmp_path):
    """The -TAB algorithm of the FITS standard, and no table: an error, never a plain WCS."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    grid = np.stack([10 - DEGREES * x, 0.5 + DEGREES * y], axis=-1)[None]
    cards = {
        "CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB", "PS1_0": "TABLE", "PS2_0": "TABLE",
        "CUNIT1": "deg", "CUNIT2": "deg", "PS1_1": "COORDS", "PS2_1": "COORDS", "PV1_3": 1,
        "PV2_3": 2, "CRVAL1": 1.0, "CRVAL2": 1.0, "CD1_1": 1.0, "CD2_2": 1.0,
    }  # fmt: skip
    size = grid[0].size
    column = fits.Column("COORDS", f"{size}D", dim=str(grid.shape[:0:-1]), array=grid)
    table = fits.BinTableHDU.from_columns([column], name="TABLE")
    path = tmp_path / "tab.fits"
    image = fits.PrimaryHDU(np.ones(SHAPE, np.float32), header_of(cards))
    for hdus in ([image, table], [image]):
        fits.HDUList(hdus).writeto(path, overwrite=True)
        with open_fits(path, "mend it") as opened:
            header = image_at(opened, 0)[1]
            if len(hdus) == 1:
                with pytest.raises(NpecatError, match="WCS"):
                    celestial_wcs(header, opened)
            else:
                wcs = celestial_wcs(header, opened)
                place = wcs.pixel_to_world(30, 40)
                assert place.ra.deg == pytest.approx(grid[0, 40, 30, 0], abs=1e-9)
                assert place.dec.deg == pytest.approx(grid[0, 40, 30, 1], abs=1e-9)


REAL = {
    "ctio_mosaic_tpv.fits": (0.2590, (52.5338, -28.7606)),
    "mosaic_tnx_z.fits": (0.2699, (266.714, -30.149)),
    "ukidss_k.fits": (0.2014, (83.6241, 22.0062)),
    "decam_ooi_z.fits": (0.2633, (186.734, 25.4705)),
    "bok_r_fpacked.fits": (0.4509, (177.374, 59.4346)),
}
"""File of another telescope -> arcsec per pixel at its centre, and the place of pixel (0, 0)."""


@pytest.mark.parametrize("name", REAL)
def test_real_distortions_are_read(name):
    path = Path(os.environ.get("NPECAT_REAL", Path(__file__).parents[3] / "shared" / "real")) / name
    if not path.exists():
        pytest.skip(f"no {path}; set NPECAT_REAL to the folder of such files")
    with open_fits(path, "mend it") as hdus:
        wcs = celestial_wcs(image_at(hdus, image_hdus(hdus)[0][0])[1], hdus)
    scale, place = REAL[name]
    assert pixel_scale(wcs) == pytest.approx(scale, rel=1e-3)
    corner = wcs.pixel_to_world(0, 0).icrs
    np.testing.assert_allclose((corner.ra.deg, corner.dec.deg), place, atol=1e-3)
