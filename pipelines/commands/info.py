"""``npecat info``: describe a store, finished or not."""

import click
import numpy as np

from npecat_sim.io.storage import Location
from npecat_sim.store import manifest
from npecat_sim.store.reader import (
    MANIFEST,
    Contents,
    first_fault,
    is_sealed,
    size_on_disk,
)
from npecat_sim.store.settings import StoreSettings
from npecat_sim.store.writer import finished_chunks
from npecat_sim.units import PIXEL_SCALE

from .options import STORE_ARGUMENT

N_SKY_CHUNKS = 8
"""Number of chunks, evenly spaced, whose sky is read: that of a whole store takes minutes."""


@click.command()
@STORE_ARGUMENT
def info(path: Location) -> None:
    """Say what is inside a store, finished or not."""
    rows = describe(path)
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def describe(path: Location) -> dict[str, str]:
    """Describe a store, finished or not.

    Parameters
    ----------
    path : Path or UPath
        The store. Its arrays are read if none of its files is missing or damaged.

    Returns
    -------
    dict of str to str
        Name of each property -> its value as text.

    Raises
    ------
    NpecatError
        If there is no store.
    """
    contents = Contents(path)
    settings = contents.settings
    state, written = _state(contents)
    side, n_written = settings.image_size_pixel, sum(map(len, written))
    size = size_on_disk(path)
    each = f", {size / n_written / 1e3:.1f} kB an image" if n_written else ""
    rows = {
        "store": str(path),
        "state": state,
        "images": f"{len(contents):,} of {side} x {side} pixels",
        **(_measured(contents, written) if written else {}),
        **_drawn_from(settings),
        **{name: str(getattr(settings, name)) for name in ("prior", "split", "seed", "renderer")},
        "chunks": f"{len(contents.chunk_ranges):,}, each of {settings.images_per_chunk:,} images"
        " or, the last, fewer",
        "size": f"{size / 1e6:,.1f} MB{each}",
        "format": f"{settings.format_version}, by npecat {settings.npecat_version}",
    }
    files = manifest.read(path / MANIFEST)
    return {**rows, "digest": manifest.digest(files)} if files else rows


def _state(contents: Contents) -> tuple[str, list[range]]:
    """The state of a store in words, and the images that can be read, by chunk."""
    path, ranges = contents.path, contents.chunk_ranges
    if not is_sealed(path):
        done = sorted(finished_chunks(path))
        state = f"unfinished: {len(done):,} of {len(ranges):,} chunks done"
        return state, [ranges[chunk] for chunk in done]
    fault = first_fault(path, manifest.read(path / MANIFEST))
    if fault:
        return f"not whole: {fault} (npecat verify names every fault)", []
    return "finished", ranges


def _drawn_from(settings: StoreSettings) -> dict[str, str]:
    """The fields or the survey of a store, as text."""
    if settings.survey:
        return {"survey": " ".join(filter(None, map(settings.survey.get, ("name", "band"))))}
    return {"fields": f"{settings.n_fields:,}, source: {settings.fields}"}


def _measured(contents: Contents, written: list[range]) -> dict[str, str]:
    """Sources, seeing and sky of the images in the chunks that are written, as text."""

    def read(name: str, chunks: list[range]) -> np.ndarray:
        """One array of the images in some chunks."""
        return np.concatenate([contents.array(name, slice(c.start, c.stop)) for c in chunks])

    count = read("catalog/count", written)
    n_galaxies = int(read("catalog/is_galaxy", written).sum())  # padding is false
    n_stars = int(count.sum()) - n_galaxies
    fwhm = read("fwhm", written)
    sample = written[:: -(-len(written) // N_SKY_CHUNKS)]
    scale, wide = np.array([PIXEL_SCALE]), {}
    if contents.settings.survey:
        scale, mask = read("pixel_scale", sample), read("mask", sample)
        wide = {
            "pixel scale": f"{_spread(read('pixel_scale', written))} arcsec",
            "density": f"{_spread(read('density', written), '.2g')} sources a pixel",
            "star share": _spread(read("star_share", written)),
            "correlation": f"{_spread(read('noise_correlation', written))} of the noise",
            "masked": f"{100 * mask.mean():.1f} % of the pixels",
        }
    sky = read("backgrounds", sample).mean(axis=(1, 2), dtype=np.float64) / scale**2
    of_sample = "" if len(sky) == len(count) else f", in {len(sky):,} images"
    return {
        "true sources": f"{count.sum():,}: {n_stars:,} stars, {n_galaxies:,} galaxies",
        "an image": f"{count.mean():.2f} on average, {count.min()} to {count.max()}",
        "FWHM": f"{_spread(fwhm)} arcsec",
        "sky": f"{_spread(sky)} nmgy/arcsec2{of_sample}",
        **wide,
    }


def _spread(values: np.ndarray, form: str = ".2f") -> str:
    """The median of some values, and their minimum and maximum in brackets."""
    middle, low, high = np.median(values), values.min(), values.max()
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"
