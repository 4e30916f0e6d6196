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
from npecat_eval.catalog.observe import Observation
from npecat_sim.errors import NpecatError
from npecat_train import checkpoint
from npecat_train.model import TileModel
from npecat_train.network.tile_network import NETWORKS
from npecat_train.weights import DEFAULT_WEIGHTS
from tests.helpers.bit_flips import flip_bits
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


def test_package_carries_weights_of_a_psf_aware_network_with_their_digest(caplog):
    assert DEFAULT_WEIGHTS.stat().st_size < 6e6
    model = TileModel.load(DEFAULT_WEIGHTS)
    assert not caplog.records, "they have no digest"
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
        field_posterior(TileModel.load(folder / name), Observation(image, None))
        for name in (checkpoint.BEST, "small.safetensors")
    ]
    difference = (small.source.logit - whole.source.logit).abs().max()
    assert 0 < difference < 0.02


def test_network_too_large_for_the_package_is_refused(saved):
    folder, _, settings = saved
    wide = replace(settings, network=NETWORKS["ancestor"])
    weights = wide.build_network().state_dict()
    checkpoint.save(folder / checkpoint.BEST, weights, settings=wide, state={})
    out = folder / "small.safetensors"
    done = CliRunner().invoke(export_weights, [str(folder), "-o", str(out)])
    assert isinstance(done.exception, NpecatError) and "smaller network" in str(done.exception)
    assert not out.exists()


def refusal(path) -> str:
    """The one line with which a checkpoint is refused."""
    with pytest.raises(NpecatError) as error:
        TileModel.load(path)
    message = str(error.value)
    assert path.name in message and "\n" not in message and len(message) < 1000
    return message


def test_every_flipped_bit_is_refused(saved):
    """In the sizes, names and types of tensors, the settings, the digest, and the tensors."""
    path = saved[0] / checkpoint.BEST
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    messages = {byte: refusal(path) for byte in flip_bits(path, 300)}
    in_header = [byte for byte in messages if byte < header]
    assert len(in_header) > 100 and len(messages) - len(in_header) > 100
    assert all("its digest is another" in messages[byte] for byte in messages.keys() - in_header)
    TileModel.load(path)


def write_by_hand(path, about, tensors):
    """Write a checkpoint with any JSON in its metadata, which has no digest."""
    text = about if isinstance(about, str) else json.dumps(about)
    path.write_bytes(to_bytes(tensors, {"npecat": text}))


def test_checkpoint_of_an_earlier_npecat_is_read_with_one_warning(saved, caplog):
    folder, tensors, settings = saved
    path = folder / "old.safetensors"
    content = {"settings": settings.to_json() | {"format_version": 3}, "state": {"epoch": 1}}
    write_by_hand(path, content, tensors)
    found, known, state = checkpoint.load(path)
    assert known == settings and state == {"epoch": 1}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    write_by_hand(path, content | {"settings": settings.to_json()}, tensors)
    assert "it has no digest" in refusal(path)


def with_header(header: bytes) -> bytes:
    """A safetensors file with any header and no tensors."""
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        with_header(b"{}"),
        with_header(b"[1, 2]"),
        with_header(b"\xff\xfe"),
        with_header(b"[" * 100_000),
        with_header(b'{"a":' * 500 + b"1" + b"}" * 500),
        (2**62).to_bytes(8, "little") + b"{}",
        with_header(json.dumps({"__metadata__": []}).encode()),
        with_header(json.dumps({"__metadata__": {"npecat": {}}}).encode()),
        with_header(json.dumps({"__metadata__": {"npecat": "{}"}, "x": 3}).encode()),
    ],
)
def test_header_that_is_damaged_or_hostile_is_refused(tmp_path, content):
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    assert "not a whole npecat checkpoint" in refusal(path)


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.uint8, torch.bool]
)
def test_tensors_of_other_types_are_refused(saved, dtype):
    folder, tensors, settings = saved
    path = folder / checkpoint.BEST
    odd = {**tensors, "head.bias": tensors["head.bias"].to(dtype)}
    checkpoint.save(path, odd, settings=settings, state={})
    assert "a tensor is of another type than F16, BF16" in refusal(path)


@pytest.mark.parametrize(
    "about",
    ["[" * 100_000, "[]", "null", "3", '{"digest": 3}', '{"settings": [], "state": 1}', "{}"],
)
def test_metadata_that_are_no_settings_are_refused(saved, about):
    folder, tensors, _ = saved
    write_by_hand(folder / checkpoint.BEST, about, tensors)
    refusal(folder / checkpoint.BEST)


def test_file_too_large_for_a_checkpoint_is_not_read(tmp_path):
    path = tmp_path / "best.safetensors"
    with path.open("wb") as file:
        file.truncate(10**12)
    assert "more than 200 MB" in refusal(path)


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
    """The settings as JSON, of the format without a digest, with one value changed."""
    content = settings.to_json() | {"format_version": 3}
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
        ("network.bottlenecks", [10**9, 3 - 10**9]),
        ("network.dilations", [1]),
        ("network", {}),
        ("flux", "gamma"),
        ("variant", "psf_unaware"),
        ("variant", "wide"),
        ("standardisation", None),
        ("standardisation.psf_mean", [0.0] * 5),
        ("standardisation.psf_std", [0.0] * 6),
        ("standardisation.psf_std", ["a"] * 6),
        ("standardisation.sky_std", float("nan")),
        ("format_version", 1),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_little_memory(saved, place, value):
    folder, tensors, settings = saved
    path = folder / checkpoint.BEST
    about = {"settings": spoilt(settings, place, value), "state": {}}
    write_by_hand(path, about, tensors)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


ODD = (None, True, -1, 10**30, 1e300, "x", [], [[1]], [None] * 6, {}, {"a": [{}]})
"""Values, most of which are wrong in any place."""


def values(content: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Dotted names and values in nested dicts, and the dicts themselves."""
    found = []
    for name, value in content.items():
        found.append((prefix + name, value))
        if isinstance(value, dict):
            found += values(value, f"{prefix}{name}.")
    return found


def test_settings_of_odd_types_are_read_or_refused_in_little_memory(saved):
    folder, tensors, settings = saved
    path = folder / checkpoint.BEST
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for place, known in values(settings.to_json()):
        for value in ODD:
            about = {"settings": spoilt(settings, place, value), "state": {}}
            write_by_hand(path, about, tensors)
            try:
                TileModel.load(path)
            except NpecatError as error:
                assert path.name in str(error) and "\n" not in str(error)
            else:
                kinds = {float: (int, float), type(None): (str, type(None))}
                assert type(value) in kinds.get(type(known), (type(known),)), (place, value)
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
