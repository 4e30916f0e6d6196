"""What the header of an image says of its calibration, for a user who gives none.

Telescopes use different keywords for the same number. Each number comes with the keyword that it
was read from, so that the user can judge it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from astropy.io.fits import Header

KEYWORDS = {
    "gain": ("EGAIN", "GAIN", "ARAWGAIN", "CCDGAIN"),
    "saturate": ("SATURATE", "SATLEVEL", "SATURATI", "SATUR_LE", "MAXLIN"),
    "zeropoint": ("MAGZERO", "ZEROPT", "ZEROPNT", "MAGZP", "PHOTZP", "MAG_ZERO", "ZPTMAG"),
    "zeropoint_per_second": ("MAGZPT",),
    "fwhm": ("SEEING",),
    "seconds": ("EXPTIME", "EXPOSURE", "EXP_TIME", "TEXPTIME"),
    "unit": ("BUNIT",),
    "band": ("FILTER", "FILTER1", "INSFILTE"),
}
"""What is looked for, and its keywords in the order of trust. EGAIN stands first because GAIN is
the setting of an amplifier in some cameras; MAGZPT is the zero point of a count per second for
DECam, WFCAM and VIRCAM."""

PER_SECOND = re.compile(r"(/\s*s(ec(ond)?)?|\bs(ec)?\s*(\*\*|\^)?\s*-1)\s*$", re.IGNORECASE)
"""Unit of a rate, such as "adu/s" or "electron s-1"."""

ELECTRONS = re.compile(r"^\s*e(lectrons?|l|-)?\b|^\s*e-", re.IGNORECASE)
"""Unit of images in electrons, such as "electron/s" or "e-"."""

AB_UNITS = {"nanomaggy": 22.5, "nanomaggies": 22.5, "njy": 31.4, "ujy": 23.9, "mjy": 16.4}
"""Unit in lower case -> AB magnitude of one such unit: -2.5 log10 of it over 3631 Jy."""


class Fact(NamedTuple):
    """A value, and the keyword that it was read from."""

    value: Any
    keyword: str


def facts_of(headers: Iterable[Mapping[str, Any]]) -> dict[str, Fact]:
    """What the headers of an image say of its calibration.

    Parameters
    ----------
    headers : iterable of Header
        That of the image first, then the primary header of its file.

    Returns
    -------
    dict of str to Fact
        Some of "zeropoint" (AB magnitude of one unit), "gain" (electrons per unit), "saturate"
        (units), "fwhm" (arcsec), "seconds", "unit" and "band".

    Notes
    -----
    In images of rates the gain is multiplied by the exposure time. In images in electrons it is 1.
    SEEING is in arcsec, unless its comment speaks of pixels, as for WFCAM; then it is not used.
    """
    found: dict[str, Fact] = {}
    for header in headers:
        for name, keywords in KEYWORDS.items():
            if name not in found:
                fact = _first(header, keywords, is_text=name in ("unit", "band"))
                if fact:
                    found[name] = fact
    unit, seconds = found.get("unit"), found.get("seconds")
    is_rate = bool(unit and PER_SECOND.search(unit.value))
    if unit and ELECTRONS.match(unit.value):
        found["gain"] = Fact(1.0, f"BUNIT {unit.value!r}")
    if is_rate and seconds and "gain" in found:
        gain = found["gain"]
        found["gain"] = Fact(gain.value * seconds.value, f"{gain.keyword} times {seconds.keyword}")
    if unit and unit.value.strip().lower() in AB_UNITS:
        found["zeropoint"] = Fact(AB_UNITS[unit.value.strip().lower()], f"BUNIT {unit.value!r}")
    per_second = found.pop("zeropoint_per_second", None)
    if per_second and "zeropoint" not in found and (seconds or is_rate):
        added = 0.0 if is_rate or not seconds else 2.5 * np.log10(seconds.value)
        told = per_second.keyword if is_rate or not seconds else f"{per_second.keyword} and EXPTIME"
        found["zeropoint"] = Fact(per_second.value + added, told)
    if "band" in found:
        found["band"] = Fact(band_of(found["band"].value), found["band"].keyword)
    return found


def band_of(text: str) -> str:
    """The name of a filter as the part of a column's name: "z DECam SDSS c0004" gives "z"."""
    words = re.findall(r"[A-Za-z0-9_]+", text)
    return words[0] if words else "r"


def _first(header: Mapping[str, Any], keywords: Iterable[str], *, is_text: bool) -> Fact | None:
    """The first keyword with a value: text that is not empty, or a positive finite number."""
    for keyword in keywords:
        value = header.get(keyword)
        comment = header.comments[keyword] if isinstance(header, Header) and value else ""
        if keyword in KEYWORDS["fwhm"] and "pix" in comment.lower():
            continue
        if is_text:
            if isinstance(value, str) and value.strip():
                return Fact(value, keyword)
            continue
        try:
            number = float(value)  # type: ignore[arg-type]  # some headers hold numbers as text
        except (TypeError, ValueError):
            continue
        if np.isfinite(number) and number > 0 and not isinstance(value, bool):
            return Fact(number, keyword)
    return None
