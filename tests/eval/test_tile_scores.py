"""Scores of tile posteriors whose right answer is known: truth is drawn from the posterior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from npecat_eval.metrics.bins import ALL, Bins, selections, within
from npecat_eval.metrics.bootstrap import value_and_sigma
from npecat_eval.metrics.calibration import count_means, count_slopes, p_values
from npecat_eval.metrics.reliability import PROBABILITY_EDGES
from npecat_eval.metrics.tile_scores import TileScores
from npecat_sim.units import magnitude
from npecat_train.data.batch import TrainingBatch
from npecat_train.model import image_losses
from npecat_train.posterior.tile_posterior import TilePosterior, initial_outputs

N, TILES = 60, 8
SPANS = selections(Bins("magnitude", np.linspace(20.0, 22.0, 11)))


def drawn(flux: str, seed: int = 0, crowding: float = 0) -> tuple[TilePosterior, TrainingBatch]:
    """A posterior of random outputs, and images whose sources are drawn from it.

    crowding: standard deviation of an image's own shift of all its logits of P(source).
    """
    generator = torch.Generator().manual_seed(seed)
    width = len(initial_outputs(flux))
    noise = torch.randn((N, width, TILES, TILES), generator=generator)
    raw = torch.tensor(initial_outputs(flux))[None, :, None, None] + 0.7 * noise
    raw[:, 0] += 2.5 + torch.linspace(-crowding, crowding, N)[:, None, None]
    posterior = TilePosterior.from_raw(raw, flux)
    posterior = replace(posterior, flux=posterior.flux.times(torch.tensor(3.0)))
    tiles = posterior.sample(1, generator)
    edge = 4 * torch.arange(TILES) - 0.5
    x, y = tiles.x[0] + edge, tiles.y[0] + edge[:, None]
    present = tiles.present[0].flatten(1)
    order = (~present).int().argsort(dim=1, stable=True)  # sources first, then padding

    def column(values: torch.Tensor) -> torch.Tensor:
        return values.flatten(1).gather(1, order)

    side = 4 * TILES
    batch = TrainingBatch(
        images=torch.zeros(N, side, side),
        backgrounds=torch.ones(N, side, side),
        electrons_per_nmgy=torch.ones(N),
        psf_parameters=torch.ones(N, 6),
        x=column(x),
        y=column(y),
        flux=column(tiles.flux[0]),
        is_galaxy=column(tiles.is_galaxy[0]),
        count=present.sum(dim=1),
    )
    return posterior, batch


def scores_in_batches(
    posterior: TilePosterior, batch: TrainingBatch, spans: dict = SPANS
) -> TileScores:
    parts = [
        TileScores.of(
            posterior[rows], batch.rows(rows.start, rows.stop), spans=spans, first_image=rows.start
        )
        for rows in (slice(0, 25), slice(25, N))
    ]
    return TileScores.concatenate(parts)


def overall(scores: TileScores, batch: TrainingBatch) -> dict[tuple[str, str], float]:
    """Metric and selection -> value, over all images."""
    true_magnitude = magnitude(batch.flux[batch.present].numpy())
    image = torch.nonzero(batch.present)[:, 0].numpy()
    means = scores.means()
    for counts in scores.counts(true_magnitude, image, spans=SPANS):
        means += count_means(counts)
    return {
        (mean.label.metric, mean.label.selection): mean.total.sum() / mean.count.sum()
        for mean in means
    }


@pytest.mark.parametrize("flux", ["lognormal", "mixture"])
def test_exact_posterior_is_found_calibrated(flux):
    posterior, batch = drawn(flux)
    scores = scores_in_batches(posterior, batch)
    values = overall(scores, batch)
    n = int(batch.count.sum())
    true_magnitude = magnitude(batch.flux[batch.present].numpy())
    for selection, span in SPANS.items():
        n_true = within(true_magnitude, span).sum()
        assert n_true > 20
        ratio = values["count_ratio", selection]
        assert ratio == pytest.approx(1, abs=3.5 / np.sqrt(n_true)), selection
        assert values["count_limit", selection] == 1
    for pits in scores.pits():
        assert len(pits.pit) == n * (2 if pits.parameter == "position" else 1)
        assert min(p_values(pits.pit).values()) > 0.01, pits.parameter


def test_counts_of_images_are_found_calibrated():
    """Of crowded and empty images, where the number that is seen explains part of the true one."""
    posterior, batch = drawn("mixture", crowding=2.0)
    true_magnitude = magnitude(batch.flux[batch.present].numpy())
    image = torch.nonzero(batch.present)[:, 0].numpy()
    for counts in scores_in_batches(posterior, batch).counts(true_magnitude, image, spans=SPANS):
        on_truth, on_expected = [value_and_sigma(s.samples) for s in count_slopes(counts)]
        assert on_expected[0] == pytest.approx(1, abs=3 * on_expected[1][0])
        assert on_expected[1] < 0.5
        explained = counts.expected.var() / counts.true.var()
        assert on_truth[0] == pytest.approx(explained, abs=3 * on_truth[1][0])
        assert on_truth[0] < 1 - 3 * on_truth[1]


def test_expected_number_does_not_see_the_truth():
    posterior, batch = drawn("lognormal")
    another = TrainingBatch(**{name: column.roll(1, 0) for name, column in batch.tensors().items()})
    scores, others = [
        TileScores.of(posterior, of, spans=SPANS, first_image=0) for of in (batch, another)
    ]
    np.testing.assert_array_equal(scores.expected, others.expected)
    assert (scores.reliability[2] != others.reliability[2]).any()


def test_wrong_posterior_is_not():
    posterior, batch = drawn("mixture")
    bright = replace(posterior, flux=posterior.flux.times(torch.tensor(1.3)))
    assert p_values(scores_in_batches(bright, batch).pits()[0].pit)["pit"] < 1e-6
    many = replace(posterior, source=replace(posterior.source, logit=posterior.source.logit + 0.5))
    assert overall(scores_in_batches(many, batch), batch)["count_ratio", ALL] > 1.15


def test_batches_change_nothing():
    posterior, batch = drawn("mixture")
    whole, parts = (
        TileScores.of(posterior, batch, spans=SPANS, first_image=0),
        scores_in_batches(posterior, batch),
    )
    np.testing.assert_allclose(whole.expected, parts.expected, rtol=1e-6)
    np.testing.assert_allclose(whole.reliability, parts.reliability, rtol=1e-6)
    for name, column in whole.at_sources.items():
        np.testing.assert_allclose(column, parts.at_sources[name], rtol=1e-6)


def test_reliability_counts_every_tile_once():
    posterior, batch = drawn("lognormal")
    n_tiles, probability, n_sources = scores_in_batches(posterior, batch).reliability
    assert n_tiles.sum() == N * TILES**2
    assert probability.sum() == pytest.approx(float(posterior.source.probability.sum()), rel=1e-5)
    assert n_sources.sum() == int(batch.count.sum())
    filled = n_tiles.sum(axis=0) > 0
    mean = (probability.sum(axis=0) / n_tiles.sum(axis=0).clip(1))[filled]
    assert (PROBABILITY_EDGES[:-1][filled] <= mean).all()
    assert (mean <= PROBABILITY_EDGES[1:][filled]).all()


def test_likelihood_is_split_into_its_factors():
    posterior, batch = drawn("mixture")
    values = overall(scores_in_batches(posterior, batch), batch)
    losses = image_losses(posterior, batch)
    for factor, loss in losses.items():
        assert values[f"nll_{factor}", ALL] == pytest.approx(float(loss.mean()), rel=1e-5)
    total = sum(float(loss.mean()) for loss in losses.values())
    assert values["nll", ALL] == pytest.approx(total, rel=1e-5)


def test_two_sources_in_a_tile_are_seen_as_one():
    posterior, batch = drawn("mixture")
    doubled = replace(
        batch,
        x=torch.cat([batch.x, batch.x], dim=1),
        y=torch.cat([batch.y, batch.y], dim=1),
        flux=torch.cat([batch.flux, 0.9 * batch.flux], dim=1),
        is_galaxy=torch.cat([batch.is_galaxy, batch.is_galaxy], dim=1),
    )
    present = torch.cat([batch.present, batch.present], dim=1)
    order = (~present).int().argsort(dim=1, stable=True)
    moved = {name: getattr(doubled, name).gather(1, order) for name in ("x", "y", "flux")}
    moved["is_galaxy"] = doubled.is_galaxy.gather(1, order)
    doubled = replace(doubled, **moved, count=2 * batch.count)
    values = overall(scores_in_batches(posterior, doubled), doubled)
    assert 0.5 <= values["count_limit", ALL] < 0.6
    assert values["count_ratio", ALL] < 0.6
