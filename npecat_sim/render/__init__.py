"""From sources and a PSF to pixels, with noise; it imports model.

RENDERERS has the renderers by name.
"""

from typing import Protocol

import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.units import PIXEL_SCALE


class Renderer(Protocol):
    """A function that draws sources, as compiled.draw_sources."""

    def __call__(
        self,
        sources: dict[str, np.ndarray],
        psf: Psf,
        size: int,
        sky_sigma: float,
        pixel_scale: float = PIXEL_SCALE,
    ) -> np.ndarray:
        """Draw each source alone, convolved with the PSF, without noise.

        Parameters
        ----------
        sources : dict of str to ndarray
            Columns of catalog.COLUMNS, each (source,); ``snr`` is not used.
        psf : Psf
            The PSF.
        size : int
            Pixels along each side of an image.
        sky_sigma : float
            Standard deviation of the empty sky, nanomaggies per pixel, on which the accuracy may
            depend.
        pixel_scale : float, optional
            Arcsec per pixel; the radii of galaxies are in arcsec.

        Returns
        -------
        ndarray
            float32 (source, y, x), nanomaggies per pixel.
        """


def _compiled(
    sources: dict[str, np.ndarray],
    psf: Psf,
    size: int,
    sky_sigma: float,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """The compiled renderer, imported when first needed."""
    from npecat_sim.render.compiled import draw_sources

    return draw_sources(sources, psf, size, sky_sigma, pixel_scale)


def _galsim(
    sources: dict[str, np.ndarray],
    psf: Psf,
    size: int,
    sky_sigma: float,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """GalSim, imported when first needed."""
    from npecat_sim.render.galsim_renderer import draw_sources

    return draw_sources(sources, psf, size, pixel_scale=pixel_scale)


RENDERERS: dict[str, Renderer] = {"compiled": _compiled, "galsim": _galsim}
"""GalSim is the reference; the compiled renderer equals it within 0.01 sky sigma."""

DEFAULT_RENDERER = "compiled"
"""The renderer where the user names none."""
