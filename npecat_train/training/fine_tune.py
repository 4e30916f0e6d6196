"""Begin a run with the weights of another, to fit them to other images."""

from dataclasses import asdict, replace
from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_train.checkpoint import fitting, load
from npecat_train.settings import RunSettings
from npecat_train.training.learner import Learner
from npecat_train.weights import digest

RATE_SHARE = 0.1
"""Learning rate over that of a fresh run, which would destroy weights that are already good."""

SHARED = ("variant", "network", "flux", "encoding")
"""Settings in which two runs must agree if one begins with the weights of the other."""


def starting_from(path: Path, settings: RunSettings) -> RunSettings:
    """Return the settings of a run that begins with the weights of a checkpoint.

    Inputs stay standardised as in the training of those weights, whatever the new store's
    statistics are, and the learning rate is multiplied by RATE_SHARE.

    Parameters
    ----------
    path : Path
        The checkpoint.
    settings : RunSettings
        Of the run with fresh weights.

    Raises
    ------
    NpecatError
        If the checkpoint is damaged, or is of another network.
    """
    _, known, _ = load(path)
    differing = [name for name in SHARED if getattr(known, name) != getattr(settings, name)]
    if differing:
        found, wanted = asdict(known), asdict(settings)
        differences = "; ".join(f"{name} {found[name]}, not {wanted[name]}" for name in differing)
        raise NpecatError(f"{path} cannot start this run: it has {differences}")
    return replace(
        settings,
        standardisation=known.standardisation,
        start=digest(path),
        learning_rate=RATE_SHARE * settings.learning_rate,
    )


def load_start(path: Path, learner: Learner) -> None:
    """Give a learner the weights of a checkpoint; raises NpecatError if they do not fit."""
    weights, _, _ = load(path)
    with fitting(path):
        learner.network.load_state_dict(weights)
        learner.symmetry.check()
