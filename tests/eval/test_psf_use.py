"""The check that a network uses the PSF: it passes one that does and fails those that do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from npecat.experiments.psf_use import check_psf_use
from npecat_eval.metrics.psf_use import psf_use
from npecat_sim.errors import NpecatError
from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.store import writer as store_writer
from npecat_sim.store.reader import Store
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST
from npecat_train.model import TileModel
from npecat_train.network.inputs import n_tile_maps
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults
from npecat_train.training import loop as trainer
from tests.helpers.stores import write_store

SMALL = NetworkSize((8,), (), 16, 16, (1,), (1,))


@pytest.fixture(scope="module")
def toy_store(tmp_path_factory) -> Store:
    """Images of two fields in which the PSF alone tells the flux of every source."""
    folder = tmp_path_factory.mktemp("toy")
    fields = default_fields()
    sigma1 = fields.psf[:, 0]
    fields = fields.take(np.array([sigma1.argmin(), sigma1.argmax()]))
    simulated = Store(write_store(folder, "train", 240, "many", fields=fields))
    path = folder / "toy.zarr"
    store_writer.lay_out(path, simulated.settings)
    for chunk, images in enumerate(simulated.chunk_ranges):
        batch = simulated.batch(slice(images.start, images.stop))
        columns = batch.catalog.columns
        told = np.where(batch.psf_parameters[:, :1] > sigma1.mean(), np.float32(20), np.float32(5))
        flux = np.where(columns["flux"] > 0, told, np.nan)
        catalog = replace(batch.catalog, columns={**columns, "flux": flux})
        store_writer.write_chunk(
            path, simulated.settings, chunk=chunk, batch=replace(batch, catalog=catalog)
        )
    store_writer.seal(path)
    return Store(path)


@pytest.fixture(scope="module")
def aware(toy_store, tmp_path_factory) -> Path:
    """Folder of a psf_aware network that was trained on the toy store for seconds."""
    folder = tmp_path_factory.mktemp("aware")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults.NETWORKS, "default", SMALL)
        settings = defaults.run_settings(
            "psf_aware", toy_store, epochs=4, flux="lognormal", batch_size=16
        )
        settings = replace(settings, learning_rate=2e-2)
        trainer.train(
            settings,
            toy_store,
            validation_store=toy_store,
            folder=folder,
            device=torch.device("cpu"),
        )
    return folder


def unaware(aware: Path, folder: Path) -> Path:
    """Folder of a psf_unaware network, not trained but with a head that says something."""
    settings = TileModel.load(aware / BEST).settings
    settings = replace(settings, variant="psf_unaware")
    torch.manual_seed(0)
    network = settings.build_network()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    folder.mkdir()
    checkpoint.save(folder / BEST, network.state_dict(), settings=settings, state={})
    return folder


def test_network_that_uses_the_psf_passes(toy_store, aware):
    use = psf_use(TileModel.load(aware / BEST), toy_store)
    (rise, error), (of_flux, _) = use.rise(*use.factors), use.rise("flux")
    assert use.is_clear and rise > 1 and of_flux > 0.8 * rise, f"{rise} +- {error}"


def test_network_that_is_not_given_the_psf_fails(toy_store, aware, tmp_path):
    use = psf_use(TileModel.load(unaware(aware, tmp_path / "unaware") / BEST), toy_store)
    assert use.rise(*use.factors) == (0.0, 0.0) and not use.is_clear


def test_network_that_looks_past_the_psf_fails(toy_store, aware):
    model = TileModel.load(aware / BEST)
    network, settings = model.network, model.settings
    with (
        torch.no_grad()
    ):  # its first blocks after the stem: channels, sky and apertures, then the PSF
        for block in (network.body[0].into, network.body[0].past):
            block[0].weight[:, SMALL.channels + n_tile_maps(use_psf=False) :] = 0
    use = psf_use(TileModel(network, settings), toy_store)
    assert use.rise(*use.factors) == (0.0, 0.0) and not use.is_clear


def test_every_image_gets_the_psf_of_another(toy_store, aware, monkeypatch):
    seen = []

    def record(model, stream):
        seen.append(np.concatenate([batch.psf_parameters for batch in stream]))
        return {"all": np.zeros(len(toy_store))}

    monkeypatch.setattr("npecat_eval.metrics.psf_use.negative_log_likelihoods", record)
    psf_use(TileModel.load(aware / BEST), toy_store)
    own, another = seen
    assert np.array_equal(own, toy_store.array("psf_parameters"))
    assert np.array_equal(np.sort(own, axis=0), np.sort(another, axis=0))
    assert 0.4 < (own == another).all(axis=1).mean() < 0.6  # half are of the other field


def test_command_prints_the_rise_and_ends_with_the_verdict(toy_store, aware, tmp_path):
    blind = unaware(aware, tmp_path / "unaware")
    for run, status, verdict in ((aware, 0, "uses the PSF"), (blind, 1, "does not clearly use")):
        words = ["--run", str(run), "--store", str(toy_store.path)]
        result = CliRunner().invoke(check_psf_use, words)
        assert result.exit_code == status and verdict in result.output
        assert [line.split()[0] for line in result.output.splitlines()[1:6]] == [
            "source",
            "position",
            "type",
            "flux",
            "all",
        ]


def test_store_of_one_psf_is_refused(aware, tmp_path):
    store = Store(write_store(tmp_path, "test", 5))
    with pytest.raises(NpecatError, match=r"test\.zarr: all images have one PSF"):
        psf_use(TileModel.load(aware / BEST), store)
