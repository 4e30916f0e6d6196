"""Read an r-band frame of SDSS with the PSF and the mask that lie beside it.

Format: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import SkyMap
from npecat_sim.io.fits import data_at, open_fits
from npecat_sim.surveys.image import SurveyImage, survey_image
from npecat_sim.surveys.sdss.mask import read_mask
from npecat_sim.surveys.sdss.optics import Identity, field_optics
from npecat_sim.surveys.sdss.photofield import frame_sky_of
from npecat_sim.surveys.wcs import celestial_wcs

PACKED = ("", ".gz", ".bz2")
"""Endings that the name of a file beside the frame may have."""


def read_sdss_frame(path: Path, psf: str | None = None, mask: Path | None = None) -> SurveyImage:
    """A frame-r file of SDSS or a cutout of one in its layout, plain or packed by gzip or bzip2.

    psf: a photoField or psField file, or six numbers (see psf.PARAMETERS); by default the
    photoField or else the psField file beside the frame. mask: an fpM file; by default the one
    beside the frame, if any. The image has one number of electrons a nanomaggy, with the mean of
    the columns' calibrations; its background stands for the detector's dark variance too. Raises
    NpecatError, naming the file at fault and what is wrong.
    """
    path = Path(path)
    image, wcs, identity, sky_map = _read(path)
    if psf is None:
        psf = _psf_beside(path, identity)
    if mask is None:
        mask = _beside(path, "fpM-{run:06d}-r{camcol}-{field:04d}.fit", identity)
    optics = field_optics(psf, identity)
    nmgy_per_count = float(sky_map.calibration.mean(dtype=np.float64))
    # Noise of the detector cannot be told from that of a sky which is brighter by so much.
    dark = optics.dark_variance * optics.gain * nmgy_per_count
    run, camcol, field = identity
    return survey_image(
        name=str(path),
        image=image,
        background=sky_map.cut(0, 0, image.shape) + np.float32(dark),
        electrons_per_nmgy=optics.gain / nmgy_per_count,
        psf_parameters=optics.psf,
        flags=None if mask is None else read_mask(mask, identity, image.shape),
        wcs=wcs,
        origin={
            "survey": "SDSS",
            "run": run,
            "camcol": camcol,
            "field": field,
            "psf": psf,
            "mask": None if mask is None else str(mask),
        },
    )


def _read(path: Path) -> tuple[np.ndarray, WCS | None, Identity, SkyMap]:
    """Image in nanomaggies, coordinates, (run, camcol, field) and sky of a frame file."""
    fix = "get the r-band frame from SDSS again; an image of another survey needs a zeropoint"
    with open_fits(path, fix) as hdus:
        image = data_at(hdus, 0, fits.PrimaryHDU)
        header = hdus[0].header
        if image.ndim != 2 or header.get("BUNIT") != "nanomaggy":
            raise NpecatError(
                f"HDU 0 has axes {image.shape} and unit {header.get('BUNIT')}, "
                "no image in nanomaggy as SDSS's frames"
            )
        identity, sky_map = frame_sky_of(hdus, image.shape)
        return image, celestial_wcs(header), identity, sky_map


def _psf_beside(path: Path, identity: Identity) -> str:
    patterns = ("photoField-{run:06d}-{camcol}.fits", "psField-{run:06d}-{camcol}-{field:04d}.fit")
    for pattern in patterns:
        found = _beside(path, pattern, identity)
        if found:
            return str(found)
    run, camcol, _ = identity
    raise NpecatError(
        f"{path}: no PSF is known; put {_name(patterns[0], identity)} or "
        f"{_name(patterns[1], identity)} beside it (npecat fields download --run {run} "
        f"--camcol {camcol} fetches the former) or give psf, a file or six numbers"
    )


def _beside(path: Path, pattern: str, identity: Identity) -> Path | None:
    """The file of that name, plain or packed, in the folder of the frame."""
    places = [path.with_name(_name(pattern, identity) + ending) for ending in PACKED]
    return next((place for place in places if place.is_file()), None)


def _name(pattern: str, identity: Identity) -> str:
    run, camcol, field = identity
    return pattern.format(run=run, camcol=camcol, field=field)
