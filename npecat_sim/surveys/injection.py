"""Simulated sources added to a real image, as if the telescope had recorded them too."""

from dataclasses import replace

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.model.prior import GALAXY_ONLY, CatalogPrior
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.render.stamps import draw_field
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.units import flux_of_magnitude

CELL = 64
"""Pixels: one source in the middle half of each cell, so none within 32 pixels of another. That
adds 2.4e-4 sources a pixel, about as many as SDSS lists, and both together stay below the prior's
6.25e-4."""

MAGNITUDES = (16.0, 23.0)
"""Magnitudes are uniform between these: stars of r < 16 come near SDSS's saturation at r = 14,
and the prior ends at 23."""

SPLIT = "test"
"""Of the streams, with the round as the image."""

HIDDEN = PixelFlag.NO_DATA | PixelFlag.SATURATED
"""Sources are put nowhere where the image shows nothing."""


def draw_injection(
    image: SurveyImage, prior: CatalogPrior, seed: int, round_number: int
) -> dict[str, np.ndarray]:
    """Sources to add: columns of catalog.COLUMNS without snr, each (source,).

    Half of them are galaxies, whose shapes are the prior's. Each round has its own stream.
    Raises NpecatError where the image has no place for any, or the seed is negative.
    """
    generator = stream(seed, SPLIT, round_number, Purpose.INJECTION)
    height, width = image.image.shape
    if min(height, width) < CELL:
        raise NpecatError(
            f"{image.name}: {width} x {height} pixels are too few to inject sources; give at "
            f"least {CELL} x {CELL}"
        )
    top, left = np.meshgrid(
        *(np.arange(0, length - CELL + 1, CELL) for length in (height, width)), indexing="ij"
    )
    n = top.size
    shift = generator.integers(0, [height % CELL + 1, width % CELL + 1])
    jitter = CELL * generator.uniform(0.25, 0.75, (2, n)) - 0.5
    y, x = top.ravel() + shift[0] + jitter[0], left.ravel() + shift[1] + jitter[1]
    is_galaxy = generator.permutation(n) % 2 == 1
    flux = flux_of_magnitude(generator.uniform(*MAGNITUDES, n))
    shape = prior.shapes(generator.random((len(GALAXY_ONLY), n)))
    shape = {name: np.where(is_galaxy, values, np.nan) for name, values in shape.items()}
    sources = {"x": x, "y": y, "is_galaxy": is_galaxy, "flux": flux, **shape}
    visible = image.flags[np.rint(y).astype(int), np.rint(x).astype(int)] & HIDDEN == 0
    if not visible.any():
        raise NpecatError(f"{image.name}: no place to inject a source; all pixels are flagged")
    return {name: column[visible] for name, column in sources.items()}


def inject(
    image: SurveyImage, sources: dict[str, np.ndarray], seed: int, round_number: int
) -> SurveyImage:
    """The image with the sources in it, under its own PSF and with their own photon noise.

    Sky and detector made their noise already: the sum of Normal(0, rate) of the image as it is
    and of Normal(0, light of the sources), in electrons, is what noise.observe would draw for
    both together. Flags stay; a pixel without data stays 0.
    """
    light = draw_field(sources, image.psf, image.image.shape, image.sky_sigma)
    generator = stream(seed, SPLIT, round_number, Purpose.INJECTION_NOISE)
    noise = generator.standard_normal(light.shape, dtype=np.float32)
    light = np.maximum(light, 0)  # the renderer errs by 1e-3 sky sigma, to either side
    light += noise * np.sqrt(light / np.float32(image.electrons_per_nmgy))
    light[image.flags & PixelFlag.NO_DATA != 0] = 0
    return replace(image, image=image.image + light)
