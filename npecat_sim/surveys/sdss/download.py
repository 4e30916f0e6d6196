"""Download photoField and frame files from the public archive of SDSS.

The layout is documented at https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/: photoField files
are under RERUN/RUN and frames under frames/RERUN/RUN/CAMCOL.
"""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from astropy.utils.data import clear_download_cache, download_file

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import open_fits
from npecat_sim.io.storage import replacing, writing
from npecat_sim.surveys.sdss.frame import read_frame_sky
from npecat_sim.surveys.sdss.photofield import photofield_of

log = logging.getLogger(__name__)

ARCHIVE = "https://data.sdss.org/sas/dr17/eboss/photoObj"
"""Address of the photometry of data release 17."""

RERUN = 301
"""Number of the reduction in data release 8 and all later ones."""

CACHE = "npecat"
"""Name of the folder of downloads in the cache of astropy."""

ATTEMPTS = 3
"""Maximum number of attempts to download a file."""

PAUSE = 2.0
"""Seconds before the second attempt; twice as many before the third."""

TIMEOUT = 30.0
"""Seconds without a byte after which an attempt is abandoned."""


def download_fields(
    folder: Path,
    run: int,
    *,
    camcol: int,
    fields: Sequence[int] = (),
    rerun: int = RERUN,
    archive: str = ARCHIVE,
    pause: float = PAUSE,
    timeout: float = TIMEOUT,
) -> list[Path]:
    """Download the photoField file of a camera column and r-band frames of some of its fields.

    Files that are already complete in the folder are kept. Downloads pass through the cache of
    astropy. A file is read, and verified to be the requested one, before it appears under its
    name.

    Parameters
    ----------
    folder : Path
        Folder for the files; it is created if it does not exist.
    run : int
        Number of the SDSS run.
    camcol : int
        Camera column, 1 to 6.
    fields : sequence of int, optional
        Fields whose frames are downloaded; none by default.
    rerun : int, optional
        Number of the reduction.
    archive : str, optional
        Address of the archive.
    pause : float, optional
        Seconds before the second attempt at a file; twice as many before the third.
    timeout : float, optional
        Seconds without a byte after which an attempt is abandoned.

    Returns
    -------
    list of Path
        The photoField file, then the frames in the order of ``fields``.

    Raises
    ------
    NpecatError
        If a file cannot be downloaded in ATTEMPTS attempts, or the folder cannot be written. The
        message names the address or the path.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    photofield = folder / f"photoField-{run:06d}-{camcol}.fits"
    jobs: list[tuple[Path, str, Callable[[Path], None]]] = [
        (photofield, f"{rerun}/{run}", partial(_check_photofield, run, camcol, fields))
    ]
    jobs += [
        (
            folder / f"frame-r-{run:06d}-{camcol}-{field:04d}.fits.bz2",
            f"frames/{rerun}/{run}/{camcol}",
            partial(_check_frame, (run, camcol, field)),
        )
        for field in fields
    ]
    for target, place, check in jobs:
        if not _is_good(target, check):
            address = f"{archive.rstrip('/')}/{place}/{target.name}"
            cached = _fetch(address, check, pause, timeout)
            with replacing(target) as unfinished:
                shutil.copyfile(cached, unfinished)
    return [target for target, *_ in jobs]


def _is_good(path: Path, check: Callable[[Path], None]) -> bool:
    """True if the file exists and passes the check; a failed check is logged."""
    if not path.exists():
        return False
    try:
        check(path)
    except NpecatError as error:
        log.warning("%s; it is fetched again", error)
        return False
    return True


def _fetch(address: str, check: Callable[[Path], None], pause: float, timeout: float) -> Path:
    """The file in the cache for an address, after it has passed the check."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            cached = Path(
                download_file(
                    address,
                    cache="update" if attempt else True,
                    timeout=timeout,
                    pkgname=CACHE,
                )
            )
            check(cached)
            return cached
        except NpecatError as error:
            clear_download_cache(address, pkgname=CACHE)
            reason = str(error).removeprefix(f"{cached}: ")
        except HTTPError as error:
            error.close()
            reason = f"the server answers {error.code} {error.reason}"
            if 400 <= error.code < 500:
                raise NpecatError(
                    f"{address}: {reason}; see that the archive has this run, camera column, "
                    "field and rerun"
                ) from error
        except (OSError, HTTPException) as error:
            reason = f"cannot be fetched ({' '.join(str(error).split())})"
    raise NpecatError(f"{address}: {reason}; tried {ATTEMPTS} times, see that you are online")


def _check_photofield(run: int, camcol: int, fields: Sequence[int], path: Path) -> None:
    """Raise NpecatError unless it is the photoField file of the column and has the fields."""
    with open_fits(path, "it is no such photoField file") as hdus:
        table, _ = photofield_of(hdus)
        runs, camcols, known = table.identity.T
        if not ((runs == run) & (camcols == camcol)).all():
            raise NpecatError(f"it holds other fields than those of {run}/{camcol}")
        missing = sorted(set(fields) - set(known.tolist()))
        if missing:
            raise NpecatError(
                f"it has fields {known.min()} to {known.max()} but no field {missing[0]}"
            )


def _check_frame(identity: tuple[int, int, int], path: Path) -> None:
    """Raise NpecatError unless it is the frame of that run, camera column and field."""
    found, _ = read_frame_sky(path)
    if found != identity:
        raise NpecatError(f"{path}: it is the frame of {found}, not {identity}")
