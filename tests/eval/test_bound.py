"""The physical bound against the estimator that reaches it, and its place in the tables."""

import numpy as np
import pytest

from npecat_eval.baselines.cache import references
from npecat_eval.metrics.bins import NONE, magnitude_bins, snr_bins
from npecat_eval.metrics.bound import MEAN_OVER_SIGMA, relative_flux_sigma
from npecat_eval.metrics.predictions import Truth
from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.render import compiled
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.store.reader import Store
from tests.helpers.stores import write_store


def test_bound_is_the_spread_of_the_best_linear_fit():
    """Flux of one source by weighted least squares, neighbours known, over 2,000 noise draws."""
    batch = simulate_images(SINGLE_FIELD, 5, split="test", indices=range(1))
    sources, electrons = batch.catalog.sources(0), batch.electrons_per_nmgy[0]
    assert len(sources["x"]) > 1
    drawn = compiled.draw_sources(sources, batch.psf_of(0), 80, 0.03).astype(np.float64)
    variance = (batch.backgrounds[0] + drawn.sum(axis=0)) / electrons
    template = drawn[0] / sources["flux"][0]
    weight = template / variance
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((2000, 80, 80)) * np.sqrt(variance)
    errors = (noise * weight).sum(axis=(1, 2)) / (template * weight).sum()
    assert relative_flux_sigma(batch, 0)[0] == pytest.approx(
        errors.std() / sources["flux"][0], rel=0.06
    )
    assert np.abs(errors).mean() == pytest.approx(MEAN_OVER_SIGMA * errors.std(), rel=0.05)


def test_bound_over_a_store(tmp_path):
    store = Store(write_store(tmp_path, "test", 90))
    catalog = store.catalog()
    made = references(store, tmp_path / "kept.npz", workers=1)
    bound, truth = Truth(catalog).bound(made.flux_sigma), catalog.flat()
    assert (bound.flux_sigma > 0).all()
    # A source is never known better than its own photons allow.
    photons = truth["flux"] * SINGLE_FIELD.electrons_per_nmgy[0]
    assert (bound.flux_sigma > 0.98 / np.sqrt(photons)).all()
    bins = magnitude_bins(bound.magnitude)
    axes = [bins, snr_bins(bound.snr, bound.magnitude)]
    overall = {
        m.label.metric: m.total.sum() / m.count.sum()
        for m in bound.means(axes, 90)
        if m.label.axis == NONE
    }
    assert 0.85 < overall["recall"] <= 1 and 3 < overall["flux_error_percent"] < 8
