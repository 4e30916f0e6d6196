"""Read a FITS image of any survey; what the caller does not give is taken from its header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import image_at, image_hdus, open_fits
from npecat_sim.surveys.arrays import calibrated
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.keywords import KEYWORDS, Fact, facts_of
from npecat_sim.surveys.parameters import PsfLike, checked_psf, psf_name
from npecat_sim.surveys.planes import Cut, cut_of, read_plane, science_hdu
from npecat_sim.surveys.wcs import celestial_wcs


def read_fits_image(
    path: Path,
    *,
    zeropoint: float | None = None,
    gain: float | None = None,
    saturate: float | None = None,
    fwhm: float | None = None,
    psf: PsfLike | None = None,
    sky: float | None = None,
    subtract_sky: bool = False,
    trust_psf: bool = False,
    mask: Path | None = None,
    mask_bits: int | None = None,
    weight: Path | None = None,
    variance: Path | None = None,
    rms: Path | None = None,
    hdu: str | None = None,
    cut: str | None = None,
    pixel_scale: float | None = None,
) -> SurveyImage:
    """Read an image of a FITS file, which may be packed by gzip, bzip2 or fpack.

    Parameters
    ----------
    path : Path
        Path of the image.
    psf : Psf, PsfMap, path or sequence of float, optional
        See arrays.image_from_arrays; places of a PsfMap or a file are those of the whole image.
    zeropoint, gain, saturate, fwhm, sky, subtract_sky, trust_psf, mask, mask_bits, weight, \
variance, rms, hdu, cut, pixel_scale
        See open.open_image.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a file cannot be read, neither caller nor header tell the zero point, or a value does
        not suit the image, see image_from_arrays. The message names file and value.
    """
    path = Path(path)
    if fwhm is not None and psf is not None:
        raise NpecatError(
            f"{path}: give either fwhm or psf",
            parameters=("fwhm", "psf"),
        )
    part = None if cut is None else cut_of(cut, path)
    with open_fits(path, "give a whole FITS file with a two-dimensional image") as hdus:
        chosen = science_hdu(hdus, hdu)
        pixels, header = image_at(hdus, chosen, cut=part)
        headers = [header, *([hdus[0].header] if header is not hdus[0].header else [])]
        facts = facts_of(headers)
        wcs = celestial_wcs(header, hdus)
        with np.errstate(over="ignore"):  # beyond single precision is not finite: no data
            counts = np.array(pixels, dtype=np.float32)
        if counts.size == 0 or (part and counts.shape != _size(part)):
            full = [hdus[chosen].header.get(f"NAXIS{axis}") for axis in (1, 2)]
            raise NpecatError(f"cut is {cut}, but the image has {full[0]} x {full[1]} pixels")
    given = {"zeropoint": zeropoint, "gain": gain, "saturate": saturate, "fwhm": fwhm}
    values, words = _with_header(given, facts, has_psf=psf is not None)
    if values["zeropoint"] is None:
        looked_for = ", ".join(KEYWORDS["zeropoint"])
        raise NpecatError(
            f"{path}: no frame of SDSS, which has 4 HDUs, the first an image in nanomaggy; and no "
            f"zero point (AB magnitude of a count) is known: the header has none of {looked_for}; "
            "give zeropoint",
            parameters=("zeropoint",),
        )
    band = facts["band"].value if "band" in facts else "r"
    point = None if psf is None else checked_psf(str(path), psf, band=band)
    planes = _Planes(path, counts.shape, part)
    corner = (part[1].start, part[0].start) if part else (0, 0)
    return calibrated(
        counts,
        psf=point or values["fwhm"],
        zeropoint=values["zeropoint"],
        gain=values["gain"],
        sky=sky,
        mask=planes.mask(mask, mask_bits),
        noise=planes.noise({"weight": weight, "variance": variance, "rms": rms}),
        saturate=values["saturate"],
        wcs=wcs,
        pixel_scale=pixel_scale,
        band=band,
        name=str(path),
        origin={
            **values,
            "sky": sky,
            "psf": str(psf) if isinstance(psf, str | Path) else None,
            "mask": None if mask is None else str(mask),
            "cut": cut,
            "hdu": hdu,
        },
        corner=corner,
        gain_was=words["gain"],
        saturation_was=words["saturate"],
        psf_was=words["fwhm"] if psf is None else psf_name(psf),
        subtract_sky=subtract_sky,
        trust_psf=trust_psf,
        seconds=facts["seconds"].value if "seconds" in facts else None,
        notes=_notes(facts, values["zeropoint"], words["zeropoint"]),
    )


def image_size(path: Path, hdu: str | None) -> tuple[int, int]:
    """Width and height of the image that read_fits_image reads; no pixels are read.

    Raises
    ------
    NpecatError
        If the file cannot be read, or the image is not the only one.
    """
    with open_fits(path, "give a whole FITS file with a two-dimensional image") as hdus:
        chosen = science_hdu(hdus, hdu)
        index = next(i for i, name in image_hdus(hdus) if str(chosen).upper() in (str(i), name))
        height, width = hdus[index].shape[-2:]
        return width, height


def _size(part: Cut) -> tuple[int, int]:
    """Rows and columns of a part of an image."""
    rows, columns = part
    return rows.stop - rows.start, columns.stop - columns.start


def _with_header(
    given: Mapping[str, float | None], facts: Mapping[str, Fact], *, has_psf: bool
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Each value as given or else from the header, and where it comes from, in words."""
    values, words = dict(given), dict.fromkeys(given, "as given")
    for name, value in given.items():
        if value is None and name in facts and not (name == "fwhm" and has_psf):
            values[name], words[name] = facts[name].value, f"{facts[name].keyword} of the header"
    return values, words


def _notes(facts: Mapping[str, Fact], zeropoint: float, zeropoint_was: str) -> dict[str, str]:
    """What was told of the image, for the page of findings."""
    notes = {"zero point": f"{zeropoint:.6g} AB mag, {zeropoint_was}"}
    seen = [f"{fact.keyword} {fact.value}" for fact in facts.values()]
    return {**notes, "header": ", ".join(seen)} if seen else notes


class _Planes:
    """Reads the planes that belong to an image."""

    def __init__(self, image: Path, shape: tuple[int, ...], cut: Cut | None) -> None:
        self._image = image
        self._options: dict[str, Any] = {"beside": image, "shape": shape, "cut": cut}

    def mask(self, path: Path | None, bits: int | None) -> np.ndarray | None:
        """Pixels that hold no data: (y, x), not 0."""
        if path is None:
            if bits is not None:
                raise NpecatError(
                    f"{self._image}: mask_bits choose bits of a mask; give mask as well",
                    parameters=("mask_bits", "mask"),
                )
            return None
        plane = read_plane(Path(path), "mask", **self._options)
        if bits is None:
            return plane
        if not np.issubdtype(plane.dtype, np.integer):
            raise NpecatError(
                f"{path}: the mask holds {plane.dtype.name}, which has no bits; leave mask_bits "
                "out",
                parameters=("mask_bits",),
            )
        return plane & bits

    def noise(self, paths: Mapping[str, Path | None]) -> np.ndarray | None:
        """Noise of each pixel, up to a factor: float32 (y, x)."""
        given = {kind: Path(path) for kind, path in paths.items() if path is not None}
        if len(given) > 1:
            raise NpecatError(
                f"{self._image}: give one of {', '.join(given)}", parameters=tuple(given)
            )
        for kind, path in given.items():
            plane = read_plane(path, kind, **self._options).astype(np.float32)
            if kind == "rms":
                return plane
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.sqrt(1 / plane if kind == "weight" else plane)
        return None
