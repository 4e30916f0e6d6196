"""Noiseless images of sources with GalSim: the reference for every other renderer.

Galaxies are an exponential disk and a de Vaucouleurs bulge at a common angle, sheared at
constant area (so a profile's circularised half-light radius is a sqrt(q)) and convolved with
the PSF. Stars are the PSF itself at the pixel centres.

GalSim convolves samples only up to about pi / step, where their transform begins to repeat itself
and the kernel lets some of it through. So galaxies under a sampled PSF of less than 3 samples FWHM
differ a little from the compiled renderer, which leaves out nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import galsim
import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.units import PIXEL_SCALE

FAST = galsim.GSParams(folding_threshold=0.2, maxk_threshold=1e-3)
"""Errors below 0.01 sky sigma in 99 % of images; see ``python -m npecat.benchmarks.render``."""

EXACT = galsim.GSParams(
    folding_threshold=1e-3, maxk_threshold=1e-6, kvalue_accuracy=1e-7, maximum_fft_size=16384
)
"""For comparisons: errors below 1e-5 sky sigma, about a hundred times slower."""

STAR_MAXK = 1e-5
"""maxk_threshold of a star that must be drawn by an FFT; with that of FAST a star of 1,000
nanomaggies errs by 0.5 sky sigma."""

LARGEST_KEPT = 520
"""Rows of the largest PSF transform that is kept for the next galaxy: FAST needs 129 to 513."""


@contextmanager
def _refusing_large_ffts() -> Iterator[None]:
    """Make GalSim raise an error where it would only warn: 16,384 pixels need 6 GB of memory."""
    before = galsim.errors.raise_fft_size_error
    galsim.errors.raise_fft_size_error = True
    try:
        yield
    finally:
        galsim.errors.raise_fft_size_error = before


def galaxy_profile(
    source: dict[str, float], gsparams: galsim.GSParams, pixel_scale: float = PIXEL_SCALE
) -> galsim.GSObject:
    """A galaxy before the PSF as a GalSim profile in pixel units.

    Parameters
    ----------
    source : dict of str to float
        The columns of catalog.COLUMNS for one galaxy.
    gsparams : galsim.GSParams
        Accuracy, such as FAST or EXACT.
    pixel_scale : float, optional
        Arcsec per pixel; the radii of galaxies are in arcsec.

    Returns
    -------
    galsim.GSObject
        The profile, centred on the origin.
    """
    parts = []
    for part, kind, share in (
        ("disk", galsim.Exponential, source["disk_fraction"]),
        ("bulge", galsim.DeVaucouleurs, 1 - source["disk_fraction"]),
    ):
        ratio = source[f"{part}_axis_ratio"]
        radius = source[f"{part}_half_light_radius"] / pixel_scale * np.sqrt(ratio)
        round_part = kind(half_light_radius=radius, flux=source["flux"] * share)
        parts.append(round_part.shear(q=ratio, beta=source["angle"] * galsim.radians))
    return galsim.Sum(parts, gsparams=gsparams)


@lru_cache(maxsize=1024)  # 0.1 MB each, a few for each PSF
def _psf_transform(
    psf: Psf, gsparams: galsim.GSParams, bounds: galsim.BoundsI, step: float
) -> np.ndarray:
    """The PSF on a grid of wavenumbers ``step`` radians per pixel apart: (ky, kx).

    It is complex64, or float32 if the PSF is even.
    """
    grid = galsim.ImageCF(bounds, scale=step)
    psf.galsim_profile(gsparams)._drawKImage(grid)
    is_even = not grid.array.imag.any()
    transform: np.ndarray = grid.array.real.copy() if is_even else grid.array.copy()
    return transform


def _draw_galaxy(
    galaxy: galsim.GSObject,
    psf: Psf,
    image: galsim.Image,
    gsparams: galsim.GSParams,
) -> None:
    """Do what drawImage does with a galaxy and the PSF, but keep the PSF's transform.

    The transform of the wing, a Bessel function, takes longer than all the rest.
    """
    point = psf.galsim_profile(gsparams)
    both = galsim.Convolve(galaxy, point, gsparams=gsparams, propagate_gsparams=False)
    grid, wrap_size = both.drawFFT_makeKImage(image)
    galaxy._drawKImage(grid)
    kept = len(grid.array) <= LARGEST_KEPT
    psf_transform = _psf_transform if kept else _psf_transform.__wrapped__
    grid.array[:] *= psf_transform(psf, gsparams, grid.bounds, grid.scale)
    both.drawFFT_finish(image, grid, wrap_size, add_to_image=False)


def _draw_star(
    psf: Psf,
    image: galsim.Image,
    flux: float,
    offset: tuple[float, float],
    gsparams: galsim.GSParams,
) -> None:
    """Draw the PSF itself: exactly where GalSim can, or else by an FFT."""
    star = psf.galsim_profile(gsparams)
    if star.is_analytic_x:
        (star * flux).shift(offset).drawReal(image)
    else:
        threshold = min(gsparams.maxk_threshold, STAR_MAXK)
        star = psf.galsim_profile(gsparams.withParams(maxk_threshold=threshold))
        (star * flux).shift(offset).drawFFT(image)


def draw_sources(
    sources: dict[str, np.ndarray],
    psf: Psf,
    size: int,
    gsparams: galsim.GSParams = FAST,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """Draw each source alone, convolved with the PSF, without noise.

    Parameters
    ----------
    sources : dict of str to ndarray
        Columns of catalog.COLUMNS, each (source,).
    psf : Psf
        The PSF.
    size : int
        Pixels along each side of an image.
    gsparams : galsim.GSParams, optional
        Accuracy, such as FAST or EXACT.
    pixel_scale : float, optional
        Arcsec per pixel; the radii of galaxies are in arcsec.

    Returns
    -------
    ndarray
        float32 (source, y, x), nanomaggies per pixel.

    Raises
    ------
    galsim.GalSimFFTSizeError
        If a profile needs a larger FFT than ``gsparams`` allow.
    """
    images = np.zeros((len(sources["x"]), size, size), dtype=np.float32)
    with _refusing_large_ffts():
        for row, pixels in enumerate(images):
            source = {name: float(column[row]) for name, column in sources.items()}
            image = galsim.Image(pixels, scale=1.0)
            image.setCenter(0, 0)  # the pixel (size // 2, size // 2)
            offset = (source["x"] - size // 2, source["y"] - size // 2)
            if source["is_galaxy"]:
                galaxy = galaxy_profile(source, gsparams, pixel_scale).shift(offset)
                _draw_galaxy(galaxy, psf, image, gsparams)
            else:
                _draw_star(psf, image, source["flux"], offset, gsparams)
    return images
