"""Measure what images tell of their telescope: PSF, pixels, sky, gain and noise."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.fields.images import POSITIVE, ImageTable, sampled
from npecat_sim.progress import progress
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.open import open_image

log = logging.getLogger(__name__)

PLACES = (1 / 6, 1 / 2, 5 / 6)
"""Places along each side, as shares of it, at which a PSF that varies is taken: the middles of
thirds of the image."""

ENDINGS = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.bz2", ".fit.bz2", ".fits.fz")
"""Ends of the names of images in a folder."""

BESIDE = ("photoField-", "psField-", "fpM-")
"""Begins of the names of files that tell of an SDSS frame beside them."""


def image_paths(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant by files and folders.

    Parameters
    ----------
    paths : iterable of Path
        Files, which are taken as they are, and folders, of which the FITS files are taken.

    Returns
    -------
    list of Path
        Those of a folder are sorted by name.

    Raises
    ------
    NpecatError
        If a folder holds no FITS file.
    """
    files = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = [
            file
            for file in sorted(path.iterdir())
            if file.name.lower().endswith(ENDINGS) and not file.name.startswith((".", *BESIDE))
        ]
        if not found:
            raise NpecatError(f"{path}: no file of this folder ends with {', '.join(ENDINGS)}")
        files += found
    return files


def import_images(paths: Iterable[Path], **reading: Any) -> ImageTable:
    """Measure images; one that cannot be read is named in a warning and left out.

    Parameters
    ----------
    paths : iterable of Path
        Images, and folders of images.
    **reading
        Parameters of open.open_image, which hold for all images.

    Returns
    -------
    ImageTable
        In the order of the paths.

    Raises
    ------
    NpecatError
        If none can be read.
    """
    files = image_paths(paths)
    rows, failures = [], []
    with progress("import", len(files)) as advance:
        for file in files:
            try:
                image = open_image(file, **reading)
                rows.append(_row_of(file, image))
                if reading.get("psf") is None and _has_no_psf_of_its_own(image):
                    log.warning(
                        "%s: too few stars tell its PSF, and a typical one of SDSS of its width is "
                        "taken; give psf, or leave it out",
                        file,
                    )
            except NpecatError as error:
                failures.append(error)
                said = str(error)
                told = said if said.startswith(str(file)) else f"{file}: {said}"
                log.warning("left out: %s", told)
            advance(1, "")
    if not rows:
        raise NpecatError(
            f"none of {len(files)} images can be read; the first: {failures[0]}",
            parameters=failures[0].parameters,
        )
    return ImageTable(
        name=tuple(row["name"] for row in rows),
        band=tuple(row["band"] for row in rows),
        **{name: np.array([row[name] for row in rows], dtype=np.float64) for name in POSITIVE},
        psf=tuple(row["psf"] for row in rows),
    )


def _row_of(file: Path, image: SurveyImage) -> dict[str, Any]:
    """The columns of an ImageTable for one image."""
    seen = (image.flags & int(PixelFlag.NO_DATA)) == 0
    correlation = image.findings.noise_correlation if image.findings else 1.0
    # The background holds the noise of a flux.
    level = float(np.median(image.background[seen])) / correlation**2
    psf, step = _psfs_of(image)
    return {
        "name": _ascii(file.name),
        "band": _ascii(image.band),
        "pixel_scale": image.pixel_scale,
        "sky": level / image.pixel_scale**2,
        "electrons_per_nmgy": image.electrons_per_nmgy,
        "correlation": correlation,
        "step": step,
        "psf": psf,
    }


def _psfs_of(image: SurveyImage) -> tuple[np.ndarray, float]:
    """Samples of the PSF, float32 (place, row, column), and the pixels between them."""
    height, width = image.image.shape
    shares = (1 / 2,) if image.psf_map.is_constant else PLACES
    places = [(x * width - 0.5, y * height - 0.5) for y in shares for x in shares]
    return sampled([image.psf_map.at(x, y) for x, y in places])


def _has_no_psf_of_its_own(image: SurveyImage) -> bool:
    """Whether the PSF of an image that is not of SDSS is known by its width alone."""
    is_typical = image.psf_map.is_constant and image.psf_map.at(0, 0) == image.psf
    return is_typical and image.origin.get("survey") != "SDSS"


def _ascii(text: str) -> str:
    """Text for a FITS table."""
    return text.encode("ascii", "replace").decode()
