"""The comparison of two ways to read a catalog off one posterior."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy import stats

from npecat.experiments.decoding import compare_decoding, expected_numbers, numbers
from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import measure_standardisation, n_tile_maps
from npecat_train.network.tile_network import NetworkSize
from npecat_train.posterior.tile_posterior import TilePosterior
from npecat_train.settings import RunSettings
from tests.helpers.stores import write_store


def test_expected_number_counts_the_flux_posterior_above_the_limit():
    """Magnitude 22 is 10^0.2 nanomaggies."""
    raw = torch.zeros(1, 8, 2, 2)
    raw[:, 6], raw[:, 7] = 0.3, np.log(np.expm1(0.5))
    posterior = TilePosterior.from_raw(raw, "lognormal")
    probability = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])
    bright = stats.norm.sf((0.2 * np.log(10) - 0.3) / 0.5)
    assert expected_numbers(posterior, probability) == pytest.approx([1.75, 1.75 * bright], 1e-3)
    assert numbers(np.array([1.5, 1.6, 30.0])).tolist() == [3, 2]


def test_command_prints_metrics_and_counts_of_all_rules(tmp_path):
    store = Store(write_store(tmp_path, "test", 40))
    settings = RunSettings(
        variant="psf_unaware",
        store_digest=store.digest,
        encoding=Encoding.of(store),
        standardisation=measure_standardisation(store),
        network=NetworkSize((4,), (), 8, 4, (1,), (1,)),
        flux="mixture",
        epochs=1,
        batch_size=16,
        schedule="cosine",
        learning_rate=1e-3,
        seed=0,
    )
    torch.manual_seed(0)
    network = settings.build_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics of what it sees: outputs then vary between tiles
    network.train()(torch.randn(8, 2, 80, 80), torch.randn(8, n_tile_maps(use_psf=False), 20, 20))
    torch.nn.init.normal_(network.head.weight, std=3)
    run = tmp_path / "run"
    run.mkdir()
    checkpoint.save(run / BEST, network.state_dict(), settings=settings, state={})
    result = CliRunner().invoke(
        compare_decoding, ["--run", str(run), "--store", str(store.path)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "\njoined tiles" in result.output and "\nbare threshold" in result.output
    counts = [line.split() for line in result.output.splitlines()[-7:]]
    true, bare, expected, joined, _, located, _ = [
        float(row[-2].replace(",", "")) for row in counts
    ]
    assert true == store.catalog().count.sum()
    assert 0 < located < joined < bare < 16_000 and 0 < expected < 16_000  # tiles
