"""A reconstruction takes away what the catalog knows; what is left has the noise it should."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from npecat.commands.catalog import catalog
from npecat_eval.catalog.detections import Detections
from npecat_eval.catalog.reconstruction import CHI_EDGES, Reconstruction, typical_shape
from npecat_eval.pictures.style import COLOURS, save_figure
from npecat_eval.pictures.survey_image import (
    ZOOM,
    crowded_corner,
    field_figure,
    residual_figure,
    write_residual,
)
from npecat_sim.errors import NpecatError
from npecat_sim.model.prior import CatalogPrior
from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import PixelFlag
from npecat_sim.surveys.injection import inject
from tests.eval.test_tables_figures import coloured
from tests.helpers.survey_images import ELECTRONS, SKY, survey_image
from tests.pipelines.test_inject import PSF, detections, empty_image, write_weights

SHAPE = (300, 400)


def observed(n: int = 40, seed: int = 1):
    """An image of n bright sources, half of them galaxies of the typical shape, and the truth."""
    generator = np.random.default_rng(seed)
    galaxy = np.arange(n) % 2 == 1
    sources = {
        "x": generator.uniform(20, SHAPE[1] - 20, n),
        "y": generator.uniform(20, SHAPE[0] - 20, n),
        "flux": np.full(n, 50.0),
        "is_galaxy": galaxy,
        **{name: np.full(n, value) for name, value in typical_shape().items()},
    }
    image = inject(empty_image(*SHAPE, seed), sources, seed=seed, round_number=0)
    truth = detections(sources["x"], sources["y"], 50.0, galaxy.astype(float))
    return image, truth, sources


def test_true_catalog_leaves_unit_normal_noise():
    image, truth, sources = observed()
    rebuilt = Reconstruction.of(image, truth)
    light = draw_field(sources, PSF, shape=SHAPE, sky_sigma=np.sqrt(SKY / ELECTRONS))
    np.testing.assert_allclose(rebuilt.stars + rebuilt.galaxies, light, atol=1e-5)
    for name in ("sky", "stars", "galaxies"):
        assert rebuilt.pixels[name].sum() > 2000
        values = rebuilt.chi[rebuilt.pixels[name]]
        assert abs(values.mean()) < 0.05 and values.std() == pytest.approx(1, abs=0.04)
        median, sigma = rebuilt.chi_spread(name)
        assert abs(median) < 0.08 and sigma == pytest.approx(1, abs=0.05)
        assert rebuilt.chi_density(name).sum() * np.diff(CHI_EDGES)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("stars", lambda d: replace(d, flux=d.flux * 1.1)),
        ("stars", lambda d: replace(d, x=d.x + 0.3)),
        ("galaxies", lambda d: replace(d, flux=d.flux * 1.3)),
        ("galaxies", lambda d: replace(d, prob_galaxy=0 * d.prob_galaxy)),
    ],
)
def test_wrong_catalog_shows_in_the_residual(name, spoil):
    image, truth, _ = observed()
    right, wrong = [Reconstruction.of(image, d) for d in (truth, spoil(truth))]
    pixels = right.pixels[name]
    assert np.square(wrong.chi[pixels]).mean() > 1.3 * np.square(right.chi[pixels]).mean()


def test_flagged_pixels_count_nowhere():
    image, truth, _ = observed()
    image.flags[:, :200] = PixelFlag.COSMIC_RAY
    image.image[:, :200] = 1e6
    rebuilt = Reconstruction.of(image, truth)
    assert not any(pixels[:, :200].any() for pixels in rebuilt.pixels.values())
    assert rebuilt.chi_spread("sky")[1] == pytest.approx(1, abs=0.05)


def test_typical_galaxy_lies_in_the_middle_of_the_prior():
    drawn = CatalogPrior().draw(0, "test", indices=range(4000)).flat()
    galaxy = drawn["is_galaxy"]
    for part in ("disk", "bulge"):
        radius = drawn[f"{part}_half_light_radius"] * np.sqrt(drawn[f"{part}_axis_ratio"])
        smaller = radius[galaxy] < typical_shape()[f"{part}_half_light_radius"]
        assert smaller.mean() == pytest.approx(0.5, abs=0.12)


def test_residual_file_adds_up(tmp_path):
    image, truth, _ = observed()
    rebuilt = Reconstruction.of(image, truth)
    for name in ("a.fits", "b.fits"):
        rebuilt.write_fits(tmp_path / name)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        total = hdus[0].data + hdus["MODEL"].data
        np.testing.assert_allclose(total, image.image, atol=1e-5)
        assert hdus[0].header["BUNIT"] == "nanomaggy" and hdus[0].header["CRVAL2"] == 20
        table = hdus["CHI"]
        assert len(table.data) == len(CHI_EDGES) - 1
        assert table.header["SKYSIG"] == pytest.approx(1, abs=0.05)
        np.testing.assert_allclose(table.data["stars"], rebuilt.chi_density("stars"))


def test_pictures_show_what_they_should_and_are_the_same_again(tmp_path):
    image, truth, _ = observed()
    rebuilt = Reconstruction.of(image, truth)
    for name in ("a", "b"):
        save_figure(field_figure(image, truth), tmp_path / f"{name}.png")
        residual_figure(rebuilt, tmp_path / f"{name}-residual.png")
    for name in ("{}.png", "{}-residual.png"):
        paths = [tmp_path / name.format(run) for run in ("a", "b")]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    bare = tmp_path / "bare.png"
    save_figure(field_figure(image, detections([], [])), bare)
    for colour in COLOURS[:2]:
        assert coloured(bare, colour) + 500 < coloured(tmp_path / "a.png", colour)


def test_residual_is_written_as_data_or_as_a_picture(tmp_path):
    image, truth, _ = observed()
    for name, start in (("a.fits", b"SIMPLE"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")):
        write_residual(Reconstruction.of(image, truth), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


def test_catalog_command_draws_both(tmp_path):
    image = survey_image(150, 200)
    fits.writeto(tmp_path / "sky.fits", ELECTRONS * image.image)  # a gain of 1
    write_weights(tmp_path / "weights.safetensors")
    about = f"--zeropoint {22.5 + 2.5 * np.log10(ELECTRONS)} --gain 1 --fwhm 1.5"
    about += f" --sky {SKY * ELECTRONS} --checkpoint {tmp_path / 'weights.safetensors'}"
    words = [str(tmp_path / "sky.fits"), "-o", str(tmp_path / "a.ecsv"), *about.split()]
    for plot, residual in (("a.gif", "a.fits"), ("a.png", "a.gif")):
        pictures = ["--plot", str(tmp_path / plot), "--residual", str(tmp_path / residual)]
        error = CliRunner().invoke(catalog, words + pictures).exception
        assert isinstance(error, NpecatError) and "a.gif: cannot tell its kind" in str(error)
    assert not (tmp_path / "a.ecsv").exists()  # known before any work
    pictures = ["--plot", str(tmp_path / "a.png"), "--residual", str(tmp_path / "a.fits")]
    words.append("--force")  # random weights miss bright stars
    CliRunner().invoke(catalog, words + pictures, catch_exceptions=False)
    n_sources = len(Table.read(tmp_path / "a.ecsv"))
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[0].shape == (150, 200)
        assert hdus["MODEL"].data.any() == (n_sources > 0)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_most_crowded_part_is_shown_large():
    generator = np.random.default_rng(0)
    x, y = generator.uniform(0, 2000, 100), generator.uniform(0, 1400, 100)
    x[:50], y[:50] = (
        generator.uniform(1610, 1690, 50),
        generator.uniform(810, 890, 50),
    )
    left, bottom = crowded_corner(detections(x, y), (1489, 2048))
    assert left <= 1610 and left + ZOOM >= 1690 and bottom <= 810 and bottom + ZOOM >= 890
    assert crowded_corner(Detections(np.zeros(0, int), *np.zeros((6, 0))), (64, 90)) == (-0.5, -0.5)
