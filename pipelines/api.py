"""The Python API, re-exported by the package ``npecat``: what the commands do, as functions.

Each function imports what it needs when it is called, so that ``import npecat`` is quick.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npecat_eval.report.evaluate_store import Evaluation
    from npecat_eval.survey_catalog import SurveyCatalog
    from npecat_sim.io.storage import Location
    from npecat_sim.store.reader import Store
    from npecat_sim.surveys.image import SurveyImage
    from npecat_train.model import TileModel


def catalog(image: "SurveyImage", *, model: "TileModel | None" = None) -> "SurveyCatalog":
    """The probabilistic catalog of a survey image.

    Parameters
    ----------
    image : SurveyImage
        From open_image or image_from_arrays.
    model : TileModel, optional
        A trained network; the one in the package by default.

    Returns
    -------
    SurveyCatalog
        Its ``table`` is an astropy QTable, ``samples(n)`` draws the whole catalog, ``write(path)``
        writes it in the format of the suffix and ``plot(path)`` draws it.

    Examples
    --------
    Two stars of 30 and 60 nanomaggies under a sky of 0.878 nanomaggies a pixel, at 989 electrons
    a nanomaggy and a FWHM of 1.4 arcsec:

    >>> import numpy as np
    >>> import npecat
    >>> from npecat_sim.fields.sdss_statistics import typical_psf
    >>> psf = typical_psf(1.4 / 0.396)
    >>> y, x = np.indices((80, 80))
    >>> light = 30 * psf.profile(np.hypot(x - 20, y - 30))
    >>> light += 60 * psf.profile(np.hypot(x - 60, y - 50))
    >>> electrons = np.random.default_rng(1).poisson(989 * (light + 0.878))
    >>> image = npecat.image_from_arrays(electrons / 989, psf=psf, gain=989, pixel_scale=0.396)
    >>> found = npecat.catalog(image)
    >>> len(found)
    2
    >>> np.round(found.table["x"].value).tolist()
    [20.0, 60.0]
    """
    from npecat_eval.survey_catalog import catalog_survey_image

    return catalog_survey_image(image, model or _shipped_model())


def load(path: Path | str | None = None) -> "TileModel":
    """A trained network with its settings.

    Parameters
    ----------
    path : Path or str, optional
        A checkpoint, or the folder of a run such as ``runs/psf_aware``, of which the best
        checkpoint is taken; the weights in the package by default.

    Returns
    -------
    TileModel

    Raises
    ------
    NpecatError
        If there is no whole checkpoint.

    Examples
    --------
    >>> import npecat
    >>> npecat.load().settings.variant
    'psf_aware'
    """
    from npecat_train.model import TileModel
    from npecat_train.weights import DEFAULT_WEIGHTS

    return TileModel.load(DEFAULT_WEIGHTS if path is None else path)


@cache
def _shipped_model() -> "TileModel":
    """The network in the package, read once a process."""
    return load()


def open_store(path: "Location | str") -> "Store":
    """Open a finished store of simulated images for reading.

    Parameters
    ----------
    path : Path or str
        A folder such as ``data/many/test.zarr``, or ``s3://bucket/key``.

    Returns
    -------
    Store
        ``store.batch(slice(0, 8))`` reads images with all that is known of them,
        ``store.array(name)`` one array, ``store.catalog()`` the true sources.

    Raises
    ------
    NpecatError
        If there is no store, or it is unfinished or damaged.
    """
    from npecat_sim.store.reader import Store

    return Store(_location(path))


def simulate(
    prior: str,
    *,
    n: int,
    n_validation: int | None = None,
    n_test: int | None = None,
    fields: Path | str | None = None,
    density: float | None = None,
    psf_irregularity: float = 0.0,
    seed: int = 0,
    workers: int | None = None,
    threads_per_worker: int = 1,
    scheduler: str | None = None,
    scheduler_file: str | None = None,
    renderer: str = "compiled",
    overwrite: bool = False,
    out: "Location | str | None" = None,
) -> "list[Location]":
    """Simulate the train, validation and test stores of a prior, or complete them.

    Processes are started, so a script calls this below ``if __name__ == "__main__":``.

    Parameters
    ----------
    prior : {"one", "many", "held_out"}
        Fields that images are drawn under.
    n : int
        Training images.
    n_validation, n_test : int, optional
        Others; a seventh and a fifth of `n` by default.
    fields : Path, optional
        A field library for priors ``many`` and ``held_out``.
    density : float, optional
        Mean number of sources a pixel; the paper's 6.25e-4 by default.
    psf_irregularity : float, optional
        Largest rms departure of PSFs from the circular profile, as a share of the peak.
    seed : int, optional
        Everything random follows from it.
    workers, threads_per_worker : int, optional
        Processes of this machine, one a core by default, and threads of each.
    scheduler, scheduler_file : str, optional
        A Dask cluster that is there already, by its address or by its scheduler file.
    renderer : {"compiled", "galsim"}, optional
        What draws the sources.
    overwrite : bool, optional
        Replace stores of the same names.
    out : Path or str, optional
        Folder or ``s3://`` of the stores; ``data/PRIOR`` by default.

    Returns
    -------
    list of Path
        The stores.

    Raises
    ------
    NpecatError
        If a store of other settings stands in the way, or an image cannot be made; what is
        finished is kept.
    """
    from dask.system import CPU_COUNT

    from npecat_sim.errors import NpecatError
    from npecat_sim.model.prior import PAPER_PRIOR
    from npecat_sim.model.streams import SPLITS
    from npecat_sim.simulation.cluster import Cluster
    from npecat_sim.simulation.field_priors import prior_fields
    from npecat_sim.simulation.simulate import simulate as simulate_stores

    defaults = (n, n // 7, n // 5)  # the paper's 210,000 + 30,000 images and 42,000 for tests
    given = (n, n_validation, n_test)
    counts = {
        split: default if count is None else count
        for split, count, default in zip(SPLITS, given, defaults, strict=True)
    }
    library = None if fields is None else Path(fields)
    table = replace(prior_fields(prior, library), irregularity=psf_irregularity)
    if scheduler and scheduler_file:
        raise NpecatError(
            "scheduler and scheduler_file both name a cluster; give one",
            parameters=("scheduler", "scheduler_file"),
        )
    if (scheduler or scheduler_file) and workers:
        raise NpecatError(
            "workers is for processes of this machine; leave it or the scheduler",
            parameters=("workers",),
        )
    cluster = Cluster(workers or CPU_COUNT, threads_per_worker, scheduler, scheduler_file)
    return simulate_stores(
        Path("data", prior) if out is None else _location(out),
        prior,
        fields=table,
        counts=counts,
        seed=seed,
        cluster=cluster,
        renderer=renderer,
        catalog_prior=PAPER_PRIOR if density is None else replace(PAPER_PRIOR, density=density),
        overwrite=overwrite,
    )


def train(
    variant: str,
    *,
    data: "Location | str" = "data",
    runs: Path | str = "runs",
    network: str = "default",
    flux: str = "mixture",
    epochs: int | None = None,
    schedule: str = "cosine",
    batch_size: int | None = None,
    first: "Location | str | None" = None,
    start: Path | str | None = None,
    seed: int = 0,
    cache: str = "auto",
) -> "TileModel":
    """Train a network on the stores of its prior; the same call goes on where it stopped.

    Parameters
    ----------
    variant : {"single_field", "psf_unaware", "psf_aware"}
        The paper's networks.
    data : Path or str, optional
        Folder or ``s3://`` of ``PRIOR/train.zarr`` and so on.
    runs : Path, optional
        Folder of networks; this one's is ``RUNS/VARIANT``.
    network : {"default", "wide"}, optional
        Size of the network.
    flux : {"mixture", "lognormal"}, optional
        Family of flux posteriors.
    epochs, batch_size : int, optional
        Passes over the store and images a step; defaults depend on the device, see
        training.loop.
    schedule : {"cosine", "paper"}, optional
        Of the learning rate, and which optimiser.
    first : Path or str, optional
        Folder like `data`, of crowded images to pass over first.
    start : Path, optional
        Checkpoint whose weights the run begins with.
    seed : int, optional
        Of weights and image order.
    cache : {"auto", "gpu", "ram", "none"}, optional
        Where to keep the stores.

    Returns
    -------
    TileModel
        Of the lowest validation loss.

    Raises
    ------
    NpecatError
        If a store is missing or damaged, the folder holds a run of other settings, another
        process trains there, or the loss is not finite.
    """
    from npecat_train.model import TileModel
    from npecat_train.training.distributed import joined
    from npecat_train.training.job import TrainingJob

    with joined() as (team, device):
        job = TrainingJob.of(
            variant,
            device,
            data=_location(data),
            runs=Path(runs),
            network=network,
            flux=flux,
            epochs=epochs,
            schedule=schedule,
            batch_size=batch_size,
            first=None if first is None else _location(first),
            start=None if start is None else Path(start),
            seed=seed,
            cache=cache,
        )
        job.train(device, team)
    return TileModel.load(job.folder)


def evaluate(
    store: "Store | Location | str",
    models: "Mapping[str, TileModel]",
    *,
    name: str | None = None,
    results: Path | str = "results",
) -> "Evaluation":
    """Score models, SEP and the physical bound side by side on a test store.

    Parameters
    ----------
    store : Store, Path or str
        Images with their true catalogs.
    models : mapping
        Name of each method -> its TileModel.
    name : str, optional
        Of the test set; by default the folder of a ``test.zarr``, or the store's own name.
    results : Path, optional
        ``RESULTS/NAME`` keeps SEP's measurements and the bound for the next evaluation, and is
        where Evaluation.write belongs.

    Returns
    -------
    Evaluation
        Its ``table`` holds every metric with its bootstrap sigma; ``write(folder)`` writes tables,
        figures and a report.

    Raises
    ------
    NpecatError
        If the store is damaged or encoded otherwise than a model's training store.
    """
    from dask.system import CPU_COUNT

    from npecat_eval.report.evaluate_store import evaluate_store
    from npecat_sim.store.reader import Store

    test = store if isinstance(store, Store) else open_store(store)
    name = name or test_set_name(test.path)
    cache = Path(results) / name / "references.npz"
    return evaluate_store(test, models, name=name, cache=cache, workers=CPU_COUNT)


def test_set_name(path: "Location") -> str:
    """What a store is called in tables: the folder of a test.zarr, or else its own name."""
    return path.parent.name if path.stem == "test" else path.stem


def _location(path: "Location | str") -> "Location":
    from npecat_sim.io.storage import location

    return location(path) if isinstance(path, str) else path
