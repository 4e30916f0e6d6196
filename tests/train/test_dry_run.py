"""The dry run: what it tells, and that it touches nothing."""

import pytest
from click.testing import CliRunner

from npecat.commands.train import train
from npecat_sim.store.reader import Store
from npecat_train.data.cache import CPU, bytes_of
from npecat_train.training import defaults
from npecat_train.training import dry_run as plan_module
from npecat_train.training.dry_run import plan
from tests.helpers.stores import write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    for split, n_images in (("train", 40), ("validation", 20)):
        write_store(data, split, n_images, prior="many")
    return data


@pytest.fixture(autouse=True)
def short_trial(monkeypatch):
    monkeypatch.setattr(plan_module, "TRIAL_STEPS", 2)


def test_a_plan_scales_the_trial_up(data):
    stores = [Store(data / "many" / f"{split}.zarr") for split in ("train", "validation")]
    settings = defaults.run_settings("psf_aware", stores[0], epochs=7, batch_size=16)
    cost = plan(settings, stores[0], validation_store=stores[1], device=CPU, cache="ram")
    network = settings.build_network()
    assert cost.n_parameters == sum(weights.numel() for weights in network.parameters())
    assert cost.n_steps == 7 * 3
    assert (cost.home, cost.cache_bytes) == (CPU, sum(map(bytes_of, stores)))
    assert 0.01 < cost.gmac < 0.6
    training = 7 * 40 / cost.images_per_second
    assert training < cost.seconds  # the rest validates
    streamed = plan(settings, stores[0], validation_store=stores[1], device=CPU, cache="none")
    assert streamed.home is None


def test_dry_run_tells_all_and_touches_no_file(data, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    words = ["--variant", "psf_aware", "--dry-run", "--data", str(data)]
    done = CliRunner().invoke(train, [*words, "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    for name in ("parameters", "GMAC", "memory", "time", "images/s", "batches of 32, epochs: 3"):
        assert name in done.output
    assert not list(tmp_path.iterdir())
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_dry_run_counts_the_first_pass(data, tmp_path):
    words = ["--variant", "psf_aware", "--dry-run", "--data", str(data), "--first", str(data)]
    done = CliRunner().invoke(train, [*words, "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    assert "batches of 32, epochs: 1" in done.output and " crowded ones, " in done.output
