"""One calibrated image of a survey with all that cataloging it needs, whatever survey it is of."""

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
from astropy.wcs import WCS

from npecat_sim import psf
from npecat_sim.errors import NpecatError


class PixelFlag(IntFlag):
    """What is known to be wrong with a pixel."""

    NO_DATA = 1
    SATURATED = 2
    COSMIC_RAY = 4
    INTERPOLATED = 8


@dataclass(frozen=True)
class SurveyImage:
    """A sky-subtracted image in one band, its sky, PSF and detector.

    name: of the file, for messages and provenance. image: float32 (y, x), nanomaggies per pixel;
    finite, 0 where flags say NO_DATA. background: float32 (y, x), the sky that was subtracted,
    nanomaggies per pixel. electrons_per_nmgy: of the whole image. psf_parameters: float64 (6,),
    see psf.PARAMETERS. flags: uint8 (y, x), bits of PixelFlag. wcs: celestial, of 0-indexed
    pixels with the centre of the first one at 0 in astropy's pixel_to_world; None if unknown.
    origin: what identifies the image, such as run, camera column and field; plain values.
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
        for field, good in (
            ("image", np.isfinite(self.image)),
            ("background", np.isfinite(self.background) & (self.background > 0)),
        ):
            if not good.all():
                y, x = np.argwhere(~good)[0]
                value = getattr(self, field)[y, x]
                raise NpecatError(f"{self.name}: {field} is {value:g} at pixel ({x}, {y})")
        if not (np.isfinite(self.electrons_per_nmgy) and self.electrons_per_nmgy > 0):
            raise NpecatError(
                f"{self.name}: {self.electrons_per_nmgy:g} electrons per nanomaggy; it must be "
                "finite and positive"
            )
        psf.check(self.psf_parameters, f"{self.name}, PSF")
