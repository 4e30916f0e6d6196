"""One calibrated image of a survey with all that cataloging it needs, whatever survey it is of."""

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.model import psf

MIN_SIDE = 38
"""Pixels: the aperture that fluxes are calibrated to, 2 psf.CALIBRATION_RADIUS wide, must fit."""


class PixelFlag(IntFlag):
    """What is known to be wrong with a pixel; HALO: it holds the outer light of a bright star."""

    NO_DATA = 1
    SATURATED = 2
    COSMIC_RAY = 4
    INTERPOLATED = 8
    HALO = 32


@dataclass(frozen=True)
class SurveyImage:
    """A sky-subtracted image in one band, its sky, PSF and detector.

    name: of the file, for messages and provenance. image: float32 (y, x), nanomaggies per pixel;
    finite, 0 where flags say NO_DATA. background: float32 (y, x), the sky that was subtracted,
    and as much more as would have the noise of the detector, nanomaggies per pixel.
    electrons_per_nmgy: of the whole image. psf_parameters: float64 (6,), see psf.PARAMETERS.
    flags: uint8 (y, x), bits of PixelFlag. wcs: celestial, of 0-indexed pixels with the centre of
    the first one at 0 in astropy's pixel_to_world; None if unknown. origin: what identifies the
    image, such as run, camera column and field; plain values.
    """

    name: str
    image: np.ndarray
    background: np.ndarray
    electrons_per_nmgy: float
    psf_parameters: np.ndarray
    flags: np.ndarray
    wcs: WCS | None
    origin: dict[str, Any]

    def check(self) -> None:
        """Raise NpecatError, naming file, field and value, unless all of it is physical."""
        shape = self.image.shape
        for field in ("image", "background", "flags"):
            array = getattr(self, field)
            if array.ndim != 2 or array.shape != shape:
                raise NpecatError(f"{self.name}: {field} has shape {array.shape}, not {shape}")
        if min(shape) < MIN_SIDE:
            raise NpecatError(
                f"{self.name}: the image has {shape[1]} x {shape[0]} pixels; "
                f"give at least {MIN_SIDE} x {MIN_SIDE}"
            )
        has_data = (self.flags & int(PixelFlag.NO_DATA)) == 0
        least, most = (
            best(self.image, where=has_data, initial=initial)
            for best, initial in ((np.min, np.inf), (np.max, -np.inf))
        )
        if least >= most:
            value = f"{least:g}" if has_data.any() else "without data"
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
        psf.check(self.psf_parameters, f"{self.name}, PSF")


def survey_image(
    name: str,
    image: np.ndarray,
    background: np.ndarray | float,
    electrons_per_nmgy: float,
    psf_parameters: np.ndarray,
    flags: np.ndarray | None = None,
    wcs: WCS | None = None,
    origin: dict[str, Any] | None = None,
) -> SurveyImage:
    """A checked SurveyImage of what a reader found; raises NpecatError as check does.

    image: (y, x), nanomaggies per pixel, of any type; pixels that are not finite are flagged
    NO_DATA and set to 0, in place where the array is float32. background: (y, x) or one number.
    flags: (y, x), by default none.
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
        psf_parameters=np.asarray(psf_parameters, np.float64),
        flags=flags,
        wcs=wcs,
        origin=origin or {},
    )
    result.check()
    return result
