"""Which optimiser moves which weights, and how far."""

import pytest
import torch

from npecat_train.network.tile_network import ConvBlock, NetworkSize, TileNetwork
from npecat_train.training.optimisers import (
    ConvolutionMuon,
    load_tensors,
    make_optimisers,
    tensors_of,
)

RATE = 1e-3


def network_with_gradients() -> TileNetwork:
    torch.manual_seed(0)
    size = NetworkSize((4,), (), 8, 4, (1,), (1,))
    network = TileNetwork(2, 3, initial_outputs=(0.0, 0.0), size=size)
    network = network.to(memory_format=torch.channels_last)
    for weights in network.parameters():
        weights.grad = torch.randn_like(weights)
    return network


def convolutions(network: TileNetwork) -> list[torch.nn.Parameter]:
    return [block[0].weight for block in network.modules() if isinstance(block, ConvBlock)]


def step(network: TileNetwork, schedule: str) -> list[torch.Tensor]:
    """The change of every weight in one step."""
    before = [weights.detach().clone() for weights in network.parameters()]
    for optimiser in make_optimisers(network, schedule):
        optimiser.param_groups[0]["lr"] = RATE
        optimiser.step()
    return [after - old for after, old in zip(network.parameters(), before, strict=True)]


def test_the_papers_schedule_is_adam_alone():
    network = network_with_gradients()
    for change, weights in zip(step(network, "paper"), network.parameters(), strict=True):
        torch.testing.assert_close(change, -RATE * weights.grad.sign(), rtol=1e-3, atol=1e-7)


def test_muon_moves_the_convolutions_and_adam_the_rest():
    network = network_with_gradients()
    by_muon = set(map(id, convolutions(network)))
    assert 0 < len(by_muon) < len(list(network.parameters()))
    for change, weights in zip(step(network, "cosine"), network.parameters(), strict=True):
        if id(weights) not in by_muon:
            torch.testing.assert_close(change, -RATE * weights.grad.sign(), rtol=1e-3, atol=1e-7)
            continue
        # All singular values alike, 0.2 sqrt(larger side) times the rate; the iteration that
        # makes them so is meant to end between 0.7 and 1.2.
        matrix = change.flatten(1)
        values = torch.linalg.svdvals(matrix) / (RATE * 0.2 * max(matrix.shape) ** 0.5)
        assert values.min() > 0.5 and values.max() < 1.3
        assert (change * weights.grad).sum() < 0


def test_convolutions_move_as_by_the_librarys_muon():
    torch.manual_seed(0)
    shapes = [(4, 3, 5, 5), (8, 2, 1, 1), (4, 3, 5, 5), (4, 3, 3, 3)]
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    ours = [torch.nn.Parameter(w.to(memory_format=torch.channels_last)) for w in ours]
    theirs = [torch.nn.Parameter(w.detach().flatten(1).clone()) for w in ours]
    starts = [w.detach().clone() for w in theirs]
    library = torch.optim.Muon(theirs, RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    muon = ConvolutionMuon(ours)
    muon.param_groups[0]["lr"] = RATE
    for _ in range(5):
        for own, their in zip(ours, theirs, strict=True):
            own.grad = torch.randn_like(own)
            their.grad = own.grad.flatten(1)
        muon.step()
        library.step()
    for own, their, start in zip(ours, theirs, starts, strict=True):
        moved, difference = their.detach() - start, own.detach().flatten(1) - their.detach()
        assert difference.norm() < 0.02 * moved.norm()  # the library computes in bfloat16


def test_what_they_remember_comes_back():
    network = network_with_gradients()
    optimisers, fresh = [make_optimisers(network, "cosine") for _ in range(2)]
    for optimiser in optimisers:
        optimiser.step()
    kept = tensors_of(optimisers)
    n_weights = len(list(network.parameters()))
    assert len(kept) == len(convolutions(network)) + 3 * (n_weights - len(convolutions(network)))
    load_tensors(fresh, kept)
    again = tensors_of(fresh)
    assert again.keys() == kept.keys()
    for name, tensor in kept.items():
        assert torch.equal(again[name], tensor)
    missing = dict(list(kept.items())[1:])
    with pytest.raises(KeyError):
        load_tensors(fresh, missing)
