"""From sources and a PSF to pixels, with noise; it imports model.

RENDERERS has the renderers by name.
"""

from collections.abc import Callable

import numpy as np

from npecat_sim.psf.base import Psf

Renderer = Callable[[dict[str, np.ndarray], Psf, int, float], np.ndarray]
"""A function that draws sources, as compiled.draw_sources.

Its arguments are the columns of the sources, the PSF, the pixels along each side of an image, and
the standard deviation of the empty sky, nanomaggies per pixel, on which the accuracy may depend.
It returns float32 (source, y, x), nanomaggies per pixel.
"""


def _compiled(sources: dict[str, np.ndarray], psf: Psf, size: int, sky_sigma: float) -> np.ndarray:
    """The compiled renderer, imported when first needed."""
    from npecat_sim.render.compiled import draw_sources

    return draw_sources(sources, psf, size, sky_sigma)


def _galsim(sources: dict[str, np.ndarray], psf: Psf, size: int, sky_sigma: float) -> np.ndarray:
    """GalSim, imported when first needed."""
    from npecat_sim.render.galsim_renderer import draw_sources

    return draw_sources(sources, psf, size)


RENDERERS: dict[str, Renderer] = {"compiled": _compiled, "galsim": _galsim}
"""GalSim is the reference; the compiled renderer equals it within 0.01 sky sigma."""

DEFAULT_RENDERER = "compiled"
"""The renderer where the user names none."""
