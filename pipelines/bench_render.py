"""Speed and accuracy of the renderers: ``python -m npecat.bench_render --accuracy 100``.

Each renderer draws the same catalogs of prior ``one``, image by image on one thread; the
renderers take turns within every round, so that a busy machine slows all of them alike.
Accuracy is the largest pixel error of a whole image against GalSim at render.EXACT.
"""

import time
from collections.abc import Callable

import click
import galsim
import numpy as np

from npecat_sim import compiled, render
from npecat_sim.field import SINGLE_FIELD
from npecat_sim.prior import IMAGE_SIZE, CatalogPrior
from npecat_sim.units import PIXEL_SCALE

PSF = SINGLE_FIELD.psf[0]
SKY_SIGMA = np.sqrt(SINGLE_FIELD.sky * PIXEL_SCALE**2 / SINGLE_FIELD.electrons_per_nmgy)[0]
STAMP_SIZE = 25
PERCENTILES = (50, 90, 99, 99.9, 100)

Sources = dict[str, np.ndarray]
Renderer = Callable[[Sources], np.ndarray]


def draw_plain(sources: Sources) -> np.ndarray:
    """The usual way: a PSF stamp, GalSim's default accuracy, one draw a source."""
    stamp = galsim.Image(STAMP_SIZE, STAMP_SIZE, scale=1.0)
    render.psf_profile(PSF, galsim.GSParams()).drawImage(stamp, method="no_pixel")
    point = galsim.InterpolatedImage(stamp)
    images = np.zeros((len(sources["x"]), IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    centre = (IMAGE_SIZE - 1) / 2
    for row, pixels in enumerate(images):
        source = {name: float(column[row]) for name, column in sources.items()}
        if source["is_galaxy"]:
            profile = galsim.Convolve(render.galaxy_profile(source, galsim.GSParams()), point)
        else:
            profile = point * source["flux"]
        offset = (source["x"] - centre, source["y"] - centre)
        image = galsim.Image(pixels, scale=1.0)
        profile.drawImage(image, method="no_pixel", offset=offset)
    return images


RENDERERS: dict[str, Renderer] = {
    "plain GalSim": draw_plain,
    "render": lambda sources: render.draw_sources(sources, PSF, IMAGE_SIZE),
    "compiled": lambda sources: compiled.draw_sources(sources, PSF, IMAGE_SIZE, SKY_SIGMA),
}


def seconds_per_image(catalogs: list[Sources], n_rounds: int) -> dict[str, float]:
    """Renderer -> median over the rounds; the first, untimed image compiles and fills caches."""
    seconds: dict[str, list[float]] = {name: [] for name in RENDERERS}
    for draw in RENDERERS.values():
        draw(catalogs[0])
    for _ in range(n_rounds):
        for name, draw in RENDERERS.items():
            start = time.perf_counter()
            for sources in catalogs:
                draw(sources)
            seconds[name].append((time.perf_counter() - start) / len(catalogs))
    return {name: float(np.median(values)) for name, values in seconds.items()}


def largest_errors(catalogs: list[Sources]) -> dict[str, np.ndarray]:
    """Renderer -> float64 (image,): largest pixel error of each image in sky sigma."""
    errors = {name: np.zeros(len(catalogs)) for name in RENDERERS}
    for row, sources in enumerate(catalogs):
        exact = render.draw_sources(sources, PSF, IMAGE_SIZE, render.EXACT).sum(axis=0)
        for name, draw in RENDERERS.items():
            errors[name][row] = np.abs(draw(sources).sum(axis=0) - exact).max() / SKY_SIGMA
    return errors


@click.command(context_settings={"show_default": True})
@click.option("--images", default=100, help="Images that each renderer draws in a round.")
@click.option("--rounds", default=5, help="Rounds; the speed is that of the median round.")
@click.option("--accuracy", default=0, help="Images to compare with GalSim's exact ones.")
@click.option("--seed", default=0, help="Of the catalogs.")
def bench_render(images: int, rounds: int, accuracy: int, seed: int) -> None:
    """Measure how fast and how exact the renderers are."""
    catalog = CatalogPrior().draw(seed, "test", range(max(images, accuracy)))
    catalogs = [catalog.sources(row) for row in range(len(catalog.count))]
    seconds = seconds_per_image(catalogs[:images], rounds)
    print(f"{'renderer':<14}{'images/s':>10}{'ratio':>8}")
    for name, value in seconds.items():
        print(f"{name:<14}{1 / value:>10.0f}{seconds['plain GalSim'] / value:>8.1f}")
    if accuracy:
        print("\nlargest error of an image in sky sigma, percentiles")
        print(f"{'renderer':<14}" + "".join(f"{percentile:>10}" for percentile in PERCENTILES))
        for name, errors in largest_errors(catalogs[:accuracy]).items():
            values = np.percentile(errors, PERCENTILES)
            print(f"{name:<14}" + "".join(f"{value:>10.4f}" for value in values))


if __name__ == "__main__":
    bench_render()
