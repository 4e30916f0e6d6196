"""The weights in the package, weights in 16 bits, and weights that are refused."""

import json
import pickle
import resource
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save as to_bytes

from npecat.experiments.export_weights import export_weights
from npecat_eval.catalog.blocks import field_posterior
from npecat_sim.errors import NpecatError
from npecat_train import checkpoint
from npecat_train.model import TileModel
from npecat_train.network.tile_network import NETWORKS
from npecat_train.weights import DEFAULT_WEIGHTS, digest, digest_path
from tests.helpers.survey_images import random_model, survey_image


@pytest.fixture
def saved(tmp_path):
    """A run folder with weights; their tensors and settings."""
    settings = random_model().settings
    network = settings.build_network()
    torch.nn.init.normal_(network.head.weight)
    tensors = network.state_dict()
    checkpoint.save(tmp_path / checkpoint.BEST, tensors, settings=settings, state={"epoch": 1})
    return tmp_path, tensors, settings


def test_package_carries_weights_of_a_psf_aware_network_with_their_digest():
    assert DEFAULT_WEIGHTS.stat().st_size < 6e6
    assert digest_path(DEFAULT_WEIGHTS).read_text().split() == [
        digest(DEFAULT_WEIGHTS),
        DEFAULT_WEIGHTS.name,
    ]
    model = TileModel.load(DEFAULT_WEIGHTS)
    network, settings = model.network, model.settings
    assert settings.variant == "psf_aware"
    assert {weights.dtype for weights in network.parameters()} == {torch.float32}


def test_exported_weights_say_nearly_the_same(saved):
    folder, tensors, settings = saved
    done = CliRunner().invoke(
        export_weights, [str(folder), "-o", str(folder / "small.safetensors")]
    )
    assert done.exit_code == 0, done.output
    stored, as_settings, state = checkpoint.load(folder / "small.safetensors")
    assert as_settings == settings and state == {"epoch": 1}
    for name, tensor in tensors.items():
        inner = tensor.ndim == 4 and name != "head.weight"
        assert stored[name].dtype == (torch.float16 if inner else tensor.dtype)
        assert torch.allclose(stored[name].to(tensor.dtype), tensor, rtol=2**-11, atol=1e-7)
    image = survey_image(80, 80)
    whole, small = [
        field_posterior(TileModel.load(folder / name), image)
        for name in (checkpoint.BEST, "small.safetensors")
    ]
    difference = (small.source.logit - whole.source.logit).abs().max()
    assert 0 < difference < 0.02


def test_network_too_large_for_the_package_is_refused(saved):
    folder, _, settings = saved
    wide = replace(settings, network=NETWORKS["wide"])
    weights = wide.build_network().state_dict()
    checkpoint.save(folder / checkpoint.BEST, weights, settings=wide, state={})
    out = folder / "small.safetensors"
    done = CliRunner().invoke(export_weights, [str(folder), "-o", str(out)])
    assert isinstance(done.exception, NpecatError) and "smaller network" in str(done.exception)
    assert not out.exists()


def test_flipped_bit_is_found_by_the_digest(saved):
    folder, *_ = saved
    path = folder / checkpoint.BEST
    digest_path(path).write_text(f"{digest(path)}  {path.name}\n")
    TileModel.load(path)
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(NpecatError, match=r"best.safetensors is not what best.sha256 says"):
        TileModel.load(path)


class Trap:
    """Does harm where it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a checkpoint was run')",)


def test_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path):
    path = tmp_path / "best.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(NpecatError, match="not a whole npecat checkpoint"):
        TileModel.load(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved, dtype, value):
    folder, tensors, settings = saved
    tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
    tensors["stem.0.0.weight"][1, 1, 2, 2] = value
    checkpoint.save(folder / checkpoint.BEST, tensors, settings=settings, state={})
    with pytest.raises(NpecatError, match=r"stem\.0\.0\.weight are not finite"):
        TileModel.load(folder / checkpoint.BEST)


def spoilt(settings, place: str, value) -> dict:
    """The settings as JSON with one value changed."""
    content = settings.to_json()
    *groups, name = place.split(".")
    inner = content
    for group in groups:
        inner = inner[group]
    inner[name] = value
    return content


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("network.channels", 16),
        ("network.channels", 10**9),
        ("network.hidden_channels", 3000),
        ("network.channels", -4),
        ("network.channels", "many"),
        ("network.bottlenecks", [10**9, 1]),
        ("network.bottlenecks", [2]),
        ("network.dilations", [1]),
        ("network", {}),
        ("flux", "gamma"),
        ("variant", "psf_unaware"),
        ("standardisation.psf_mean", [0.0] * 5),
        ("standardisation.psf_std", [0.0] * 6),
        ("standardisation.psf_std", ["a"] * 6),
        ("standardisation.sky_std", float("nan")),
        ("format_version", 1),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_little_memory(saved, place, value):
    folder, tensors, settings = saved
    metadata = {"npecat": json.dumps({"settings": spoilt(settings, place, value), "state": {}})}
    path = folder / checkpoint.BEST
    path.write_bytes(to_bytes(tensors, metadata))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NpecatError) as error:
        TileModel.load(path)
    assert "best.safetensors" in str(error.value) and "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_tensors_that_do_not_fit_are_refused(saved, change):
    folder, tensors, settings = saved
    tensors = dict(tensors)
    if change == "missing":
        del tensors["head.bias"]
    elif change == "more":
        tensors["head.extra"] = torch.zeros(1)
    else:
        tensors["head.bias"] = torch.zeros(3)
    checkpoint.save(folder / checkpoint.BEST, tensors, settings=settings, state={})
    with pytest.raises(NpecatError, match=r"best.safetensors does not fit its own settings"):
        TileModel.load(folder / checkpoint.BEST)
