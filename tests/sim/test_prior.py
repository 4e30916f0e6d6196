"""Catalogs against Table 1 of the paper, written out here a second time as scipy distributions.

Each test of a distribution takes the prior as an argument, so that the same check which the
true prior passes is seen to fail for a prior with one parameter off by 5 %.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from npecat_sim.model.prior import IMAGE_SIZE, CatalogPrior

N_DRAWS = 100_000
LEVEL = 1e-3
"""A true prior fails a check by chance once in a thousand seeds; the seed is fixed."""

TABLE_1 = {
    "star_flux": stats.truncpareto(0.469, 1000, loc=-0.553, scale=1.185),
    "galaxy_flux": stats.truncpareto(1.561, 1000, loc=-3.29, scale=3.92),
    "disk_radius": stats.gamma(0.393, loc=0.837, scale=4.432),
    "bulge_radius": stats.gamma(0.393, loc=0.419, scale=2.216),
}


@pytest.fixture(scope="module")
def sources():
    catalog = CatalogPrior().draw(seed=7, split="test", indices=range(50_000))
    return catalog.flat()


def fits(law, reference) -> bool:
    """True if N_DRAWS quantile-sampled values pass a Kolmogorov-Smirnov test."""
    values = law.quantile(np.random.default_rng(1).random(N_DRAWS))
    return stats.kstest(values, reference.cdf).pvalue > LEVEL


@pytest.mark.parametrize("name", TABLE_1)
def test_law_matches_table_1(name):
    assert fits(getattr(CatalogPrior(), name), TABLE_1[name])


def test_record_of_a_store_gives_the_prior_back():
    crowded = replace(CatalogPrior(), density=0.004)
    assert CatalogPrior.from_dict(json.loads(json.dumps(crowded.to_dict()))) == crowded


@pytest.mark.parametrize("factor", [0.95, 1.05])
@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        *(("star_flux", parameter) for parameter in ("slope", "loc", "scale")),
        *(("galaxy_flux", parameter) for parameter in ("slope", "loc", "scale")),
        *(("disk_radius", parameter) for parameter in ("shape", "loc", "scale")),
        *(("bulge_radius", parameter) for parameter in ("shape", "loc", "scale")),
    ],
)
def test_five_percent_off_is_noticed(name, parameter, factor):
    law = getattr(CatalogPrior(), name)
    altered = replace(law, **{parameter: getattr(law, parameter) * factor})
    assert not fits(altered, TABLE_1[name])


@pytest.mark.parametrize("name", ["star_flux", "galaxy_flux"])
def test_flux_is_cut_where_table_1_cuts_it(name):
    """A 5 % change of the cut moves too few sources for a test on draws; the support shows it."""
    law = getattr(CatalogPrior(), name)
    assert law.quantile(np.array([0.0, 1.0])) == pytest.approx(TABLE_1[name].support(), rel=1e-9)


def test_faintest_star_and_galaxy_are_equally_bright():
    prior = CatalogPrior()
    faintest = [law.quantile(np.zeros(1))[0] for law in (prior.star_flux, prior.galaxy_flux)]
    assert faintest == pytest.approx([0.632, 0.63])


def test_drawn_columns_follow_table_1(sources):
    galaxy = sources["is_galaxy"]
    uniform = {
        "x": (sources["x"], -0.5, IMAGE_SIZE),
        "y": (sources["y"], -0.5, IMAGE_SIZE),
        "angle": (sources["angle"][galaxy], 0, np.pi),
        **{
            name: (sources[name][galaxy], 0, 1)
            for name in ("disk_fraction", "disk_axis_ratio", "bulge_axis_ratio")
        },
    }
    for name, (values, start, width) in uniform.items():
        assert stats.kstest(values, stats.uniform(start, width).cdf).pvalue > LEVEL, name
        assert stats.kstest(values * 1.05, stats.uniform(start, width).cdf).pvalue < LEVEL, name
    for name, values in {
        "star_flux": sources["flux"][~galaxy],
        "galaxy_flux": sources["flux"][galaxy],
        "disk_radius": sources["disk_half_light_radius"][galaxy],
        "bulge_radius": sources["bulge_half_light_radius"][galaxy],
    }.items():
        assert stats.kstest(values, TABLE_1[name].cdf).pvalue > LEVEL, name


def test_share_of_galaxies(sources):
    n, k = len(sources["flux"]), int(sources["is_galaxy"].sum())
    assert stats.binomtest(k, n, 0.514).pvalue > LEVEL
    assert stats.binomtest(k, n, 0.514 * 1.05).pvalue < LEVEL


def test_counts_are_poisson_and_never_clipped():
    count = CatalogPrior().draw(seed=3, split="train", indices=range(N_DRAWS)).count

    def p_value(mean: float) -> float:
        expected = stats.poisson.pmf(np.arange(12), mean) * N_DRAWS
        expected[-1] += N_DRAWS - expected.sum()
        observed = np.bincount(np.minimum(count, 11), minlength=12)
        return stats.chisquare(observed, expected).pvalue

    assert p_value(4.0) > LEVEL
    assert p_value(4.0 * 1.05) < LEVEL and p_value(4.0 * 0.95) < LEVEL
    assert stats.poisson.sf(CatalogPrior().capacity, 4.0) < 2.0**-53


def test_stars_have_no_shape_and_padding_is_empty():
    catalog = CatalogPrior().draw(seed=0, split="train", indices=range(200))
    stars = catalog.present & ~catalog["is_galaxy"]
    assert np.isnan(catalog["angle"][stars]).all()
    assert np.isnan(catalog["flux"][~catalog.present]).all()
    assert not catalog["is_galaxy"][~catalog.present].any()


def test_sources_around_an_image_have_the_same_density():
    prior = replace(CatalogPrior(), density=0.01)
    drawn = prior.draw_around(np.random.default_rng(0), margin=300)
    x, y = drawn["x"], drawn["y"]
    assert len(x) == pytest.approx(0.01 * 680**2, rel=0.06)
    for axis in (x, y):
        assert stats.kstest(axis, stats.uniform(-300.5, 680).cdf).pvalue > LEVEL
    for margin in (0, 7):
        many = np.concatenate(
            [prior.draw_around(np.random.default_rng(n), margin=margin)["x"] for n in range(40)]
        )
        assert -margin - 0.5 <= many.min() < -margin - 0.3, "the edge of the first pixel"
        assert 79.3 + margin < many.max() < 79.5 + margin
    inside = (np.abs(x - 39.5) < 40) & (np.abs(y - 39.5) < 40)
    assert inside.sum() == pytest.approx(64, abs=4 * 8)
    assert stats.kstest(drawn["flux"][~drawn["is_galaxy"]], TABLE_1["star_flux"].cdf).pvalue > LEVEL


def test_an_image_has_its_own_stream():
    prior = CatalogPrior()
    together = prior.draw(seed=5, split="train", indices=range(40))
    alone = prior.draw(seed=5, split="train", indices=range(30, 31))
    np.testing.assert_array_equal(together["flux"][30:31], alone["flux"])
    other_split = prior.draw(seed=5, split="test", indices=range(30, 31))
    assert not np.array_equal(alone["x"], other_split["x"], equal_nan=True)
