"""A checkpoint and a store that do not belong together are refused with the reason."""

import json
from dataclasses import replace

import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.store import Store
from npecat_train import checkpoint
from npecat_train.encoding import Encoding
from npecat_train.predict import images_for
from npecat_train.trainer import run_settings
from tests.stores import write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("data"), "test", 20), "")


def test_store_of_the_same_encoding_is_taken(store):
    settings = run_settings("psf_aware", store, epochs=1)
    network = settings.build_network()
    assert sum(len(batch) for batch in images_for(network, settings, store)) == 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_unit": "count"}, "image_unit count, not nanomaggy"),
        ({"stretches": (1.0, 10.0)}, r"stretches \(1.0, 10.0\), not \(1.0, 30.0\)"),
        ({"tile_size": 2}, "tile_size 2, not 4"),
        ({"psf": "FWHM"}, "psf FWHM, not PSF in the order sigma1, sigma2"),
        ({"pixel_scale_arcsec": 0.2}, "pixel_scale_arcsec 0.2, not 0.396"),
    ],
)
def test_other_encoding_is_refused(store, tmp_path, change, reason):
    settings = run_settings("psf_aware", store, epochs=1)
    network = settings.build_network()
    path = tmp_path / "best.safetensors"
    other = replace(settings, encoding=replace(settings.encoding, **change))
    checkpoint.save(path, network.state_dict(), other, {})
    network, read = checkpoint.load_network(path)
    assert read.encoding == other.encoding
    with pytest.raises(NpecatError, match=rf"test.zarr does not suit .*{reason}"):
        images_for(network, read, store)


def test_encoding_is_read_off_the_store(store):
    about = store.path / "psf_parameters" / "zarr.json"
    content = json.loads(about.read_text())
    before = about.read_bytes()
    content["attributes"]["description"] = "PSF in the order b, p0"
    about.write_text(json.dumps(content))
    from npecat_sim.store import Contents

    assert Encoding.of(Contents(store.path, "")).psf == "PSF in the order b, p0"
    about.write_bytes(before)
