"""Fetch SDSS's photoField and frame files from its public archive.

Layout: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/, where photoField files lie under
RERUN/RUN and frames under frames/RERUN/RUN/CAMCOL.
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
"""Data release 17."""

RERUN = 301
"""The reduction that data releases from 8 on hand out."""

CACHE = "npecat"
"""Name of the downloads' folder in astropy's cache."""

ATTEMPTS = 3

PAUSE = 2.0
"""Seconds before the second attempt; twice as many before the third."""

TIMEOUT = 30.0
"""Seconds without a byte after which an attempt is given up."""


def download_fields(
    folder: Path,
    run: int,
    camcol: int,
    fields: Sequence[int] = (),
    rerun: int = RERUN,
    archive: str = ARCHIVE,
    pause: float = PAUSE,
    timeout: float = TIMEOUT,
) -> list[Path]:
    """The photoField file of a camera column and the r-band frames of its given fields.

    They come through astropy's cache, and what lies in the folder whole already stays. A file
    has been read, and seen to be the one that was asked for, before it gets its name. Each is
    tried for ATTEMPTS times. Raises NpecatError that names the address.
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
    if not path.exists():
        return False
    try:
        check(path)
    except NpecatError as error:
        log.warning("%s; it is fetched again", error)
        return False
    return True


def _fetch(address: str, check: Callable[[Path], None], pause: float, timeout: float) -> Path:
    """The cached file of an address that passes the check."""
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
            reason = f"the server says {error.code} {error.reason}"
            if 400 <= error.code < 500:
                raise NpecatError(
                    f"{address}: {reason}; see that the archive has this run, camera column, "
                    "field and rerun"
                ) from error
        except (OSError, HTTPException) as error:
            reason = f"cannot be fetched ({' '.join(str(error).split())})"
    raise NpecatError(f"{address}: {reason}; tried {ATTEMPTS} times, see that you are online")


def _check_photofield(run: int, camcol: int, fields: Sequence[int], path: Path) -> None:
    with open_fits(path, "it is no such photoField file") as hdus:
        table, _ = photofield_of(hdus)
        if not (table.identity[:, :2] == (run, camcol)).all():
            raise NpecatError(f"it holds other fields than those of {run}/{camcol}")
        missing = sorted(set(fields) - set(table.identity[:, 2].tolist()))
        if missing:
            first, last = table.identity[:, 2].min(), table.identity[:, 2].max()
            raise NpecatError(f"it has fields {first} to {last} but no field {missing[0]}")


def _check_frame(identity: tuple[int, int, int], path: Path) -> None:
    found, _ = read_frame_sky(path)
    if found != identity:
        raise NpecatError(f"{path}: it is the frame of {found}, not {identity}")
