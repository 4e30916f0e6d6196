"""Add simulated sources to a real image, as if the telescope had recorded them."""

from dataclasses import replace

import numpy as np

from npecat_sim.errors import NpecatError
from npecat_sim.model.prior import GALAXY_ONLY, CatalogPrior
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.light import light_of
from npecat_sim.units import flux_of_magnitude

CELL = 64
"""Pixels along each side of a cell, in whose middle half one source is put, so that two are at
least 32 pixels apart; see docs/log.md, injected sources."""

MAGNITUDES = (16.0, 23.0)
"""Minimum and maximum of the uniform distribution of magnitudes: stars of r < 16 are close to the
saturation of SDSS at r = 14, and the prior ends at 23."""

SPLIT = "test"
"""Split of the random streams; the number of the round takes the place of the image index."""

HIDDEN = PixelFlag.NO_DATA | PixelFlag.SATURATED
"""No source is put on a pixel with one of these flags, where it could not be seen."""


def draw_injection(
    image: SurveyImage, prior: CatalogPrior, *, seed: int, round_number: int
) -> dict[str, np.ndarray]:
    """Draw sources to add to an image, half of them galaxies.

    Parameters
    ----------
    image : SurveyImage
        The image; its size and flags determine where sources are put.
    prior : CatalogPrior
        The prior over the shapes of galaxies.
    seed : int
        Seed of all random numbers.
    round_number : int
        Number of the round; each round has its own random stream.

    Returns
    -------
    dict of str to ndarray
        The columns of catalog.COLUMNS without snr, each (source,), in the units given there.

    Raises
    ------
    NpecatError
        If the image has no place for a source, or the seed is negative.
    """
    generator = stream(seed, SPLIT, index=round_number, purpose=Purpose.INJECTION)
    height, width = image.image.shape
    if min(height, width) < CELL:
        raise NpecatError(
            f"{image.name}: {width} x {height} pixels are too few to inject sources; give at "
            f"least {CELL} x {CELL}"
        )
    first_rows = np.arange(0, height - CELL + 1, CELL)
    first_columns = np.arange(0, width - CELL + 1, CELL)
    top, left = np.meshgrid(first_rows, first_columns, indexing="ij")
    n = top.size
    shift_y, shift_x = generator.integers(0, [height % CELL + 1, width % CELL + 1])
    place_y, place_x = CELL * generator.uniform(0.25, 0.75, (2, n)) - 0.5
    y = top.ravel() + shift_y + place_y
    x = left.ravel() + shift_x + place_x
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
    image: SurveyImage, sources: dict[str, np.ndarray], *, seed: int, round_number: int
) -> SurveyImage:
    """Add sources to an image, with the PSF of the image and the photon noise of the sources.

    Parameters
    ----------
    image : SurveyImage
        The image; it is not changed.
    sources : dict of str to ndarray
        Columns as draw_injection returns them, each (source,).
    seed : int
        Seed of the noise.
    round_number : int
        Number of the round; each round has its own random stream.

    Returns
    -------
    SurveyImage
        The image with the sources. Flags are the same, and a pixel without data is still 0.

    Notes
    -----
    The image already holds the noise of sky and detector. In electrons, the sum of that noise,
    Normal(0, rate of the image), and of Normal(0, light of the sources) has the distribution that
    noise.observe would draw for both together.
    """
    light = light_of(sources, image)
    generator = stream(seed, SPLIT, index=round_number, purpose=Purpose.INJECTION_NOISE)
    noise = generator.standard_normal(light.shape, dtype=np.float32)
    light = np.maximum(light, 0)  # the renderer errs by 1e-3 sky sigma, in both directions
    light += noise * np.sqrt(light / np.float32(image.electrons_per_nmgy))
    light[image.flags & int(PixelFlag.NO_DATA) != 0] = 0
    return replace(image, image=image.image + light)
