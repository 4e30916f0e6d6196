"""What a network cannot know is warned of, in terms of the network at hand."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import npecat
from npecat_eval.catalog.observe import as_used
from npecat_eval.catalog.population import NOTHING_GIVEN, Given, Population
from npecat_eval.catalog.trust import ellipticity, judged, refuse
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.varying import ConstantMap
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from tests.helpers.counts import TOLD, noisy
from tests.helpers.survey_images import random_model, survey_image
from tests.helpers.wide_images import wide_settings

IMAGE = npecat.image_from_arrays(noisy(np.zeros((120, 120))), psf=1.4, **TOLD)
"""Blank sky, with findings."""


def image_of(*, psf=None, **changes) -> SurveyImage:
    """Blank sky with another PSF, scale and findings."""
    psf = psf or IMAGE.psf
    found = {
        name: changes.pop(name) for name in ("noise_correlation", "crowded") if name in changes
    }
    findings = replace(IMAGE.findings, **found)
    return replace(IMAGE, psf=psf, psf_map=ConstantMap(psf), findings=findings, **changes)


def said(caplog, image: SurveyImage, population: Population | None) -> list[str]:
    """What is logged; the findings hold the same."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        seen = judged(image, population)
    own = list(seen.findings.warnings)
    assert [record.getMessage() for record in caplog.records] == [f"image: {one}" for one in own]
    assert all("\n" not in one for one in own)
    return own


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, []),
        ({"pixel_scale": 0.26}, ["pixels of 0.26 arcsec: sizes of galaxies are unlike"]),
        ({"psf": typical_psf(5.56)}, ["stars 5.56 pixels wide at half maximum, wider than"]),
        (
            {"psf": typical_psf(1.52), "pixel_scale": 0.198},
            ["pixels of 0.198 arcsec", "stars 1.52 pixels wide at half maximum, narrower than"],
        ),
        ({"crowded": 0.2}, ["20.0% of the image holds more sources, or more light of theirs"]),
        ({"noise_correlation": 5.0}, []),
    ],
)
def test_images_unlike_those_of_the_papers_networks(caplog, changes, warned):
    found = said(caplog, image_of(**changes), None)
    assert len(found) == len(warned)
    assert all(one.startswith(text) for one, text in zip(found, warned, strict=True))


@pytest.mark.parametrize(
    ("changes", "given", "warned"),
    [
        ({}, {}, []),
        ({"pixel_scale": 0.198, "psf": typical_psf(5.56), "crowded": 0.2}, {}, []),
        ({"pixel_scale": 1.5}, {}, ["pixels of 1.5 arcsec; training held 0.15 to 1.2"]),
        ({"psf": typical_psf(1.2)}, {}, ["stars 1.2 pixels wide at half maximum; training held"]),
        ({"psf": typical_psf(8.0)}, {}, ["stars 8 pixels wide"]),
        (
            {"psf": ParametricPsf("gaussian", 4.0, g1=0.2, g2=0.1)},
            {},
            ["stars with an ellipticity of 0.22; training held 0 to 0.15"],
        ),
        ({"noise_correlation": 2.0}, {}, []),
        ({"noise_correlation": 4.0}, {}, ["correlated noise, under the PSF 4 times"]),
        ({}, {"faint_magnitude": 30.0}, ["a noise under the PSF of "]),
        ({}, {"faint_magnitude": 15.0}, ["a noise under the PSF of "]),
    ],
)
def test_images_unlike_those_of_a_network_for_any_telescope(caplog, changes, given, warned):
    image = as_used(image_of(**changes), is_wide=True)
    told = Population.even(image, Given(**given), density=1e-3, star_share=0.5)
    found = said(caplog, image, told)
    assert len(found) == len(warned)
    assert all(one.startswith(text) for one, text in zip(found, warned, strict=True))


def test_only_what_is_denser_than_in_training_is_crowded(caplog):
    image = image_of(flags=np.full((120, 120), PixelFlag.CROWDED | PixelFlag.HALO, np.uint8))
    told = Population.even(image, NOTHING_GIVEN, density=1e-2, star_share=0.5)
    assert not said(caplog, image, told)
    told.density[:15, :15] = 2e-2
    seen = judged(image, told).flags
    assert np.all(seen[:60, :60] == PixelFlag.CROWDED | PixelFlag.HALO)
    assert np.all(seen[60:] == PixelFlag.HALO) and np.all(seen[:, 60:] == PixelFlag.HALO)
    (warning,) = said(caplog, image, told)
    assert warning.startswith("25.0% of the image holds 0.02 sources a pixel or more")


@pytest.mark.parametrize(("g1", "g2"), [(0.0, 0.0), (0.1, 0.0), (0.0, -0.2), (0.05, 0.1)])
def test_ellipticity_of_a_psf(g1, g2):
    stamp = ParametricPsf("gaussian", 6.0, g1, g2).stamp(41)
    assert ellipticity(stamp) == pytest.approx(np.hypot(g1, g2), rel=0.05, abs=1e-9)


def test_the_papers_networks_refuse_pixels_far_from_theirs():
    image = replace(survey_image(80, 80), pixel_scale=1.5)
    with pytest.raises(NpecatError, match=r"pixels measure 1\.5 arcsec; resample"):
        npecat.catalog(image, model=random_model())
    refuse(image, wide_settings())
