"""Celestial coordinates and scale of the pixels of an image."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError

MAX_SIDE_DIFFERENCE = 0.1
"""Maximum relative difference of the axes of a pixel on the sky, at the centre and the corners.
They differ by 0.05 % for SDSS, 0.2 % for DECam and 5 % for CTIO's Mosaic, whose sides are equal but
2.5 degrees off a right angle."""

ARCSEC_PER_DEGREE = 3600

MAX_CARDS = 1_000
"""Maximum number of cards that coordinates take. Two SIP polynomials of order 9 and their inverses
take 220; astropy reads a thousand in some 0.2 s, and 32,000 in 7 s."""

MAX_ORDER = 9
"""Maximum order of a SIP polynomial, which is that of its definition; astropy takes time and memory
in proportion to the square."""

NUMBER = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)\d+|(CD|PC|PV)\d+_\d+|LONPOLE|LATPOLE|EQUINOX|EPOCH|WCSAXES|NAXIS\d*"
    r"|[AB]P?_(ORDER|DMAX|\d+_\d+)"
)
"""Cards that hold a number: FITS standard 4.0, section 8, and the SIP convention."""

TEXT = re.compile(r"(CTYPE|CUNIT)\d+|RADESYS|RADECSYS|PS\d+_\d+|WAT\d_\d+|(CPDIS|CQDIS|D2IMDIS)\d+")
"""Cards that hold a text."""

NEEDED = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")
"""Cards whose default would put an image elsewhere, when the card was lost."""

RECORD = re.compile(r"(DP|DQ)\d+\..*|D2IM\w*(\..*)?|AXISCORR|CPERR\d+|(D2IM|CPD)ERR\d+")
"""Further cards of distortions, as astropy names them."""


def celestial_wcs(header: fits.Header, hdus: fits.HDUList | None = None) -> WCS | None:
    """The celestial coordinates in the header of a two-dimensional image; None if it has none.

    Parameters
    ----------
    header : Header
        Header of the image. Cards that are no coordinates may be malformed.
    hdus : HDUList, optional
        The open file, where tables to which the header refers are looked up.

    Returns
    -------
    WCS or None
        Of 0-indexed pixels, all distortions included.

    Raises
    ------
    NpecatError
        If the coordinates cannot be read or turned to ICRS, or the pixels are not square at the
        centre or a corner of the image.
    """
    # Lookup tables are never packed; unpacking is for a child process.
    tables = [hdu for hdu in hdus or () if not isinstance(hdu, fits.CompImageHDU)]
    with _reading():
        cards = _coordinate_cards(header)
        wcs = WCS(cards, fobj=fits.HDUList(tables) if tables else None, naxis=2)
        if not wcs.has_celestial:
            return None
        for name in NEEDED:
            if name not in cards:
                raise NpecatError(f"the WCS has no {name}")
        wcs = wcs.celestial
    sides = _sides(wcs, corners=True)
    smaller, larger = sides[np.argmax(sides[:, 1] / sides[:, 0])]
    if larger > (1 + MAX_SIDE_DIFFERENCE) * smaller:
        raise NpecatError(
            f"pixels are not square: by the header's WCS they measure {larger:.4g} by "
            f"{smaller:.4g} arcsec"
        )
    return wcs


def pixel_scale(wcs: WCS) -> float:
    """Arcsec per pixel at the centre of the image: the root of the area of a pixel.

    If the WCS does not know the shape of the image, its reference pixel stands for the centre.

    Raises
    ------
    NpecatError
        If the WCS gives that pixel no place on the sky.
    """
    return float(np.sqrt(_sides(wcs, corners=False).prod()))


def _coordinate_cards(header: fits.Header) -> fits.Header:
    """The cards of coordinates alone, each checked and with an exponent that wcslib reads."""
    cards = fits.Header()
    for card in header.cards:
        keyword = card.keyword.upper()
        is_number, is_text = NUMBER.fullmatch(keyword), TEXT.fullmatch(keyword)
        if not (is_number or is_text or RECORD.fullmatch(keyword)):
            continue
        if len(cards) == MAX_CARDS:
            raise NpecatError(f"the header's WCS takes more than {MAX_CARDS:,} cards")
        try:
            value = card.value
        except fits.VerifyError as error:
            raise NpecatError(f"the WCS card {keyword} cannot be read") from error
        if is_number or is_text:
            value = _checked(keyword, value, is_number=bool(is_number))
            if cards.get(keyword, value) != value:
                raise NpecatError(f"the WCS card {keyword} is {cards[keyword]!r} and {value!r}")
            cards[keyword] = value
        else:
            cards.append(card, end=True)
    return cards


def _checked(keyword: str, value: Any, *, is_number: bool) -> Any:
    """The value of a card, of the right type."""
    if is_number and isinstance(value, str):
        with suppress(ValueError):
            value = float(value.upper().replace("D", "E"))
    is_right = type(value) in (int, float) if is_number else isinstance(value, str)
    if not is_right or (is_number and not np.isfinite(value)):
        wanted = "finite number" if is_number else "text"
        raise NpecatError(f"the WCS card {keyword} is {value!r}, no {wanted}")
    if keyword.endswith("_ORDER") and value > MAX_ORDER:
        raise NpecatError(f"the WCS card {keyword} is {value}, more than {MAX_ORDER}")
    return value


@contextmanager
def _reading() -> Iterator[None]:
    """Turn what astropy raises on coordinates into an NpecatError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # old keywords, as SDSS's RADECSYS
            yield
    except NpecatError:
        raise
    except Exception as error:  # wcslib and its wrapper raise many kinds
        reason = " ".join(str(error).split())
        raise NpecatError(f"the header's WCS cannot be read ({reason})") from error


def _sides(wcs: WCS, *, corners: bool) -> np.ndarray:
    """Half axes on the sky of a circle of one pixel radius, at the centre and perhaps the corners.

    They are the singular values of the local Jacobian, so they also differ if the axes of the image
    are not at right angles.

    Returns
    -------
    ndarray
        float64 (place, 2), arcsec, smaller first.
    """
    if wcs.pixel_shape is None:
        places = np.array([wcs.wcs.crpix - 1])
    else:
        ends = np.array(wcs.pixel_shape) - 1.0
        unit = [(0.5, 0.5)] + [(0, 0), (0, 1), (1, 0), (1, 1)] * corners
        places = ends * np.array(unit)
    steps = np.array([(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)])
    x, y = (places[:, None] + steps).reshape(-1, 2).T
    with _reading():
        sky = wcs.pixel_to_world(x, y)
        if not isinstance(sky, SkyCoord):
            frame = wcs.wcs.radesys or " and ".join(wcs.wcs.ctype)
            raise NpecatError(f"the header's WCS is of {frame}, which astropy cannot turn to ICRS")
        sky = sky.icrs.cartesian.xyz.value
    right, left, up, down = sky.reshape(3, -1, 4).transpose(2, 1, 0)
    jacobian = np.stack([right - left, up - down], axis=-1)
    if not np.isfinite(jacobian).all():
        raise NpecatError("the header's WCS gives pixels no place on the sky")
    sides = np.linalg.svd(jacobian, compute_uv=False)[:, ::-1]
    if not sides.min() > 0:
        raise NpecatError("the header's WCS gives all pixels of a row or column one place")
    return np.degrees(sides) * ARCSEC_PER_DEGREE
