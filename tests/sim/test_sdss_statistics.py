"""Drawn fields look like the real ones: marginal laws, rank correlations, physical values."""

import json

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from scipy import stats

from npecat.commands.fields import fields
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import (
    DEFAULT_FIELDS,
    VARIABLES,
    default_fields,
    description_text,
    draw_fields,
    embedded_description,
    fit_description,
    has_wing,
    values_of,
)
from npecat_sim.fields.table import SCALARS
from npecat_sim.psf.six_numbers import PARAMETERS
from npecat_sim.surveys.sdss.fields import import_fields
from tests.helpers.survey_files import N_FIELDS, photofield_data, write_photofield

SEEDS = (0, 1, 2, 3)


def test_default_fields_are_always_the_same_physical_ones():
    one, two = default_fields(), default_fields()
    np.testing.assert_array_equal(values_of(one), values_of(two))
    assert len(one) == DEFAULT_FIELDS
    assert one.source == "embedded"
    assert one.identity.tolist() == [[0, 0, k] for k in range(DEFAULT_FIELDS)]
    assert not np.array_equal(one.psf, draw_fields(DEFAULT_FIELDS, 1).psf)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_physical_fields_come_out(seed):
    table = draw_fields(20_000, seed)
    table.check("drawn fields")
    assert (table.psf[:, 0] < table.psf[:, 1]).all()
    wingless = table.psf[~has_wing(table.psf)]
    assert 0.2 < len(wingless) / len(table) < 0.3
    np.testing.assert_array_equal(wingless[:, 2:4], np.broadcast_to([5, 3], (len(wingless), 2)))


def test_draws_reproduce_the_quantiles_and_correlations_of_each_stratum():
    for stratum in embedded_description()["strata"]:
        n = 20_000
        values = values_of(draw_fields(n, 1, description={"strata": [stratum]}))
        varying = []
        for name, column in zip(VARIABLES, values.T, strict=True):
            quantile = stratum["quantiles"][name]
            share = np.linspace(0, 1, len(quantile))
            if len(quantile) == 1:
                np.testing.assert_array_equal(column, np.float32(quantile[0]))
                continue
            found = [np.mean(column <= np.float32(value)) for value in quantile]
            np.testing.assert_allclose(found, share, atol=5 * 0.5 / np.sqrt(n))
            varying.append(stats.norm.ppf(stats.rankdata(column) / (n + 1)))
        correlation = np.corrcoef(varying)
        np.testing.assert_allclose(correlation, stratum["correlation"], atol=0.05)


def test_overlapping_sigmas_are_drawn_again():
    stratum = embedded_description()["strata"][1]
    stratum["quantiles"] |= {"sigma1": [1.0, 3.0], "sigma2": [1.5, 2.0]}
    psf = draw_fields(5_000, 3, description={"strata": [stratum]}).psf
    assert (psf[:, 0] < psf[:, 1]).all()
    assert psf[:, 0].min() < 1.05  # the others were kept as they were


def test_the_embedded_description_is_small_and_of_good_fields():
    description = embedded_description()
    text = description_text(description)
    assert json.loads(text) == description
    assert len(text) < 40_000
    assert sum(stratum["fields"] for stratum in description["strata"]) == 1570


def test_few_fields_are_described_and_drawn(tmp_path):
    """Strata of one field, and fewer fields than variables."""
    columns = photofield_data()
    columns["PSF_SIGMAP"][0], columns["PSF_BETA"][0], columns["PSF_P0"][0] = 5, 3, 1e-7
    table = import_fields([write_photofield(tmp_path, columns)])
    description = fit_description(table)
    counts = [(s["wing"], s["fields"]) for s in description["strata"]]
    assert counts == [(False, 1), (True, N_FIELDS - 1)]
    drawn = draw_fields(2_000, 0, description=description)
    drawn.check("drawn fields")
    lone = drawn.psf[~has_wing(drawn.psf)]
    np.testing.assert_allclose(lone, np.broadcast_to(table.psf[0], lone.shape), rtol=1e-6)
    values, real = values_of(drawn), values_of(table)
    assert (values.min(axis=0) >= real.min(axis=0) * (1 - 1e-6)).all()
    assert (values.max(axis=0) <= real.max(axis=0) * (1 + 1e-6)).all()


def test_unphysical_fields_are_not_described():
    table = draw_fields(20, 0)
    table.psf[4, 0] = table.psf[4, 1]
    with pytest.raises(NpecatError, match="field 0/0/4: sigma1 is not below sigma2"):
        fit_description(table)
    table.sky[7] = -1
    with pytest.raises(NpecatError, match="row 7: sky is -1"):
        fit_description(table)


def test_the_fit_of_real_fields_is_the_embedded_description(sdss_dir, tmp_path):
    names = ["photoField-000094-1.fits", "photoField-002583-2.fits", "photoField-003900-6.fits"]
    words = ["fit", *(str(sdss_dir / name) for name in names), "-o", str(tmp_path / "fit.json")]
    result = CliRunner().invoke(fields, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads((tmp_path / "fit.json").read_text()) == embedded_description()


@pytest.fixture(scope="module")
def real(sdss_dir):
    """float64 (field, 9) of all real fields, of any PHOTO_STATUS: PSF, FWHM, sky, electrons."""
    rows = [fits.getdata(path) for path in sorted(sdss_dir.glob("photoField-*.fits"))]

    def band(name):
        return np.concatenate([row[name][:, 2] for row in rows]).astype(np.float64)

    psf = [band(f"PSF_{name.upper()}") for name in PARAMETERS]
    electrons_per_nmgy = band("GAIN") / band("NMGYPERCOUNT")
    return np.column_stack([*psf, band("PSF_WIDTH"), band("SKY"), electrons_per_nmgy])


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_fields_are_distributed_like_real_ones(real, seed):
    table = draw_fields(5_000, seed)
    drawn = np.column_stack([table.psf, table.fwhm, table.sky, table.electrons_per_nmgy])
    names = [*PARAMETERS, *SCALARS[:2], "electrons_per_nmgy"]
    for name, ours, theirs in zip(names, drawn.T, real.T, strict=True):
        assert stats.ks_2samp(ours, theirs).statistic <= 0.05, name
    wanted = stats.spearmanr(real).statistic
    strong = np.abs(wanted) > 0.5
    assert strong.sum() > len(names)
    np.testing.assert_allclose(stats.spearmanr(drawn).statistic[strong], wanted[strong], atol=0.1)
