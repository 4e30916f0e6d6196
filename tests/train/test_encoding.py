"""A checkpoint and a store that do not belong together are refused with the reason."""

import json
from dataclasses import replace

import pytest
import torch

from npecat_eval.catalog.store_catalog import images_for
from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Contents, Store
from npecat_sim.wide.survey import Survey
from npecat_train import checkpoint
from npecat_train.model import TileModel
from npecat_train.network.encoding import Encoding
from npecat_train.training.defaults import run_settings
from tests.helpers.stores import write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data"), "test", 20))


def test_store_of_the_same_encoding_is_taken(store):
    settings = run_settings("psf_aware", store, epochs=1)
    network = settings.build_network()
    assert sum(len(batch) for batch in images_for(TileModel(network, settings), store)) == 20


def saved(store, path, **change):
    """A checkpoint whose network was told something else."""
    settings = run_settings("psf_aware", store, epochs=1)
    other = replace(settings, encoding=replace(settings.encoding, **change))
    checkpoint.save(path, settings.build_network().state_dict(), settings=other, state={})
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_unit": "count"}, "image_unit count, not nanomaggy"),
        ({"psf": "FWHM"}, "psf FWHM, not PSF in the order sigma1, sigma2"),
        ({"pixel_scale_arcsec": 0.2}, "pixel_scale_arcsec 0.2, not 0.396"),
    ],
)
def test_store_of_another_encoding_is_refused(store, tmp_path, change, reason):
    model = TileModel.load(saved(store, tmp_path / "best", **change))
    network, settings = model.network, model.settings
    with pytest.raises(NpecatError, match=rf"test.zarr does not suit .*{reason}"):
        images_for(TileModel(network, settings), store)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stretches": (1.0, 10.0)}, r"stretches \(1.0, 10.0\), not \(1.0, 30.0\)"),
        ({"tile_size": 2}, "tile_size 2, not 4"),
        ({"apertures": (1, 3)}, r"apertures \(1, 3\), not \(1, 3, 5\)"),
    ],
)
def test_network_of_other_inputs_or_tiles_is_refused(store, tmp_path, change, reason):
    path = saved(store, tmp_path / "best", **change)
    with pytest.raises(NpecatError, match=rf"best holds a network .*{reason}"):
        TileModel.load(path)


def test_encoding_is_read_off_the_store(store):
    about = store.path / "psf_parameters" / "zarr.json"
    content = json.loads(about.read_text())
    before = about.read_bytes()
    content["attributes"]["description"] = "PSF in the order b, p0"
    about.write_text(json.dumps(content))
    assert Encoding.of(Contents(store.path)).psf == "PSF in the order b, p0"
    about.write_bytes(before)


def test_network_for_any_telescope_takes_stores_that_tell_all(store, tmp_path):
    wide = Store(write_store(tmp_path, "test", 10, "wide", survey=Survey()))
    settings = run_settings("wide", wide, epochs=1)
    assert settings.to_json()["standardisation"] is None
    torch.manual_seed(0)
    network = settings.build_network()
    torch.nn.init.normal_(network.head.weight)
    checkpoint.save(tmp_path / "best", network.state_dict(), settings=settings, state={})
    model = TileModel.load(tmp_path / "best")
    assert model.settings == settings

    (tensors,) = images_for(model, wide)
    batch = wide.batch(slice(0, 10))
    of_batch, of_tensors = [model.posterior(one).source.logit for one in (batch, tensors)]
    torch.testing.assert_close(of_batch, of_tensors)
    assert of_batch.std() > 0.01
    assert all(value.isfinite().all() for value in model.log_prob(batch).values())

    reason = "trained with pixel_scale_arcsec None, not 0.396; psf share of the flux .* apertures"
    with pytest.raises(NpecatError, match=rf"test.zarr does not suit .*{reason}"):
        settings.encoding.refuse_other(store)
    with pytest.raises(NpecatError, match=r"trained with pixel_scale_arcsec 0\.396, not None"):
        run_settings("psf_aware", store, epochs=1).encoding.refuse_other(wide)
