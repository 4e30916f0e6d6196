"""What a user, a header or a survey says of an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import PsfMap


@dataclass(frozen=True)
class Told:
    """What was told of an image, to be held against its pixels.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    unit : str
        Unit of a pixel, for messages: "counts" or "nmgy".
    pixel_scale : float
        Arcsec per pixel.
    sky : float or ndarray or None
        Sky that was subtracted, one number or (y, x); None if the image still holds it.
    gain : float or None
        Electrons per unit.
    psf : Psf or None
        The PSF; None to take a typical one as wide as the stars.
    psf_map : PsfMap or None
        The PSF at every place of the image; None to measure it from the stars.
    noise : ndarray or None
        float32 (y, x): noise of each pixel over that of a typical one.
    saturation : float or None
        Level of saturation.
    saturation_was, gain_was, psf_was : str
        Where these come from, in words.
    subtract_sky : bool
        Whether to subtract the sky that is left.
    trust_psf : bool
        Whether to keep the PSF, however wide the stars are.
    seconds : float or None
        Exposure time, to name counts per second where the numbers suggest it.
    notes : mapping
        Name -> text of what else was told, for the page of findings.
    """

    name: str
    unit: str
    pixel_scale: float
    sky: float | np.ndarray | None
    gain: float | None
    psf: Psf | None
    psf_map: PsfMap | None = None
    noise: np.ndarray | None = None
    saturation: float | None = None
    saturation_was: str = "as given"
    gain_was: str = "as given"
    psf_was: str = "as given"
    subtract_sky: bool = False
    trust_psf: bool = False
    seconds: float | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
