"""Fixtures that several test files share."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# One thread a process: the tests start many, and OpenMP threads that wait for each other on a
# busy machine spend ten times the work on waiting. Set before anything loads OpenMP.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def sdss_dir() -> Path:
    """Folder of real SDSS files: NPECAT_SDSS or shared/sdss beside the repository.

    Tests that ask for it are skipped where there is none.
    """
    beside = Path(__file__).parents[2] / "shared" / "sdss"
    folder = Path(os.environ.get("NPECAT_SDSS", beside))
    if not any(folder.glob("photoField-*.fits")):
        pytest.skip(f"no SDSS files in {folder}; set NPECAT_SDSS to a folder of photoField files")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 34 MB in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=34m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if made.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {made.stderr.strip()}")
    yield folder
    # lazily: libraries that failed to write may leave files open
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
