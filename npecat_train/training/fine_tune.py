"""Begin a run with the weights of another, to fit them to other images."""

from dataclasses import asdict, replace
from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_train.checkpoint import fitting, load
from npecat_train.settings import RunSettings
from npecat_train.training.learner import Learner
from npecat_train.weights import digest

RATE_SHARE = 0.1
"""Of the rate of a fresh run: weights that are good already would be lost at the whole of it."""

SHARED = ("variant", "network", "flux", "encoding")
"""What two runs must have alike for one to go on from the weights of the other."""


def starting_from(path: Path, settings: RunSettings) -> RunSettings:
    """The settings of a run that begins with the weights of a checkpoint.

    Inputs stay standardised as those weights know them, whatever the new store's statistics, and
    the rate is a tenth.
    Raises NpecatError as checkpoint.load does, and where the networks differ.
    """
    _, known, _ = load(path)
    differing = [name for name in SHARED if getattr(known, name) != getattr(settings, name)]
    if differing:
        found, wanted = asdict(known), asdict(settings)
        told = "; ".join(f"{name} {found[name]}, not {wanted[name]}" for name in differing)
        raise NpecatError(f"{path} cannot start this run: it has {told}")
    return replace(
        settings,
        standardisation=known.standardisation,
        start=digest(path),
        learning_rate=RATE_SHARE * settings.learning_rate,
    )


def load_start(path: Path, learner: Learner) -> None:
    """Begin with the weights of a checkpoint; raises NpecatError where they do not fit."""
    weights, _, _ = load(path)
    with fitting(path):
        learner.network.load_state_dict(weights)
        learner.symmetry.check()
