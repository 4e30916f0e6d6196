"""A calibrated image of any survey, with everything that is needed to catalog it."""

import logging
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import ConstantMap, PsfMap
from npecat_sim.surveys.inspection.findings import Findings
from npecat_sim.surveys.wcs import pixel_scale as scale_of
from npecat_sim.units import PIXEL_SCALE, sky_sigma

log = logging.getLogger(__name__)

MIN_SIDE = 38
"""Pixels: minimum side of an image. The aperture to which fluxes are calibrated, which is
2 psf.CALIBRATION_RADIUS wide, must fit."""


class PixelFlag(IntFlag):
    """Known defects of a pixel.

    HALO marks a pixel that holds the outer light of a bright star, and CROWDED one in a region with
    more sources, or more light of theirs, than in training.
    """

    NO_DATA = 1
    SATURATED = 2
    COSMIC_RAY = 4
    INTERPOLATED = 8
    HALO = 32
    CROWDED = 64


@dataclass(frozen=True)
class SurveyImage:
    """A sky-subtracted image in one band with its sky, PSF and detector.

    Parameters
    ----------
    name : str
        Name of the file, for messages and provenance.
    image : ndarray
        float32 (y, x), nanomaggies per pixel; finite, 0 where flags hold NO_DATA.
    background : ndarray
        float32 (y, x), nanomaggies per pixel: the sky that was subtracted, plus a sky whose photon
        noise would equal the noise of the detector.
    electrons_per_nmgy : float
        Electrons per nanomaggy, for the whole image.
    psf : Psf
        PSF in the middle of the image, in its pixels: the one to use where one must do for all.
    flags : ndarray
        uint8 (y, x), bits of PixelFlag.
    wcs : WCS or None
        Celestial coordinates of 0-indexed pixels with the centre of the first one at 0, as in
        astropy's pixel_to_world; None if unknown.
    pixel_scale : float
        Arcsec per pixel.
    origin : dict
        Plain values that identify the image, such as run, camera column and field.
    band : str
        Name of the filter, such as "r". Columns of flux bear it.
    findings : Findings or None
        What an inspection of the pixels found; None if there was none.
    corner : tuple of int
        Column and row, in the file, of the first pixel: not (0, 0) for a cut of a larger image.
        `wcs` and the positions in catalogs count from the first pixel of the file.
    psf_map : PsfMap, optional
        PSF at every place of the image; places count from the first pixel of `image`. By default
        it is `psf` everywhere.
    """

    name: str
    image: np.ndarray
    background: np.ndarray
    electrons_per_nmgy: float
    psf: Psf
    flags: np.ndarray
    wcs: WCS | None
    pixel_scale: float
    origin: dict[str, Any]
    band: str = "r"
    findings: Findings | None = None
    corner: tuple[int, int] = (0, 0)
    psf_map: PsfMap = None  # type: ignore[assignment]  # a PsfMap from __post_init__ on

    def __post_init__(self) -> None:
        """The same PSF everywhere unless it is known better."""
        if self.psf_map is None:
            object.__setattr__(self, "psf_map", ConstantMap(self.psf))

    @property
    def header_of_file(self) -> fits.Header:
        """Header of the coordinates of the file, empty if they are unknown."""
        cards = fits.Header() if self.wcs is None else self.wcs.to_header(relax=True)
        return cards

    @property
    def header(self) -> fits.Header:
        """Header of the coordinates of these pixels, empty if they are unknown."""
        cards = self.header_of_file
        if self.wcs is None:
            return cards
        for axis, first in enumerate(self.corner, start=1):
            cards[f"CRPIX{axis}"] = cards.get(f"CRPIX{axis}", 0.0) - first
        return cards

    @property
    def sky_sigma(self) -> float:
        """Standard deviation of the noise of the median sky, nanomaggies per pixel."""
        return sky_sigma(np.median(self.background), self.electrons_per_nmgy)

    def check(self) -> None:
        """Raise NpecatError, naming file, field and value, unless every field is physical."""
        shape = self.image.shape
        for field in ("image", "background", "flags"):
            array = getattr(self, field)
            if array.ndim != 2 or array.shape != shape:
                raise NpecatError(f"{self.name}: {field} has shape {array.shape}, not {shape}")
        check_size(self.name, shape)
        has_data = (self.flags & int(PixelFlag.NO_DATA)) == 0
        faintest = np.min(self.image, where=has_data, initial=np.inf)
        brightest = np.max(self.image, where=has_data, initial=-np.inf)
        if faintest >= brightest:
            value = f"{faintest:g}" if has_data.any() else "without data"
            raise NpecatError(f"{self.name}: every pixel is {value}; give an image of the sky")
        for field, good in (
            ("image", np.isfinite(self.image)),
            ("background", np.isfinite(self.background) & (self.background > 0)),
        ):
            if not good.all():
                y, x = np.unravel_index(np.argmin(good), shape)
                value = getattr(self, field)[y, x]
                raise NpecatError(f"{self.name}: {field} is {value:g} at pixel ({x}, {y})")
        if not (np.isfinite(self.electrons_per_nmgy) and self.electrons_per_nmgy > 0):
            raise NpecatError(
                f"{self.name}: {self.electrons_per_nmgy:g} electrons per nanomaggy; it must be "
                "finite and positive"
            )
        self.psf.check(f"{self.name}, PSF")
        self.psf_map.check(f"{self.name}, PSF", shape)


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Raise NpecatError, naming the image, if a shape (y, x) is less than MIN_SIDE either way."""
    if min(shape) < MIN_SIDE:
        raise NpecatError(
            f"{name}: the image has {shape[1]} x {shape[0]} pixels; give at least "
            f"{MIN_SIDE} x {MIN_SIDE}"
        )


def survey_image(
    name: str,
    image: np.ndarray,
    *,
    background: np.ndarray | float,
    electrons_per_nmgy: float,
    psf: Psf,
    flags: np.ndarray | None = None,
    wcs: WCS | None = None,
    pixel_scale: float | None = None,
    origin: dict[str, Any] | None = None,
    band: str = "r",
    findings: Findings | None = None,
    corner: tuple[int, int] = (0, 0),
    psf_map: PsfMap | None = None,
) -> SurveyImage:
    """Make a SurveyImage, checked, from the results of a reader.

    Parameters
    ----------
    name : str
        Name of the file, for messages and provenance.
    image : ndarray
        (y, x), nanomaggies per pixel, of any type. Pixels that are not finite are flagged NO_DATA;
        all pixels flagged so are set to 0, in place if the array is float32.
    background : ndarray or float
        (y, x) or one number, nanomaggies per pixel, see SurveyImage.
    electrons_per_nmgy : float
        Electrons per nanomaggy, for the whole image.
    psf : Psf
        PSF in the middle of the image, in its pixels.
    flags : ndarray, optional
        (y, x), bits of PixelFlag; none by default.
    wcs : WCS, optional
        Celestial coordinates of 0-indexed pixels.
    pixel_scale : float, optional
        Arcsec per pixel if there is no `wcs`; 0.396 by default.
    origin : dict, optional
        Plain values that identify the image.
    band : str, optional
        Name of the filter; "r" by default. Another band is logged, since networks learn types and
        fluxes of the r band.
    findings : Findings, optional
        What an inspection of the pixels found; its warnings are logged.
    corner : tuple of int, optional
        Column and row, in the file, of the first pixel.
    psf_map : PsfMap, optional
        PSF at every place; `psf` by default.

    Returns
    -------
    SurveyImage

    Raises
    ------
    NpecatError
        If a value is not physical, see SurveyImage.check.
    """
    with np.errstate(over="ignore"):  # beyond single precision is as good as infinite
        image = image.astype(np.float32, copy=False)
        background = np.asarray(background).astype(np.float32, copy=False)
    if background.ndim == 0:
        background = np.full(image.shape, background)
    flags = np.zeros(image.shape, np.uint8) if flags is None else flags.astype(np.uint8)
    if flags.shape == image.shape:
        flags[~np.isfinite(image)] |= int(PixelFlag.NO_DATA)
        image[(flags & int(PixelFlag.NO_DATA)) != 0] = 0
    result = SurveyImage(
        name=name,
        image=image,
        background=background,
        electrons_per_nmgy=float(electrons_per_nmgy),
        psf=psf,
        flags=flags,
        wcs=wcs,
        pixel_scale=scale_of(wcs) if wcs else pixel_scale or PIXEL_SCALE,
        origin=origin or {},
        band=band,
        findings=findings,
        corner=corner,
        psf_map=psf_map or ConstantMap(psf),
    )
    result.check()
    for warning in findings.warnings if findings else ():
        log.warning("%s: %s", name, warning)
    if band != "r":
        log.warning(
            "%s: band %s; types and flux priors are those of the r band, on which networks are "
            "trained",
            name,
            band,
        )
    return result
