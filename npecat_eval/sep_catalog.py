"""SEP's measurements of a whole store, made on all cores and kept for the next evaluation."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import sep

from npecat_eval.sep_baseline import DETECTION_THRESHOLD, SepSources, measure
from npecat_sim.files import Location, replacing
from npecat_sim.progress import progress
from npecat_sim.store import Store


def sep_sources(store: Store, cache: Path, workers: int) -> SepSources:
    """SEP's sources of every image of a store, from the cache if it holds just these.

    cache: an .npz file, made anew where it is of another store, version or threshold, or damaged.
    """
    made_from = json.dumps(
        {"store": store.digest, "sep": sep.__version__, "threshold": DETECTION_THRESHOLD}
    )
    kept = _read(cache, made_from)
    if kept:
        return kept
    parts = []
    with (
        progress("SEP", len(store)) as advance,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        tasks = [(store.path, images.start, images.stop) for images in store.chunk_ranges]
        for part, images in zip(pool.map(_measure_chunk, tasks), store.chunk_ranges, strict=True):
            parts.append(part)
            advance(len(images), "")
    sources = SepSources.concatenate(parts)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cache) as partial, partial.open("wb") as file:
        np.savez(file, made_from=np.array(made_from), **vars(sources))
    return sources


def _read(cache: Path, made_from: str) -> SepSources | None:
    """The cached sources, or None."""
    try:
        with np.load(cache) as content:
            if str(content["made_from"]) == made_from:
                return SepSources(**{n: content[n] for n in SepSources.__dataclass_fields__})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass
    return None


def _measure_chunk(task: tuple[Location, int, int]) -> SepSources:
    """SEP's sources of the images from ``start`` to before ``stop``."""
    path, start, stop = task
    batch = Store(path, "npecat simulate").batch(slice(start, stop))
    part = measure(batch.images, batch.backgrounds, batch.psf_parameters, batch.electrons_per_nmgy)
    return replace(part, image=part.image + start)
