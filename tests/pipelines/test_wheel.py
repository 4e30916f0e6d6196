"""What is published: the wheel holds every room and its data, and works without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from astropy.io import fits

from tests.helpers.survey_images import ELECTRONS, SKY, survey_image

ROOT = Path(__file__).parents[2]

PACKED = ("npecat_*", "pipelines", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the source, so that the build leaves nothing behind."""
    source, folder = [tmp_path_factory.mktemp(name) for name in ("source", "wheel")]
    for pattern in PACKED:
        for path in ROOT.glob(pattern):
            if path.is_dir() and path.suffix != ".egg-info":
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, source / path.name, ignore=ignore)
            elif path.is_file():
                shutil.copy(path, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (path,) = folder.glob("npecat-*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A fresh environment with the wheel alone; what it depends on comes from this one."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = folder.glob("lib/python*/site-packages")
    here = Path(pytest.__file__).parents[1]
    (site / "dependencies.pth").write_text(f"{here}\n")  # not its .pth files: no editable npecat
    return python


def pip(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        + [str(argument) for argument in arguments],
        check=True,
    )


def test_every_module_and_datum_is_packed(wheel):
    with zipfile.ZipFile(wheel) as file:
        packed = set(file.namelist())
    for path in ROOT.glob("npecat_*/**/*"):
        if path.suffix in {".py", ".json", ".safetensors", ".md", ".toml", ".typed"}:
            assert str(path.relative_to(ROOT)) in packed
    for path in ROOT.glob("pipelines/**/*.py"):
        assert str(Path("npecat") / path.relative_to(ROOT / "pipelines")) in packed
    assert any(name.endswith("licenses/LICENSE") for name in packed)


def test_the_wheel_catalogs_an_image(python, tmp_path):
    fits.writeto(tmp_path / "image.fits", survey_image(96, 96).image + SKY)
    environment = {**os.environ, "PYTHONPATH": ""}
    look = "import npecat; print(npecat.__file__); print(npecat.load().settings.variant)"
    shown = subprocess.run(
        [python, "-c", look], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert shown.stderr == "" and str(ROOT) not in shown.stdout
    assert shown.stdout.splitlines()[-1] == "psf_aware"
    options = ["--zeropoint", "22.5", "--gain", str(ELECTRONS), "--fwhm", "1.4"]
    done = subprocess.run(
        [python.parent / "npecat", "catalog", "image.fits", *options, "-o", "catalog.ecsv"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "catalog.ecsv: " in done.stdout and (tmp_path / "catalog.ecsv").exists()
