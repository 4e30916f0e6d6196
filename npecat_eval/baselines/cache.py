"""The references of a whole store: SEP's measurements and the physical bound.

Both are made on all cores and kept for the next evaluation of the same store.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import sep

from npecat_eval.baselines.recipe import DETECTION_THRESHOLD
from npecat_eval.baselines.sep import SepSources, measure_batch
from npecat_eval.catalog.detections import joined_rows
from npecat_eval.metrics.bound import relative_flux_sigma
from npecat_sim.io.storage import Location, replacing
from npecat_sim.progress import progress
from npecat_sim.store.reader import Contents, Store

VERSION = 1
"""Of the way in which references are made; kept references of a lower version are made again."""


@dataclass(frozen=True)
class References:
    """What networks are compared with on a store.

    Parameters
    ----------
    sep : SepSources
        What SEP measured in all images.
    flux_sigma : ndarray
        float64 (source,), the smallest possible relative flux error of each true source, see
        metrics.bound.Bound.
    """

    sep: SepSources
    flux_sigma: np.ndarray


def references(store: Store, cache: Path, *, workers: int) -> References:
    """The references of every image of a store, from the cache if it holds just these.

    Parameters
    ----------
    store : Store
        Images with their true catalogs.
    cache : Path
        An .npz file. It is written anew if it is missing, damaged, or belongs to another store
        or version.
    workers : int
        Processes that make the references.
    """
    made_from = json.dumps(
        {
            "store": store.digest,
            "sep": sep.__version__,
            "threshold": DETECTION_THRESHOLD,
            "version": VERSION,
        }
    )
    kept = _read(cache, made_from)
    if kept:
        return kept
    parts = []
    with (
        progress("SEP and bound", len(store)) as advance,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        chunks = [(store.path, images.start, images.stop) for images in store.chunk_ranges]
        for part, images in zip(pool.map(_of_chunk, chunks), store.chunk_ranges, strict=True):
            parts.append(part)
            advance(len(images), "")
    made = References(
        joined_rows([part.sep for part in parts]),
        np.concatenate([part.flux_sigma for part in parts]),
    )
    cache.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cache) as partial, partial.open("wb") as file:
        np.savez(file, made_from=made_from, flux_sigma=made.flux_sigma, **vars(made.sep))
    return made


def _read(cache: Path, made_from: str) -> References | None:
    """The content of the cache, or None if it is damaged or was made from something else."""
    try:
        with cache.open("rb") as file, np.load(file) as content:
            if str(content["made_from"]) != made_from:
                return None
            columns = {name: content[name] for name in SepSources.__dataclass_fields__}
            return References(SepSources(**columns), content["flux_sigma"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _of_chunk(chunk: tuple[Location, int, int]) -> References:
    """The references of images ``start`` to ``stop - 1`` of a store: (path, start, stop)."""
    path, start, stop = chunk
    batch = Contents(path).batch(slice(start, stop))
    found = measure_batch(batch)
    shares = [relative_flux_sigma(batch, row) for row in range(len(batch.images))]
    return References(replace(found, image=found.image + start), np.concatenate(shares))
