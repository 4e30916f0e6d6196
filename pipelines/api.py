"""The Python API, which the package ``npecat`` exports: the commands as functions.

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


def catalog(
    image: "SurveyImage",
    *,
    model: "TileModel | None" = None,
    density: float | None = None,
    star_share: float | None = None,
    faint_magnitude: float | None = None,
) -> "SurveyCatalog":
    """The probabilistic catalog of a survey image.

    Parameters
    ----------
    image : SurveyImage
        From open_image or image_from_arrays.
    model : TileModel, optional
        A trained network; by default the one in the package.
    density, star_share : float, optional
        For a network of variant wide: sources per arcmin^2 down to the faintest one, and the share
        of stars among them; by default both are found in the image.
    faint_magnitude : float, optional
        Magnitude of the faintest source; by default its flux is four times the noise under the
        PSF.

    Returns
    -------
    SurveyCatalog
        ``table`` is the catalog as an astropy QTable; ``samples(n)`` draws whole catalogs from
        the posterior; ``write(path)`` writes the catalog in the format of the suffix;
        ``plot(path)`` draws a picture.

    Examples
    --------
    Two stars of 30 and 60 nanomaggies on a sky of 0.878 nanomaggies per pixel, with 989 electrons
    per nanomaggy and a FWHM of 1.4 arcsec:

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
    from npecat_eval.catalog.population import Given
    from npecat_eval.survey_catalog import catalog_survey_image

    given = Given(density, star_share, faint_magnitude)
    return catalog_survey_image(image, model or _shipped_model(), given)


def load(path: Path | str | None = None) -> "TileModel":
    """Load a trained network with its settings.

    Parameters
    ----------
    path : Path or str, optional
        A checkpoint, or the folder of a run such as ``runs/psf_aware``, whose best checkpoint is
        loaded; by default the weights in the package.

    Returns
    -------
    TileModel

    Raises
    ------
    NpecatError
        If the checkpoint is missing or damaged.

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
    """The network in the package, which is read once per process."""
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
        ``store.batch(slice(0, 8))`` reads images with everything that is known about them;
        ``store.array(name)`` reads one array; ``store.catalog()`` reads the true sources.

    Raises
    ------
    NpecatError
        If the store is missing, unfinished or damaged.

    Examples
    --------
    >>> import tempfile
    >>> import npecat
    >>> folder = tempfile.mkdtemp()
    >>> (path,) = npecat.simulate("one", n=4, n_validation=0, n_test=0, workers=1, out=folder)
    >>> store = npecat.open_store(path)
    >>> store.batch(slice(0, 2)).images.shape
    (2, 80, 80)
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
    psf_irregularity: float | None = None,
    survey: Path | str | None = None,
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

    This starts processes, so a script must call it below ``if __name__ == "__main__":``.

    Parameters
    ----------
    prior : {"one", "many", "held_out", "wide"}
        Fields whose PSF, sky and detector the images have; ``wide`` is any telescope.
    n : int
        Number of training images.
    n_validation, n_test : int, optional
        Number of validation and test images; by default a seventh and a fifth of `n`.
    fields : Path, optional
        A field library for priors ``many`` and ``held_out``; for ``wide`` a library of one's own
        images, whose PSF, pixels, gain and noise are drawn, and the rest as the survey says.
    density : float, optional
        Mean number of sources per pixel; by default the paper's 6.25e-4. Not for ``wide``.
    psf_irregularity : float, optional
        Largest rms departure of PSFs from the circular profile, as a share of the peak; by default
        none. Not for ``wide``.
    survey : Path or str, optional
        For ``wide``: a survey file, or the name of one in the package such as ``decam``, to which
        the telescopes are narrowed.
    seed : int, optional
        Seed of all random numbers.
    workers : int, optional
        Processes of this machine; by default one per core.
    threads_per_worker : int, optional
        Threads of each process.
    scheduler, scheduler_file : str, optional
        An existing Dask cluster, given by its address or by its scheduler file.
    renderer : {"compiled", "galsim"}, optional
        The program that draws the sources.
    overwrite : bool, optional
        Replace stores of the same names.
    out : Path or str, optional
        Folder or ``s3://`` of the stores; by default ``data/PRIOR``.

    Returns
    -------
    list of Path
        The stores.

    Raises
    ------
    NpecatError
        If a store with other settings exists already, or an image cannot be made; finished
        parts of the stores are kept.
    """
    from dask.system import CPU_COUNT

    from npecat_sim.errors import NpecatError
    from npecat_sim.fields.table import FieldTable
    from npecat_sim.model.prior import PAPER_PRIOR
    from npecat_sim.model.streams import SPLITS
    from npecat_sim.simulation.cluster import Cluster
    from npecat_sim.simulation.field_priors import WIDE, prior_fields
    from npecat_sim.simulation.simulate import simulate as simulate_stores
    from npecat_sim.wide.survey_file import load_survey

    defaults = (n, n // 7, n // 5)  # the paper's 210,000 + 30,000 images and 42,000 for tests
    given = (n, n_validation, n_test)
    counts = {
        split: default if count is None else count
        for split, count, default in zip(SPLITS, given, defaults, strict=True)
    }
    library = None if fields is None else Path(fields)
    table = prior_fields(prior, library)
    told = {"density": density, "psf_irregularity": psf_irregularity}
    alien = ["survey"] if survey and prior != WIDE else []
    if prior == WIDE:
        alien = [name for name, value in told.items() if value is not None]
    if alien:
        raise NpecatError(
            f"prior {prior} takes no {alien[0]}; "
            + ("give a survey file with it" if prior == WIDE else "take prior wide"),
            parameters=(alien[0],),
        )
    allowed = load_survey(survey) if prior == WIDE else None
    if isinstance(table, FieldTable):
        table = replace(table, irregularity=psf_irregularity or 0.0)
    elif allowed:
        allowed = allowed.of_images(table, str(survey or library))
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
        survey=allowed,
        overwrite=overwrite,
    )


def train(
    variant: str,
    *,
    data: "Location | str" = "data",
    runs: Path | str = "runs",
    network: str | None = None,
    flux: str = "mixture",
    epochs: int | None = None,
    schedule: str = "cosine",
    batch_size: int | None = None,
    first: "Location | str | None" = None,
    start: Path | str | None = None,
    seed: int = 0,
    cache: str = "auto",
) -> "TileModel":
    """Train a network on the stores of its prior.

    The same call continues a run that was interrupted.

    Parameters
    ----------
    variant : {"single_field", "psf_unaware", "psf_aware", "wide"}
        The paper's networks, and one for any telescope; or one that differs from ``wide`` in how
        it is told the PSF, see npecat_train.network.psf_variants.
    data : Path or str, optional
        Folder or ``s3://`` of ``PRIOR/train.zarr`` and so on.
    runs : Path, optional
        Folder of networks; this one is written to ``RUNS/VARIANT``.
    network : {"default", "large", "ancestor"}, optional
        Size of the network; ``large`` for variant ``wide`` and ``default`` for others by default.
    flux : {"mixture", "lognormal"}, optional
        Family of flux posteriors.
    epochs : int, optional
        Passes over the store; the default depends on the device, see training.defaults.
    schedule : {"cosine", "paper"}, optional
        Schedule of the learning rate, and its optimiser.
    batch_size : int, optional
        Images per step; the default depends on the device, see training.defaults.
    first : Path or str, optional
        Folder like `data`, of crowded images that are passed over first.
    start : Path, optional
        Checkpoint whose weights the training begins with.
    seed : int, optional
        Seed of the weights and of the order of the images.
    cache : {"auto", "gpu", "ram", "none"}, optional
        Memory in which the stores are kept.

    Returns
    -------
    TileModel
        The network with the lowest validation loss.

    Raises
    ------
    NpecatError
        If a store is missing or damaged, the folder holds a run with other settings, another
        process trains in it, or the loss is not finite.

    Examples
    --------
    A run that is much too short, to see how it goes:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import npecat
    >>> data = Path(tempfile.mkdtemp())
    >>> made = npecat.simulate("one", n=32, n_validation=16, n_test=0, workers=1, out=data / "one")
    >>> model = npecat.train("single_field", data=data, runs=data / "runs", epochs=1)
    >>> model.settings.epochs
    1
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
    limit: str | None = None,
) -> "Evaluation":
    """Score models, SEP and the physical bound side by side on a test store.

    Parameters
    ----------
    store : Store, Path or str
        Images with their true catalogs.
    models : mapping
        Name of each method -> its TileModel.
    name : str, optional
        Name of the test set; by default see test_set_name.
    results : Path, optional
        SEP's measurements and the bound are kept in ``RESULTS/NAME`` for the next evaluation;
        give the same folder to Evaluation.write.
    limit : {"r22", "depth"}, optional
        Count sources of r < 22, or those above ten sigma of the noise under the PSF of each image,
        which is for stores of prior ``wide`` and the default of those unless they are about as deep
        as SDSS.

    Returns
    -------
    Evaluation
        ``table`` holds every metric with its bootstrap sigma; ``write(folder)`` writes tables,
        figures and a report.

    Raises
    ------
    NpecatError
        If the store is damaged, or its images have another encoding than a model's training
        store.

    Examples
    --------
    The weights of the package on 40 simulated images:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import npecat
    >>> folder = Path(tempfile.mkdtemp())
    >>> (path,) = npecat.simulate("one", n=0, n_validation=0, n_test=40, workers=1, out=folder)
    >>> found = npecat.evaluate(path, {"psf_aware": npecat.load()}, results=folder)
    >>> rows = found.table[found.table["method"] == "psf_aware"]
    >>> bool(rows["value"][rows["metric"] == "f1"][0] > 0.8)
    True
    """
    from dask.system import CPU_COUNT

    from npecat_eval.report.evaluate_store import evaluate_store
    from npecat_sim.store.reader import Store

    test = store if isinstance(store, Store) else open_store(store)
    name = name or test_set_name(test.path)
    cache = Path(results) / name / "references.npz"
    return evaluate_store(test, models, name=name, cache=cache, workers=CPU_COUNT, limit=limit)


def test_set_name(path: "Location") -> str:
    """The name of a store in tables: its folder if it is a ``test.zarr``, or else its own name."""
    return path.parent.name if path.stem == "test" else path.stem


def _location(path: "Location | str") -> "Location":
    """The folder or ``s3://`` place that a string names."""
    from npecat_sim.io.storage import location

    return location(path) if isinstance(path, str) else path
