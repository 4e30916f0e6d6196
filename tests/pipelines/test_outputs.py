"""No command writes over what it reads, nor finds out after the work that it cannot write."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from npecat.cli import npecat
from npecat_sim.errors import OutputError
from npecat_sim.fields.library import save_library
from npecat_sim.fields.sdss_statistics import draw_fields
from npecat_train.weights import DEFAULT_WEIGHTS
from tests.helpers.sky_files import catalog_data, photoobj_data, write_photoobj
from tests.helpers.stores import write_store
from tests.helpers.survey_files import (
    small_frame_data,
    write_frame,
    write_mask,
    write_photofield,
    write_psfield,
)

READING = "--zeropoint 28.3 --gain 4.7 --fwhm 1.4"
FRAME = "frame-r-000094-1-0012.fits"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder of everything that a command reads, and a file that stands in every way."""
    folder = tmp_path_factory.mktemp("files")
    counts = np.random.default_rng(0).poisson(900.0, (64, 64)).astype(np.float32)
    for name in ("in.fits", "cat.samples.fits", "mask.fits"):
        fits.writeto(folder / name, counts)
    write_frame(folder, small_frame_data())
    write_photofield(folder)
    write_psfield(folder)
    write_mask(folder, {})
    (folder / "weights.fits").write_bytes(DEFAULT_WEIGHTS.read_bytes())
    catalog_data(photoobj_data()).write(folder / "catalog.fits")
    write_photoobj(folder / "photoObj.fits", photoobj_data())
    save_library(draw_fields(3, 0), folder / "library.fits")
    save_library(draw_fields(3, 0), folder / "library.png")
    write_store(folder, "test", 10)
    (folder / "picture.png").symlink_to("in.fits")
    (folder / "file").write_text("mine")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        f"catalog in.fits {READING} -o in.fits",
        f"catalog in.fits {READING} -o c.fits --residual in.fits",
        f"catalog in.fits {READING} -o c.fits --plot picture.png",
        f"catalog in.fits {READING} -o mask.fits --mask mask.fits",
        f"catalog in.fits {READING} -o weights.fits --checkpoint weights.fits",
        f"catalog cat.samples.fits {READING} -o cat.fits --samples 3",
        f"catalog in.fits {READING} -o x.fits --residual x.fits",
        f"catalog in.fits {READING} -o c.fits --samples 3 --residual c.samples.fits",
        f"catalog in.fits {READING} -o none/c.fits",
        f"catalog {FRAME} -o c.fits --residual photoField-000094-1.fits",
        f"catalog {FRAME} --psf in.fits -o in.fits",
        f"inject in.fits {READING} -o in.fits",
        f"inject in.fits {READING} --plot picture.png",
        "compare catalog.fits photoObj.fits -o catalog.fits",
        "compare catalog.fits photoObj.fits -o photoObj.fits",
        "compare catalog.fits photoObj.fits --plot none/a.png",
        "fields import photoField-000094-1.fits -o photoField-000094-1.fits",
        f"fields import photoField-000094-1.fits {FRAME} -o {FRAME}",
        "fields fit photoField-000094-1.fits -o photoField-000094-1.fits",
        "fields show library.fits -o library.fits",
        "fields show library.png",
        "fields download --run 94 --camcol 1 --out file/inside",
        "show one/test.zarr -o one/test.zarr/images.png",
        "show one/test.zarr -o none/a.png",
        "evaluate --store one/test.zarr --results file/inside",
        "evaluate --store one/test.zarr --results one/test.zarr",
        "train --variant psf_aware --runs file/inside",
        "simulate --prior one --n 1 --out file/inside",
        "simulate --prior many --n 1 --fields library.fits --out library.fits",
    ],
)
def test_refused_before_any_work_with_every_file_as_it_was(files, monkeypatch, words):
    monkeypatch.chdir(files)
    before = contents(files)
    refused = CliRunner().invoke(npecat, words.split()).exception
    assert isinstance(refused, OutputError), refused
    assert refused.parameters and "\n" not in str(refused)
    assert contents(files) == before


def test_the_command_line_names_the_option_and_ends_with_status_2(files):
    words = [*f"catalog in.fits {READING} -o c.fits --residual in.fits".split()]
    command = [sys.executable, "-m", "npecat", *words]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, timeout=60)
    assert (
        done.returncode == 2
        and done.stdout == ""
        and done.stderr
        == (
            "npecat: in.fits: would change what is read as IMAGE; name another place (--residual)\n"
        )
    )
