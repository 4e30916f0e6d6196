"""Speed and memory of cataloging: ``python -m npecat.benchmarks.catalog IMAGE``.

``npecat catalog`` and SEP take turns on one image in one process, so that other work of the machine
slows both alike. SEP is measured twice: as ``npecat evaluate`` scores it, with PSF and Kron fluxes,
and its detection alone. The first is on the image cut into pieces of 80 pixels a side, because the
fit of all fluxes at once is too large for more; the second is on the whole image.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click
import numpy as np
import torch

from npecat_eval.baselines.sep import measure
from npecat_eval.survey_catalog import catalog_survey_image
from npecat_sim.fields.sdss_statistics import nearest_six_numbers
from npecat_sim.model.prior import IMAGE_SIZE
from npecat_sim.surveys.extraction import extract
from npecat_train.model import TileModel

from ..cli import main
from ..commands.options import CHECKPOINT_OPTION, ImageFile, image_options
from .simulate import peak_memory

DETECT_THRESH = 1.5
"""Sigmas of one pixel's noise: the default of Source Extractor."""


def cut(array: np.ndarray, *, mode: Literal["constant", "edge"] = "constant") -> np.ndarray:
    """Cut an image into pieces of IMAGE_SIZE pixels a side.

    Parameters
    ----------
    array : ndarray
        (y, x).
    mode : {"constant", "edge"}
        How the last pieces of rows and columns are padded, see numpy.pad.

    Returns
    -------
    ndarray
        (piece, IMAGE_SIZE, IMAGE_SIZE), row by row.
    """
    padded = np.pad(array, [(0, -length % IMAGE_SIZE) for length in array.shape], mode=mode)
    height, width = padded.shape
    rows, columns = height // IMAGE_SIZE, width // IMAGE_SIZE
    pieces: np.ndarray = padded.reshape(rows, IMAGE_SIZE, columns, IMAGE_SIZE).swapaxes(1, 2)
    return pieces.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


@click.command(context_settings={"show_default": True})
@image_options
@CHECKPOINT_OPTION
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Medians are printed.")
def bench_catalog(image: ImageFile, checkpoint: Path, rounds: int) -> None:
    """Measure how long cataloging IMAGE takes, and SEP on the same image."""
    sky = image.open()
    noise = np.ascontiguousarray(np.sqrt(sky.background / sky.electrons_per_nmgy))
    pieces, skies = cut(sky.image), cut(sky.background, mode="edge")
    psfs = np.tile(nearest_six_numbers(sky.psf).parameters, (len(pieces), 1))
    electrons = np.full(len(pieces), sky.electrons_per_nmgy)

    def npecat() -> int:
        """What ``npecat catalog`` does."""
        found = catalog_survey_image(sky, TileModel.load(checkpoint))
        with TemporaryDirectory() as folder:
            found.write(Path(folder) / "catalog.fits")
        return len(found)

    def sep_as_scored() -> int:
        """What ``npecat evaluate`` does."""
        return len(measure(pieces, skies, psfs, electrons).x)

    def sep_detection() -> int:
        """SEP's detection alone."""
        return len(extract(sky.image, DETECT_THRESH, err=noise))

    methods: dict[str, Callable[[], int]] = {
        "npecat catalog": npecat,
        "SEP as scored": sep_as_scored,
        "SEP, detection only": sep_detection,
    }
    npecat()
    memory = peak_memory()  # before SEP takes any
    times: dict[str, list[float]] = {name: [] for name in methods}
    found = {}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            found[name] = method()
            times[name].append(time.perf_counter() - start)
    height, width = sky.image.shape
    click.echo(f"{sky.name}: {height} x {width} pixels, {torch.get_num_threads()} threads")
    own = float(np.median(times["npecat catalog"]))
    for name, taken in times.items():
        seconds = float(np.median(taken))
        click.echo(
            f"{name:<20}{seconds:8.2f} s{found[name]:8,} sources, npecat takes "
            f"{own / seconds:.2f} times as long"
        )
    click.echo(f"peak memory of npecat, image and program included: {memory / 1e9:.2f} GB")


if __name__ == "__main__":
    main(bench_catalog)
