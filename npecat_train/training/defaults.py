"""The defaults of a training run, and its settings."""

from npecat_sim.store.reader import Store
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import measure_standardisation
from npecat_train.network.tile_network import NETWORKS
from npecat_train.settings import VARIANTS, RunSettings
from npecat_train.training.schedule import peak_rate

BATCH_SIZES = {"cpu": 32, "cuda": 256}
"""Images of a step by type of device; see docs/log.md, batch sizes and epochs."""

SHORT_RUN_BATCH_SIZE = 16
"""Images of a step of a run of a few ten thousand images on a CPU, which needs more steps."""

EPOCHS = {"cpu": 3, "cuda": 50}
"""Passes over the paper's 210,000 images by type of device: about an hour on two CPU cores, and
the paper's number."""

LARGE = ("wide",)
"""Variants whose network is ``large`` unless another is chosen; see docs/log.md, width
of the network."""

CROWDED_EPOCHS = 2
"""Number of those epochs whose place one pass over a store of 900,000 crowded images takes."""

CROWDED_DENSITY = 0.0025
"""Sources per pixel of crowded images: four times the paper's."""


def run_settings(
    variant: str,
    store: Store,
    *,
    epochs: int,
    seed: int = 0,
    flux: str = "mixture",
    schedule: str = "cosine",
    batch_size: int = BATCH_SIZES["cpu"],
    network: str | None = None,
    first: Store | None = None,
) -> RunSettings:
    """Return the settings of a run on a training store.

    The statistics of a store for one of the paper's variants are measured here.

    Parameters
    ----------
    variant : str
        A key of settings.VARIANTS.
    store : Store
        The training store.
    epochs : int
        Passes over the store.
    seed : int, optional
        Decides the fresh weights, the order of the images and how they are turned.
    flux : str, optional
        The family of the flux, a key of factors.FLUX.
    schedule : str, optional
        One of schedule.SCHEDULES.
    batch_size : int, optional
        Images of a step.
    network : str, optional
        A key of tile_network.NETWORKS; by default that of the variant.
    first : Store, optional
        Crowded images, passed over before all epochs.

    Raises
    ------
    NpecatError
        If ``first`` has another encoding than ``store``.
    """
    encoding = Encoding.of(store)
    if first:
        encoding.refuse_other(first)
    return RunSettings(
        variant=variant,
        first_digest=first.digest if first else None,
        store_digest=store.digest,
        encoding=encoding,
        standardisation=None if VARIANTS[variant] == "wide" else measure_standardisation(store),
        network=NETWORKS[network or ("large" if variant in LARGE else "default")],
        flux=flux,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule,
        learning_rate=peak_rate(schedule, batch_size),
        seed=seed,
    )
