"""The example of docs/other_surveys.md runs, and its reader gives what its file holds."""

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.any_fits import read_fits_image
from npecat_sim.surveys.image import PixelFlag
from tests.helpers.survey_files import COORDINATES

DOCUMENT = Path(__file__).parents[2] / "docs" / "other_surveys.md"

CARDS = {
    "MAGZERO": 25.0,
    "GAIN": 2.5,
    "FULLWELL": 900.0,
    "SKY": 400.0,
    "SEEING": 1.3,
    "EXPOSURE": 17,
}


def write_night(folder: Path, cards: dict[str, object]) -> Path:
    counts = np.random.default_rng(2).normal(0, np.sqrt(400 / 2.5), (60, 50))
    quality = np.zeros((60, 50), np.int16)
    quality[3, 4], quality[5, 6] = 1, 2
    counts[7, 8:10] = 1000.0
    image = fits.PrimaryHDU(counts)
    image.header.update({**COORDINATES, **cards})
    path = folder / "night-0001.fits"
    fits.HDUList([image, fits.ImageHDU(quality)]).writeto(path, overwrite=True)
    return path


@pytest.fixture
def example(tmp_path, monkeypatch) -> dict[str, object]:
    """What the document's code leaves, run beside a file of that survey."""
    write_night(tmp_path, CARDS)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names


def test_the_example_equals_the_generic_reader(example, tmp_path):
    image = example["image"]
    generic = read_fits_image(
        tmp_path / "night-0001.fits", zeropoint=25.0, gain=2.5, fwhm=1.3, sky=400.0
    )
    dead = image.flags == PixelFlag.NO_DATA
    assert np.argwhere(dead).tolist() == [[3, 4]]
    full = image.flags == PixelFlag.SATURATED
    assert np.argwhere(full).tolist() == [[7, 8], [7, 9]]
    np.testing.assert_allclose(image.image[~dead], generic.image[~dead], rtol=1e-6)
    assert image.image[3, 4] == 0
    np.testing.assert_allclose(image.background, generic.background)
    assert image.electrons_per_nmgy == pytest.approx(generic.electrons_per_nmgy)
    assert image.psf.fwhm == pytest.approx(1.3 / 0.396, rel=1e-6)


@pytest.mark.parametrize(
    ("cards", "named"),
    [
        ({"SKY": 0.0}, "sky is 0"),
        ({"GAIN": -1.0}, "gain is -1"),
        ({"CD1_2": 1.0}, "pixels are not square"),
    ],
)
def test_the_example_refuses_what_is_not_physical(example, tmp_path, cards, named):
    path = write_night(tmp_path, {**CARDS, **cards})
    with pytest.raises(NpecatError, match=named):
        example["read_night_survey"](path)
