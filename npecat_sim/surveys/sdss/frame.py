"""Read a frame of SDSS, of any band, with the PSF and mask files beside it.

Format: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

import logging
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from npecat_sim.errors import NpecatError
from npecat_sim.fields.library import identities
from npecat_sim.fields.table import FIELD_SHAPE, SkyMap
from npecat_sim.io.fits import column, data_at, open_fits
from npecat_sim.psf.base import Psf
from npecat_sim.psf.varying import ConstantMap
from npecat_sim.surveys.image import PixelFlag, SurveyImage, check_size, survey_image
from npecat_sim.surveys.inspection.inspect import inspect_pixels
from npecat_sim.surveys.inspection.told import Told
from npecat_sim.surveys.parameters import PsfLike, checked_psf, checked_width, psf_name
from npecat_sim.surveys.sdss.mask import read_mask
from npecat_sim.surveys.sdss.optics import FieldOptics, Identity, field_optics, given_optics
from npecat_sim.surveys.sdss.photofield import BANDS
from npecat_sim.surveys.wcs import celestial_wcs, pixel_scale
from npecat_sim.units import PIXEL_SCALE

log = logging.getLogger(__name__)

MAX_GRID_DEVIATION = 1e-3
"""Maximum deviation of XINTERP and YINTERP from a line, in grid cells; the error of the sky is then
at most 1e-3 of its change across a cell."""

N_HDUS = 4
"""HDUs of a frame: image, calibration, sky and astrometry."""

CAMCOLS = range(1, 7)
"""Numbers of the camera columns."""

PACKED = ("", ".gz", ".bz2")
"""Possible endings of the name of a file beside the frame."""


class NotAFrameError(NpecatError):
    """The file is no frame of SDSS, but may be another image."""


def read_sdss_frame(
    path: Path,
    psf: PsfLike | None = None,
    *,
    mask: Path | None = None,
    fwhm: float | None = None,
    saturate: float | None = None,
    subtract_sky: bool = False,
    trust_psf: bool = False,
) -> SurveyImage:
    """Read a frame file of SDSS, or a cutout of one in the same layout.

    Parameters
    ----------
    path : Path
        Path of the frame, which may be packed by gzip or bzip2.
    psf : path, str, Psf or PsfMap, optional
        A photoField or psField file, any other file with a PSF (see psf.files), or six numbers
        with commas between them (see psf.PARAMETERS); by default the photoField file beside the
        frame, or else the psField file.
    mask : Path, optional
        An fpM file; by default the one of that band beside the frame, if there is one.
    fwhm : float, optional
        FWHM of stars, arcsec, in place of the PSF in `psf`.
    saturate : float, optional
        Nanomaggies from which a pixel is saturated.
    subtract_sky : bool, optional
        Subtract what is left of the sky.
    trust_psf : bool, optional
        Keep the PSF as it is given, however wide the stars are.

    Returns
    -------
    SurveyImage
        Its electrons per nanomaggy follow from the mean calibration of the columns. Its background
        includes a sky whose photon noise equals the dark variance of the detector, unless the
        noise that is measured differs.

    Raises
    ------
    NotAFrameError
        If the file is no frame.
    NpecatError
        If a file is malformed, missing or of another field; the message names it and its fault.
    """
    path = Path(path)
    frame = _read(path)
    if frame is None:
        raise NotAFrameError(f"{path}: no frame of SDSS, whose HDU 0 is an image in nanomaggy")
    image, wcs, identity, band, sky_map = frame
    check_size(str(path), image.shape)
    run, camcol, field = identity
    is_given = psf is not None
    psf = _psf_beside(path, identity) if psf is None else psf
    if mask is None:
        mask = _beside(path, f"fpM-{run:06d}-{band}{camcol}-{field:04d}.fit")
        if mask:
            log.info("%s: pixels are flagged as in %s beside it", path, mask)
    optics = _optics(str(path), psf, identity, band)
    nmgy_per_count = float(sky_map.calibration.mean(dtype=np.float64))
    # The noise of the detector is equal to that of a sky which is brighter by this much.
    dark = optics.dark_variance * optics.gain * nmgy_per_count
    flags = np.zeros(image.shape, np.uint8)
    if mask is not None:
        flags = read_mask(mask, identity, band=band, shape=image.shape)
    flags[~np.isfinite(image)] |= int(PixelFlag.NO_DATA)
    scale = PIXEL_SCALE if wcs is None else pixel_scale(wcs)
    height, width = image.shape
    psf_map = optics.psf_map
    point: Psf
    if fwhm is not None:
        point, psf_map = checked_width(f"{path}", fwhm, scale), None
    elif optics.psf is not None:
        point = optics.psf
        psf_map = ConstantMap(point) if psf_map is None and is_given else psf_map
    else:
        assert psf_map is not None
        point = psf_map.at((width - 1) / 2, (height - 1) / 2)
    told = Told(
        name=str(path),
        unit="nmgy",
        pixel_scale=scale,
        sky=sky_map.cut(0, 0, shape=image.shape) + np.float32(dark),
        gain=optics.gain / nmgy_per_count,
        psf=point,
        psf_map=psf_map,
        saturation=saturate,
        gain_was=f"{optics.gain:g} electrons a count, of the detector",
        psf_was=psf_name(psf) if fwhm is None else "as given",
        subtract_sky=subtract_sky,
        trust_psf=trust_psf,
        notes={"field": f"{run}/{camcol}/{field} of SDSS, band {band}"},
    )
    seen = inspect_pixels(
        np.where(flags & int(PixelFlag.NO_DATA), np.float32(0), image), flags, told=told
    )
    return survey_image(
        name=str(path),
        image=seen.pixels,
        background=seen.background,
        electrons_per_nmgy=seen.gain,
        psf=seen.psf,
        psf_map=seen.psf_map,
        flags=seen.flags,
        wcs=wcs,
        origin={
            "survey": "SDSS",
            "run": run,
            "camcol": camcol,
            "field": field,
            "psf": str(psf) if isinstance(psf, str | Path) else psf_name(psf),
            "mask": None if mask is None else str(mask),
        },
        band=band,
        findings=seen.findings,
    )


def _read(path: Path) -> tuple[np.ndarray, WCS | None, Identity, str, SkyMap] | None:
    """Image (nanomaggies), coordinates, (run, camcol, field), band and sky; None of no frame."""
    fix = "get the frame from SDSS again; an image of another survey needs a zeropoint"
    with open_fits(path, fix) as hdus:
        header = hdus[0].header
        if header.get("BUNIT") != "nanomaggy" or header.get("NAXIS") != 2 or len(hdus) < N_HDUS:
            return None
        image = data_at(hdus, 0, kind=fits.PrimaryHDU).astype(np.float32)
        identity, band, sky_map = frame_sky_of(hdus, image.shape)
        return image, celestial_wcs(header), identity, band, sky_map


def _optics(name: str, psf: PsfLike, identity: Identity, band: str) -> FieldOptics:
    """PSF and detector of a field, from whatever tells the PSF."""
    if isinstance(psf, str | Path):
        return field_optics(str(psf), identity, band=band)
    return given_optics(checked_psf(name, psf, band=band), identity, band=band)


def _psf_beside(path: Path, identity: Identity) -> str:
    """The photoField or else the psField file beside a frame; NpecatError if there is none."""
    run, camcol, field = identity
    photofield = f"photoField-{run:06d}-{camcol}.fits"
    psfield = f"psField-{run:06d}-{camcol}-{field:04d}.fit"
    found = _beside(path, photofield) or _beside(path, psfield)
    if found:
        return str(found)
    raise NpecatError(
        f"{path}: no PSF is known; put {photofield} or {psfield} beside it, or give the PSF as a "
        "file or six numbers",
        parameters=("psf",),
    )


def _beside(path: Path, name: str) -> Path | None:
    """The file of that name in the folder of the frame, plain or packed, if there is one."""
    places = [path.with_name(name + ending) for ending in PACKED]
    return next((place for place in places if place.is_file()), None)


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
        identity, band, sky_map = frame_sky_of(hdus, FIELD_SHAPE)
        if band != "r":
            raise NpecatError(
                f"HDU 3: FILTER is {band!r}, not 'r'; fields are simulated in the r band alone"
            )
        return identity, sky_map


def frame_sky_of(hdus: fits.HDUList, shape: tuple[int, int]) -> tuple[Identity, str, SkyMap]:
    """The identity, the band and the sky of an open frame.

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
    band : str
        One of BANDS.
    sky_map : SkyMap
        The sky that SDSS subtracted.

    Raises
    ------
    NpecatError
        If the frame is malformed or of an unknown band; the message names the HDU.
    """
    calibration = data_at(hdus, 1, kind=fits.ImageHDU)
    sky = data_at(hdus, 2, kind=fits.BinTableHDU)
    astrometry = data_at(hdus, 3, kind=fits.BinTableHDU)
    band = str(astrometry["FILTER"][0]).strip()
    if band not in BANDS:
        raise NpecatError(f"HDU 3: FILTER is {band!r}, none of {' '.join(BANDS)}")
    run, camcol, field = identities(astrometry)[0].tolist()
    if run < 0 or camcol not in CAMCOLS:
        raise NpecatError(f"HDU 3: SDSS has no RUN {run}, CAMCOL {camcol}")
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
    return (run, camcol, field), band, sky_map


def _line(sky: fits.FITS_rec, name: str, n_pixels: int) -> tuple[float, float]:
    """Start and step of grid positions, which must be linear in the pixel number."""
    position = column(sky, name, shape=(n_pixels,))[0]
    start = position[0]
    step = (position[-1] - start) / (n_pixels - 1)
    if not np.abs(position - (start + step * np.arange(n_pixels))).max() < MAX_GRID_DEVIATION:
        raise NpecatError(f"HDU 2: column {name} is not linear")
    return float(start), float(step)
