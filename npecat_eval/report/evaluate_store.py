"""The evaluation of models, SEP and the physical bound on one test store."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from astropy.table import Table

from npecat_eval.baselines.cache import References, references
from npecat_eval.baselines.sep import best_class_threshold
from npecat_eval.metrics.bootstrap import N_RESAMPLES
from npecat_eval.metrics.conditions import ImageConditions, by_condition
from npecat_eval.metrics.depth import DEPTH, R22, AtOneDepth, depth_factors, is_of_one_depth
from npecat_eval.metrics.predictions import Prediction, Truth, predict_store
from npecat_eval.metrics.table import evaluate
from npecat_eval.pictures.examples import example_figure
from npecat_eval.pictures.residuals import residual_figure
from npecat_eval.report import condition_figure, metric_figures, tables
from npecat_eval.report.html import write_report
from npecat_sim.errors import NpecatError
from npecat_sim.io.file_set import replacing_set
from npecat_sim.io.storage import replacing
from npecat_sim.store.reader import Batch, Store
from npecat_train.model import TileModel

N_EXAMPLES = 8
"""Number of images that are shown, the first of the store."""

RECORDED = ("npecat", "torch", "numpy", "scipy", "sep")
"""Packages whose versions are written to the tables."""


@dataclass(frozen=True)
class Evaluation:
    """Every metric of every method on one test store.

    Parameters
    ----------
    table : Table
        One row per number, see metrics.table.COLUMNS.
    settings : dict
        What was evaluated: the digest of the store, versions, and the settings of the models.
    predictions : dict
        Method -> what it predicts, SEP first.
    examples : Batch
        The first images of the store.
    conditions : Table or None
        Of a store of prior ``wide``, the main metrics by what the images are like, see
        metrics.conditions.by_condition.
    """

    table: Table
    settings: dict[str, Any]
    predictions: dict[str, Prediction]
    examples: Batch
    conditions: Table | None = None

    def __str__(self) -> str:
        return tables.overall_text(self.table)

    @property
    def counted(self) -> str:
        """Which sources count, for a reader."""
        words = {R22: "sources of r < 22", DEPTH: "sources above ten sigma of their image"}
        return words[self.settings["limit"]]

    def write(self, directory: Path | str) -> list[Path]:
        """Write tables, figures, examples and a report into a folder.

        They replace those of an earlier evaluation when all are there; killed before, it leaves
        the earlier ones as they are.

        Parameters
        ----------
        directory : Path or str
            Folder, which is made if it is missing.

        Returns
        -------
        list of Path
            The files. The examples show what the last method predicts.

        Raises
        ------
        NpecatError
            If a file cannot be written.
        """
        with replacing_set(Path(directory)) as folder:
            files = self._write(folder)
        return [Path(directory, file.name) for file in files]

    def _write(self, directory: Path) -> list[Path]:
        """Write all files into a folder, one after the other."""
        written = tables.write(self.table, directory, settings=self.settings)
        drawn = metric_figures.draw(self.table, directory)
        if self.conditions is not None:
            written.append(directory / "conditions.ecsv")
            with replacing(written[-1]) as partial:
                tables.rounded(self.conditions).write(partial, format="ascii.ecsv", overwrite=True)
            drawn += condition_figure.draw(self.conditions, directory)
        method = list(self.predictions)[-1]
        detections = self.predictions[method].detections
        examples, residuals = [directory / f"{n}_{method}.png" for n in ("examples", "residuals")]
        example_figure(self.examples, detections, path=examples)
        residual_figure(self.examples, detections, path=residuals)
        report = write_report(
            self.table,
            self.settings,
            conditions=self.conditions,
            drawn=drawn,
            examples=examples,
            residuals=residuals,
            method=method,
            directory=directory,
        )
        return [*written, *drawn, examples, residuals, report]


def evaluate_store(
    store: Store,
    models: Mapping[str, TileModel],
    *,
    name: str,
    cache: Path,
    workers: int,
    limit: str | None = None,
) -> Evaluation:
    """Score models, SEP and the physical bound on a test store.

    Parameters
    ----------
    store : Store
        Images with their true catalogs.
    models : mapping
        Name of each method -> its model.
    name : str
        Of the test set, in tables and figures.
    cache : Path
        An .npz file in which SEP's measurements and the bound are kept for the next evaluation.
    workers : int
        Processes that make these.
    limit : str, optional
        One of metrics.depth.LIMITS; ``depth`` is for stores of prior ``wide``, and the default of
        those that are not about as deep as SDSS.

    Returns
    -------
    Evaluation

    Raises
    ------
    NpecatError
        If a model was trained on images with another encoding, or no source is bright enough.
    """
    is_wide = "psf" in store.names
    if limit == DEPTH and not is_wide:
        raise NpecatError(
            f"{store.path} is not of prior wide, so that all its images are about as deep; take "
            f"limit {R22}",
            parameters=("limit",),
        )
    known = references(store, cache, workers=workers)
    conditions = ImageConditions.of(store) if is_wide else None
    if conditions and not limit:
        limit = R22 if is_of_one_depth(conditions.noise) else DEPTH
    if conditions and limit == DEPTH:
        factors = depth_factors(conditions.noise)
        store = AtOneDepth(store.path, factors)
        known = References(known.sep.times(factors), known.flux_sigma)
    truth = Truth(store.catalog(), hidden=conditions.hidden if conditions else None)
    settings: dict[str, Any] = {
        "test_store": store.digest,
        "n_images": len(store),
        "limit": limit or R22,
        "n_resamples": N_RESAMPLES,
        "versions": {package: version(package) for package in RECORDED},
    }
    threshold = best_class_threshold(known.sep, truth.catalog)
    settings["sep"] = {"class_threshold_mag": round(threshold, 4)}
    predictions = {"SEP": Prediction(known.sep.classify(threshold))}
    settings["networks"] = {}
    for method, model in models.items():
        predictions[method] = predict_store(model, store, truth=truth, label=f"predict {method}")
        settings["networks"][method] = {
            "checkpoint_sha256": model.weights_sha256,
            **model.settings.to_json(),
        }
    table = evaluate(truth, predictions, bound=truth.bound(known.flux_sigma), test_set=name)
    examples, by_image = store.batch(slice(0, N_EXAMPLES)), None
    if conditions:
        by_image = by_condition(truth, predictions, conditions.axes(), test_set=name)
    return Evaluation(table, settings, predictions, examples, by_image)
