"""Survey files of one's own telescope: examples that load, faults that are named."""

import json

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.simulation.wide_images import simulate_wide
from npecat_sim.wide.survey import WIDE, Survey
from npecat_sim.wide.survey_file import EXAMPLES, load_survey


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_narrows_the_prior_to_its_telescope(name):
    survey = load_survey(name)
    plain = json.loads(json.dumps(survey.to_plain()))
    assert Survey.from_plain(plain) == survey and plain == survey.to_plain()
    batch = simulate_wide(default_fields(), 0, split="test", indices=range(12), survey=survey)
    assert np.all(batch.pixel_scale >= survey.pixel_scale[0] * 0.999)
    assert np.all(batch.pixel_scale <= survey.pixel_scale[1] * 1.001)
    assert set(batch.faint_flux) == {survey.faint_flux}
    low, high = survey.density(survey.pixel_scale[0])
    assert np.all((batch.density >= low * 0.999) & (batch.density <= high * 1.001))
    sigma = np.sqrt(batch.backgrounds.min(axis=(1, 2)) / batch.electrons_per_nmgy)
    under_psf = sigma / np.sqrt((batch.psf.astype(float) ** 2).sum(axis=(1, 2)))
    assert 1 < np.median(batch.faint_flux / under_psf) < 8, "the faintest source has some sigma"


def test_noise_follows_from_detector_and_sky(tmp_path):
    """Variance of an empty pixel: the sky's electrons and the read noise squared."""
    file = tmp_path / "mine.toml"
    file.write_text(
        "pixel_scale = 0.5\n[psf]\nfwhm = 2\n"
        "[detector]\nzero_point = 25\ngain = 2\nread_noise = 5\n"
        "[sky]\nbrightness = 20\nslope = 0\nsteps = 0\n[sources]\nfaint_magnitude = 21\n"
    )
    survey = load_survey(file)
    assert survey.name == "mine" and survey.faint_flux == pytest.approx(10 ** (0.4 * 1.5))
    batch = simulate_wide(default_fields(), 0, split="test", indices=range(3), survey=survey)
    electrons = 2 * 10 ** (0.4 * 2.5)
    assert batch.electrons_per_nmgy == pytest.approx(electrons)
    expected = 10 ** (0.4 * 2.5) * 0.25 + 25 / electrons
    assert batch.backgrounds.ravel() == pytest.approx(expected)


def test_default_is_any_telescope():
    assert load_survey(None) is WIDE
    assert Survey.from_plain(json.loads(json.dumps(WIDE.to_plain()))) == WIDE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeing = 2", r"mine.toml: seeing is unknown; there are name, band, pixel_scale"),
        ("[psf]\nseeing = 2", r"\[psf\] seeing is unknown; there are profile, fwhm"),
        ("[psf]\nfwhm = [3, 2]", r"\[psf\] fwhm is \[3, 2\]; give one number or \[low, high\]"),
        ("[psf]\nfwhm = '2 arcsec'", r"\[psf\] fwhm is '2 arcsec'; .*, arcsec"),
        ("[psf]\nprofile = ['moffatt']", r"profile is .*; give a list of gaussian, moffat"),
        ("[psf]\nprofile = 3", r"profile is 3; give a list of gaussian, moffat"),
        ("[psf]\nirregularity = [0, 0.1]", r"irregularity is \[0, 0.1\]; give one number from"),
        ("psf = 3", r"psf is 3; write \[psf\]"),
        ("name = 3", r"name is 3; give a text"),
        ("pixel_scale = nan", r"pixel_scale is nan; give"),
        ("pixel_scale = true", r"pixel_scale is True; give"),
        ("pixel_scale = 5", r"with pixels of 5 arcsec no \[psf\] fwhm"),
        ("[detector]\ngain = 2", r"zero_point, \[detector\] gain and \[sky\] brightness go"),
        ("[detector]\nsaturation = 9000", r"saturation is in counts; give the gain"),
        ("[sources]\ndensity = 0.1", r"\[sources\] density is 0.1; .*, sources per pixel"),
        ("pixel_scale = 1\n[sources]\nper_arcmin2 = 100", r"per_arcmin2 makes .* give at most 72"),
        (
            "[sources]\nstar_flux = {slope = 1, cut = 9, loc = -2, scale = 1}",
            r"star_flux: loc \+ scale, the faintest flux, is -1; it must exceed 0",
        ),
        ("[sources]\ndisk_radius = {shape = 1}", r"disk_radius: loc is missing; give a table"),
        (
            "pixel_scale = 0.5\n[detector]\nzero_point = 15\ngain = 2\n[sky]\nbrightness = 20",
            r"the faintest source has .* sigma .*; give \[sources\] faint_magnitude from",
        ),
        ("= 3", r"mine.toml is not TOML: "),
    ],
)
def test_fault_is_named_with_file_key_and_fix(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(NpecatError, match=message) as error:
        load_survey(file)
    assert "\n" not in str(error.value) and str(file) in str(error.value)


def test_unknown_name_tells_those_there_are(tmp_path):
    with pytest.raises(NpecatError, match=r"hubble: .*; give a survey file or one of sdss, decam"):
        load_survey("hubble")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NpecatError, match=r"bytes.toml is not text"):
        load_survey(tmp_path / "bytes.toml")
