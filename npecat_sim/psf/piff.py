"""Read the models of Piff with the library itself, which is an extra: ``npecat[piff]``.

A Piff file holds the coordinates of its image as a pickle, which could run any program. So all its
pickles are read here first, with coordinates of GalSim and astropy as all that they may make.
"""

import base64
import io
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.psf.base import Psf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.varying import PsfMap

PICKLED = re.compile(r"(.+)_str_(\d{4})")
"""Columns with parts of a pickle in base64."""

HARMLESS = re.compile(
    r"(galsim\.(wcs|fitswcs|position|celestial|angle)|coord\.(angle|celestial|angleunit))"
    r"\.[A-Z]\w*"
    r"|galsim\._galsim\.PositionD"
    r"|numpy\.(_core|core)\.(multiarray\._reconstruct|multiarray\.scalar|numeric\._frombuffer)"
    r"|numpy\.(ndarray|dtype)"
    r"|astropy\.io\.fits\.(header\.Header|card\.Card)"
    r"|_codecs\.encode"
)
"""What a pickle of coordinates may name: classes that hold numbers."""

OVERSAMPLING = 4
"""Samples per pixel of the stamps that are drawn."""

SIDE = 25
"""Minimum side of the stamps, pixels."""

SIDE_FWHM = 10
"""Side of the stamps in FWHM; 0.3 % of a Moffat profile of beta 3 lies outside."""


def is_piff(hdus: fits.HDUList) -> bool:
    """Whether an open file holds a model of Piff."""
    tables = {hdu.name.upper(): hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)}
    return "PSF" in tables and "type" in tables["PSF"].columns.names


def read_piff(path: Path, hdus: fits.HDUList) -> PsfMap:
    """The model of an open file.

    Parameters
    ----------
    path : Path
        The file.
    hdus : HDUList
        The same, open.

    Returns
    -------
    PsfMap
        Piff counts pixels from 1.

    Raises
    ------
    NpecatError
        If Piff is not installed or cannot read the file, or the PSF depends on more than the place.
    """
    try:
        import piff
    except ImportError:
        raise NpecatError(
            "it is a file of Piff, which needs the package piff: pip install 'npecat[piff]'"
        ) from None
    _refuse_programs(hdus)
    model = piff.read(str(path))
    chips = list(getattr(model, "wcs", {}))
    if len(chips) != 1:
        raise NpecatError(f"it holds PSFs of {len(chips)} detectors; give a file with one of them")
    extra = set(model.interp_property_names) - {"x", "y", "u", "v"}
    if extra:
        raise NpecatError(f"its PSF depends on {', '.join(sorted(extra))} as well as on the place")
    found = PiffMap(model, chips[0])
    found.at(0, 0).check("it")
    return found


@dataclass(frozen=True, eq=False)
class PiffMap(PsfMap):
    """A model of Piff on one detector.

    Parameters
    ----------
    model : piff.PSF
        The model.
    chip : int
        Number of the detector.
    """

    model: Any
    chip: int

    def at(self, x: float, y: float) -> Psf:
        """The PSF at a place, see PsfMap.at."""
        import galsim  # takes half a second

        place = galsim.PositionD(x + 1, y + 1)
        profile, method = self.model.get_profile(place.x, place.y, chipnum=self.chip)
        jacobian = self.model.wcs[self.chip].local(place).jacobian()
        recorded = jacobian.toImage(profile)
        if method != "no_pixel":
            recorded = galsim.Convolve(recorded, galsim.Pixel(1.0))
        fwhm = recorded.calculateFWHM() if recorded.is_analytic_x else None
        side = SIDE if fwhm is None else max(SIDE, int(np.ceil(SIDE_FWHM * fwhm)))
        n_samples = side * OVERSAMPLING // 2 * 2 + 1
        stamp = recorded.drawImage(
            nx=n_samples, ny=n_samples, scale=1 / OVERSAMPLING, method="no_pixel", dtype=float
        )
        return SampledPsf(stamp.array, 1 / OVERSAMPLING)


class _Harmless(pickle.Unpickler):
    """Makes nothing but what is HARMLESS."""

    def find_class(self, module: str, name: str) -> Any:
        """A class by its name, if it is harmless."""
        if not HARMLESS.fullmatch(f"{module}.{name}"):
            raise NpecatError(f"its coordinates name {module}.{name}, which no coordinates need")
        return super().find_class(module, name)


def _refuse_programs(hdus: fits.HDUList) -> None:
    """Raise NpecatError unless the pickles of a file hold coordinates alone."""
    for index, hdu in enumerate(hdus):
        if not isinstance(hdu, fits.BinTableHDU):
            continue
        for row in hdu.data:
            parts: dict[str, list[tuple[str, bytes]]] = {}
            for name in hdu.columns.names:
                match = PICKLED.fullmatch(name)
                if match:
                    text = row[name]
                    data = text.encode() if isinstance(text, str) else bytes(text)
                    parts.setdefault(match[1], []).append((match[2], data))
            for found in parts.values():
                content = base64.b64decode(b"".join(data for _, data in sorted(found)))
                try:
                    _Harmless(io.BytesIO(content)).load()
                except NpecatError as error:
                    raise NpecatError(f"HDU {index}: {error}") from None
