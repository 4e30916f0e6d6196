"""The Python API: what it promises of imports, of global state, of its names and its errors."""

import doctest
import inspect
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from astropy.table import QTable, Table

import npecat
from npecat.cli import in_words_of_the_command_line
from npecat_sim.errors import NpecatError, StoreError
from npecat_sim.fields.table import SINGLE_FIELD
from tests.helpers.stores import write_store
from tests.helpers.survey_images import ELECTRONS, SKY, survey_image

EXAMPLES = (
    "npecat.api",
    "npecat_sim.surveys.arrays",
    "npecat_sim.surveys.open",
    "npecat_train.model",
)

HEAVY = {"torch", "galsim", "matplotlib", "astropy", "zarr", "dask", "numba", "scipy"}


@pytest.fixture(scope="module")
def found():
    """The catalog, by the weights of the package, of an image in memory."""
    like = survey_image(96, 120)
    image = npecat.image_from_arrays(
        like.image, psf=like.psf, gain=ELECTRONS, sky=SKY, wcs=like.wcs, name="mine"
    )
    return npecat.catalog(image)


def test_import_is_light():
    look = "import sys, npecat; dir(npecat); print(*{m.partition('.')[0] for m in sys.modules})"
    result = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
    assert not HEAVY & set(result.stdout.split())


def test_every_public_name_is_documented_and_keyword_only():
    for name in npecat.__all__:
        public = getattr(npecat, name)
        assert inspect.getdoc(public)
        if inspect.isfunction(public):
            kinds = [p.kind for p in inspect.signature(public).parameters.values()]
            assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        npecat.nothing  # noqa: B018


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_are_true(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0 and result.failed == 0


def test_a_catalog_is_a_table_draws_and_files(found, tmp_path):
    assert isinstance(found.table, QTable) and len(found.table) == len(found) > 20
    assert found.table["ra"].unit == "deg" and found.table["flux_r"].info.description
    assert len(set(found.samples(5)["draw"])) == 5
    assert (found.samples(3, seed=1)["x"] != found.samples(3, seed=1)["x"]).sum() == 0
    found.write(tmp_path / "catalog.ecsv")
    assert len(Table.read(tmp_path / "catalog.ecsv")) == len(found)
    figure = found.plot(tmp_path / "catalog.png")
    assert (tmp_path / "catalog.png").stat().st_size > 10_000 and len(figure.axes) == 1
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "<table" in found._repr_html_() and "mine" in repr(found)
    assert npecat.load().weights_sha256 == found.about["WEIGHTS"]


def test_gain_and_sky_of_an_image_are_measured_where_they_are_not_given():
    like = survey_image(200, 200, n_stars=0)
    counts = like.image + SKY
    image = npecat.image_from_arrays(counts, psf=SINGLE_FIELD.psf[0], pixel_scale=0.396)
    assert image.electrons_per_nmgy == pytest.approx(ELECTRONS, rel=0.05)
    assert np.median(image.background) == pytest.approx(SKY, rel=0.01)
    assert abs(np.median(image.image)) < 0.1 * image.sky_sigma
    mask = np.zeros((200, 200), bool)
    mask[:9] = True
    masked = npecat.image_from_arrays(counts, psf=1.4, mask=mask, pixel_scale=0.396)
    assert (masked.flags[:9] == 1).all() and (masked.flags[9:] == 0).all()


@pytest.mark.parametrize(
    ("options", "words", "parameters"),
    [
        ({"psf": (1, 2)}, "psf has shape (2,)", ("psf",)),
        ({"psf": -1.0}, "fwhm is -1", ("fwhm",)),
        ({"zeropoint": np.nan}, "zeropoint is nan", ("zeropoint",)),
        ({"gain": 0.0}, "gain is 0", ("gain",)),
        ({"mask": np.zeros((3, 3))}, "the mask has shape (3, 3)", ("mask",)),
        ({"sky": np.ones((3, 3))}, "sky has shape (3, 3)", ("sky",)),
        ({"sky": SKY}, "noise sigmas a pixel) is left", ("subtract_sky", "sky")),
        ({"pixel_scale": 25.0}, "pixels measure 25 arcsec", ()),
        ({"gain": ELECTRONS / 36}, "its noise under the PSF is 0.1", ("gain", "sky")),
    ],
)
def test_errors_state_the_fact_and_name_the_parameter(options, words, parameters):
    counts = survey_image(80, 80, n_stars=0).image + SKY
    given = {"psf": 1.4, "pixel_scale": 0.396, "gain": ELECTRONS, **options}
    with pytest.raises(NpecatError) as caught:
        npecat.image_from_arrays(counts, **given)
    assert words in str(caught.value) and "--" not in str(caught.value)
    assert caught.value.parameters == parameters


def test_the_command_line_adds_its_options_and_commands(tmp_path):
    error = NpecatError("the seed is odd", parameters=("seed", "n_test"))
    assert in_words_of_the_command_line(error) == "the seed is odd (--seed, --n-test)"
    with pytest.raises(StoreError) as missing:
        npecat.open_store(tmp_path / "many" / "test.zarr")
    assert f"npecat simulate --prior many --n 210000 --out {tmp_path}/many" in (
        in_words_of_the_command_line(missing.value)
    )
    path = write_store(tmp_path, "test", 20)
    (path / "manifest.json").unlink()
    with pytest.raises(StoreError) as unfinished:
        npecat.open_store(path)
    words = "complete it; run: npecat simulate --prior one --n 0 --n-validation 0 --n-test 20"
    assert words in in_words_of_the_command_line(unfinished.value)


def test_nothing_global_is_changed(found):
    """Neither by the import nor by what a user calls."""
    look = """
import torch, galsim
def state():
    return (
        torch.initial_seed(), torch.get_rng_state().sum().item(), torch.get_num_threads(),
        torch.backends.cudnn.benchmark, torch._dynamo.config.suppress_errors,
        galsim.errors.raise_fft_size_error,
    )
before = state()
import numpy as np, npecat
import npecat_sim.render.galsim_renderer as renderer
import npecat_train.training.loop, npecat_train.training.learner
from npecat_sim.fields.table import SINGLE_FIELD
one = {"x": [5.0], "y": [5.0], "flux": [9.0], "is_galaxy": [False]}
renderer.draw_sources({n: np.array(v) for n, v in one.items()}, SINGLE_FIELD.psf_of(0), 11)
npecat.load()
settings = npecat.load().settings
npecat_train.training.learner.Learner(settings, torch.device("cpu"), n_steps=9000)
assert state() == before, (before, state())
"""
    subprocess.run([sys.executable, "-c", look], check=True)
    state = torch.get_rng_state()
    found.samples(2)
    assert torch.equal(torch.get_rng_state(), state)
