"""Read an r-band frame of SDSS with the PSF and the mask that lie beside it.

Format: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import identities
from npecat_sim.fields.table import FIELD_SHAPE, SkyMap
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.surveys.image import SurveyImage, survey_image
from npecat_sim.surveys.sdss.mask import read_mask
from npecat_sim.surveys.sdss.optics import Identity, field_optics
from npecat_sim.surveys.wcs import celestial_wcs

STRAIGHT = 1e-3
"""Grid cells that XINTERP may stray from a line: the sky then errs by 1e-3 of a cell's change."""

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
        psf=optics.psf,
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
    raise NpecatError(
        f"{path}: no PSF is known; put {_name(patterns[0], identity)} or "
        f"{_name(patterns[1], identity)} beside it, or give the PSF as a file or six numbers",
        parameters=("psf",),
    )


def _beside(path: Path, pattern: str, identity: Identity) -> Path | None:
    """The file of that name, plain or packed, in the folder of the frame."""
    places = [path.with_name(_name(pattern, identity) + ending) for ending in PACKED]
    return next((place for place in places if place.is_file()), None)


def _name(pattern: str, identity: Identity) -> str:
    run, camcol, field = identity
    return pattern.format(run=run, camcol=camcol, field=field)


def read_frame_sky(path: Path) -> tuple[tuple[int, int, int], SkyMap]:
    """(run, camcol, field) and sky of an r-band frame file, plain or packed by gzip or bzip2.

    Raises NpecatError, naming file and HDU, on a malformed file or another band.
    """
    with open_fits(path, "get the r-band frame file from SDSS again") as hdus:
        return frame_sky_of(hdus, FIELD_SHAPE)


def frame_sky_of(hdus: fits.HDUList, shape: tuple[int, int]) -> tuple[tuple[int, int, int], SkyMap]:
    """(run, camcol, field) and sky of an r-band frame of the given shape (y, x).

    Raises NpecatError, naming the HDU, on a malformed file or another band.
    """
    calibration = data_at(hdus, 1, fits.ImageHDU)
    sky = data_at(hdus, 2, fits.BinTableHDU)
    astrometry = data_at(hdus, 3, fits.BinTableHDU)
    filter_name = str(astrometry["FILTER"][0]).strip()
    if filter_name != "r":
        raise NpecatError(f"HDU 3: FILTER is {filter_name!r}, not 'r'")
    run, camcol, field = identities(astrometry)[0].tolist()
    y0, y_step = _line(sky, "YINTERP", shape[0])
    x0, x_step = _line(sky, "XINTERP", shape[1])
    if abs(y_step - x_step) * shape[1] > STRAIGHT:
        raise NpecatError(f"HDU 2: XINTERP has step {x_step:g} and YINTERP {y_step:g}, not one")
    sky_map = SkyMap(
        grid=column(sky, "ALLSKY", (None, None), np.float32)[0],
        calibration=calibration.astype(np.float32),
        y0=y0,
        x0=x0,
        step=x_step,
    )
    sky_map.check("HDU 1 (calibration) and HDU 2 (grid)", shape)
    return (run, camcol, field), sky_map


def _line(sky: fits.FITS_rec, name: str, n_pixels: int) -> tuple[float, float]:
    """Start and step of grid positions that must lie on a line over the pixels."""
    position = column(sky, name, (n_pixels,))[0]
    start = position[0]
    step = (position[-1] - start) / (n_pixels - 1)
    if not np.abs(position - (start + step * np.arange(n_pixels))).max() < STRAIGHT:
        raise NpecatError(f"HDU 2: column {name} is not linear")
    return float(start), float(step)
