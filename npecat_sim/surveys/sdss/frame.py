"""Read an r-band frame of SDSS with the PSF and mask files beside it.

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

MAX_GRID_DEVIATION = 1e-3
"""Maximum deviation of XINTERP and YINTERP from a line, in grid cells; the error of the sky is then
at most 1e-3 of its change across a cell."""

PACKED = ("", ".gz", ".bz2")
"""Possible endings of the name of a file beside the frame."""


def read_sdss_frame(path: Path, psf: str | None = None, *, mask: Path | None = None) -> SurveyImage:
    """Read a frame-r file of SDSS, or a cutout of one in the same layout.

    Parameters
    ----------
    path : Path
        Path of the frame, which may be packed by gzip or bzip2.
    psf : str, optional
        A photoField or psField file, or six numbers with commas between them (see psf.PARAMETERS);
        by default the photoField file beside the frame, or else the psField file.
    mask : Path, optional
        An fpM file; by default the one beside the frame, if there is one.

    Returns
    -------
    SurveyImage
        Its electrons per nanomaggy follow from the mean calibration of the columns. Its background
        includes a sky whose photon noise equals the dark variance of the detector.

    Raises
    ------
    NpecatError
        If a file is malformed, missing or of another field; the message names it and its fault.
    """
    path = Path(path)
    image, wcs, identity, sky_map = _read(path)
    if psf is None:
        psf = _psf_beside(path, identity)
    if mask is None:
        mask = _beside(path, "fpM-{run:06d}-r{camcol}-{field:04d}.fit", identity)
    optics = field_optics(psf, identity)
    nmgy_per_count = float(sky_map.calibration.mean(dtype=np.float64))
    # The noise of the detector is equal to that of a sky which is brighter by this much.
    dark = optics.dark_variance * optics.gain * nmgy_per_count
    run, camcol, field = identity
    return survey_image(
        name=str(path),
        image=image,
        background=sky_map.cut(0, 0, shape=image.shape) + np.float32(dark),
        electrons_per_nmgy=optics.gain / nmgy_per_count,
        psf=optics.psf,
        flags=None if mask is None else read_mask(mask, identity, shape=image.shape),
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
    """Image (nanomaggies), coordinates, (run, camcol, field) and sky of a frame file."""
    fix = "get the r-band frame from SDSS again; an image of another survey needs a zeropoint"
    with open_fits(path, fix) as hdus:
        image = data_at(hdus, 0, kind=fits.PrimaryHDU)
        header = hdus[0].header
        if image.ndim != 2 or header.get("BUNIT") != "nanomaggy":
            raise NpecatError(
                f"HDU 0 has axes {image.shape} and unit {header.get('BUNIT')}, "
                "no image in nanomaggy as SDSS's frames"
            )
        identity, sky_map = frame_sky_of(hdus, image.shape)
        return image, celestial_wcs(header), identity, sky_map


def _psf_beside(path: Path, identity: Identity) -> str:
    """The photoField or else the psField file beside a frame; NpecatError if there is none."""
    photofield = "photoField-{run:06d}-{camcol}.fits"
    psfield = "psField-{run:06d}-{camcol}-{field:04d}.fit"
    for pattern in (photofield, psfield):
        found = _beside(path, pattern, identity)
        if found:
            return str(found)
    raise NpecatError(
        f"{path}: no PSF is known; put {_name(photofield, identity)} or "
        f"{_name(psfield, identity)} beside it, or give the PSF as a file or six numbers",
        parameters=("psf",),
    )


def _beside(path: Path, pattern: str, identity: Identity) -> Path | None:
    """The file of that name in the folder of the frame, plain or packed, if there is one."""
    places = [path.with_name(_name(pattern, identity) + ending) for ending in PACKED]
    return next((place for place in places if place.is_file()), None)


def _name(pattern: str, identity: Identity) -> str:
    """Name of a file of a field, from its pattern."""
    run, camcol, field = identity
    return pattern.format(run=run, camcol=camcol, field=field)


def read_frame_sky(path: Path) -> tuple[Identity, SkyMap]:
    """Read the identity and the sky of an r-band frame file.

    Parameters
    ----------
    path : Path
        Path of a whole frame, which may be packed by gzip or bzip2.

    Returns
    -------
    identity : tuple of int
        Run, camera column and field.
    sky_map : SkyMap
        The sky that SDSS subtracted.

    Raises
    ------
    NpecatError
        If the file is malformed or of another band; the message names file and HDU.
    """
    with open_fits(path, "get the r-band frame file from SDSS again") as hdus:
        return frame_sky_of(hdus, FIELD_SHAPE)


def frame_sky_of(hdus: fits.HDUList, shape: tuple[int, int]) -> tuple[Identity, SkyMap]:
    """The identity and the sky of an open r-band frame.

    Parameters
    ----------
    hdus : HDUList
        The frame.
    shape : tuple of int
        Shape (y, x) of its image.

    Returns
    -------
    identity : tuple of int
        Run, camera column and field.
    sky_map : SkyMap
        The sky that SDSS subtracted.

    Raises
    ------
    NpecatError
        If the frame is malformed or of another band; the message names the HDU.
    """
    calibration = data_at(hdus, 1, kind=fits.ImageHDU)
    sky = data_at(hdus, 2, kind=fits.BinTableHDU)
    astrometry = data_at(hdus, 3, kind=fits.BinTableHDU)
    filter_name = str(astrometry["FILTER"][0]).strip()
    if filter_name != "r":
        raise NpecatError(f"HDU 3: FILTER is {filter_name!r}, not 'r'")
    run, camcol, field = identities(astrometry)[0].tolist()
    height, width = shape
    y0, y_step = _line(sky, "YINTERP", height)
    x0, x_step = _line(sky, "XINTERP", width)
    if abs(y_step - x_step) * width > MAX_GRID_DEVIATION:
        raise NpecatError(f"HDU 2: XINTERP has step {x_step:g} and YINTERP {y_step:g}, not one")
    sky_map = SkyMap(
        grid=column(sky, "ALLSKY", shape=(None, None), dtype=np.float32)[0],
        calibration=calibration.astype(np.float32),
        y0=y0,
        x0=x0,
        step=x_step,
    )
    sky_map.check("HDU 1 (calibration) and HDU 2 (grid)", shape)
    return (run, camcol, field), sky_map


def _line(sky: fits.FITS_rec, name: str, n_pixels: int) -> tuple[float, float]:
    """Start and step of grid positions, which must be linear in the pixel number."""
    position = column(sky, name, shape=(n_pixels,))[0]
    start = position[0]
    step = (position[-1] - start) / (n_pixels - 1)
    if not np.abs(position - (start + step * np.arange(n_pixels))).max() < MAX_GRID_DEVIATION:
        raise NpecatError(f"HDU 2: column {name} is not linear")
    return float(start), float(step)
