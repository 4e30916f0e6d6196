"""Speed and accuracy of the compiled renderer with PSFs of every kind.

``python -m npecat.benchmarks.render --kinds 30`` prints them. Each image has a PSF of its own, with
FWHM 1.5 to 7 px and ellipticity up to 0.15, and a pixel scale of 0.15 to 1.2 arcsec.

The reference is GalSim at galsim_renderer.EXACT. By itself GalSim leaves out of a galaxy what the
kernel between samples has beyond pi / step. Here it is made to go to three times the period of the
samples' transform, except for large galaxies, which have nothing there.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import galsim
import numpy as np

from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR
from npecat_sim.psf.base import Psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf, kernel
from npecat_sim.render import compiled, galsim_renderer
from npecat_sim.render.psf_models import psf_model
from npecat_sim.simulation.simulate import simulate_images
from npecat_sim.units import PIXEL_SCALE

WIDTHS = (1.5, 7.0)
"""Pixels: the range of the FWHM."""

MAX_ELLIPTICITY = 0.15
"""Of the parametric PSFs."""

PIXEL_SCALES = (0.15, 1.2)
"""Arcsec: the range of the pixel scale."""

SKY_SIGMA = 0.03
"""Nanomaggies per pixel, as of prior one."""

PERIODS = 3
"""Periods of the samples' transform, 2 pi / step, to which the reference goes."""

LARGE_FFT = 4096
"""Pixels a side of the largest FFT with which it goes so far."""

Sources = dict[str, np.ndarray]
"""Columns of a catalog, each (source,)."""


def parametric(profile: str, generator: np.random.Generator, *, beta: float = 3.0) -> Psf:
    """A PSF of a random width and ellipticity, see ParametricPsf."""
    size = MAX_ELLIPTICITY * generator.random()
    angle = 2 * np.pi * generator.random()
    width = generator.uniform(*WIDTHS)
    return ParametricPsf(profile, width, size * np.cos(angle), size * np.sin(angle), beta)


def aberrated(
    side: int, generator: np.random.Generator, *, step: float, interpolant: str = "lanczos3"
) -> Psf:
    """Samples of turbulence with optics that have defocus, coma and trefoil: it is not even."""
    width = generator.uniform(*WIDTHS)
    coma1, coma2, trefoil, defocus = generator.normal(0, 0.05, size=4)
    profile = galsim.Convolve(
        galsim.Kolmogorov(fwhm=0.95 * width),
        galsim.OpticalPSF(
            lam_over_diam=0.35 * width,
            obscuration=0.3,
            coma1=coma1,
            coma2=coma2,
            trefoil1=trefoil,
            defocus=defocus,
        ),
        galsim.Pixel(1.0),
    )
    image = profile.drawImage(nx=side, ny=side, scale=step, method="no_pixel", dtype=float)
    return SampledPsf(image.array, step, interpolant)


KINDS: dict[str, Callable[[np.random.Generator], Psf]] = {
    "six numbers": lambda generator: SINGLE_FIELD.psf_of(0),
    "Gaussian": partial(parametric, "gaussian"),
    "Moffat 2.0": partial(parametric, "moffat", beta=2.0),
    "Moffat 2.5": partial(parametric, "moffat", beta=2.5),
    "Moffat 4.5": partial(parametric, "moffat", beta=4.5),
    "Kolmogorov": partial(parametric, "kolmogorov"),
    "stamp, lanczos3": partial(aberrated, 51, step=1.0),
    "stamp, quintic": partial(aberrated, 51, step=1.0, interpolant="quintic"),
    "half steps, lanczos3": partial(aberrated, 101, step=0.5),
}
"""Name of each kind -> how to draw one."""


class WholePsf(SampledPsf):
    """A sampled PSF of which GalSim draws all that matters."""

    def galsim_profile(self, gsparams: galsim.GSParams) -> galsim.GSObject:
        """The PSF as a GalSim profile in pixel units, see Psf.galsim_profile."""
        return galsim.InterpolatedImage(
            galsim.Image(np.ascontiguousarray(self.samples), scale=self.step),
            x_interpolant=kernel(self.interpolant),
            flux=1.0,
            gsparams=gsparams,
            _force_maxk=2 * np.pi * PERIODS / self.step,
        )


def exact(sources: Sources, psf: Psf, pixel_scale: float) -> np.ndarray:
    """Draw sources as exactly as GalSim can.

    Parameters
    ----------
    sources : dict of str to ndarray
        Columns of a catalog, each (source,).
    psf : Psf
        Of the image.
    pixel_scale : float
        Arcsec per pixel.

    Returns
    -------
    ndarray
        float32 (source, y, x), nanomaggies per pixel.
    """
    draw = partial(galsim_renderer.draw_sources, size=IMAGE_SIZE, pixel_scale=pixel_scale)
    if not isinstance(psf, SampledPsf):
        return draw(sources, psf, gsparams=galsim_renderer.EXACT)
    whole = WholePsf(psf.samples, psf.step, psf.interpolant)
    limited = galsim_renderer.EXACT.withParams(maximum_fft_size=LARGE_FFT)
    images = []
    for row in range(len(sources["x"])):
        one = {name: column[row : row + 1] for name, column in sources.items()}
        try:
            images.append(draw(one, whole, gsparams=limited))
        except galsim.GalSimFFTSizeError:
            images.append(draw(one, psf, gsparams=galsim_renderer.EXACT))
    return np.concatenate([np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.float32), *images])


def errors_of(kind: str, seed: int, *, n_images: int) -> np.ndarray:
    """Compare images of the compiled renderer with exact ones.

    Parameters
    ----------
    kind : str
        A key of KINDS.
    seed : int
        Of the images.
    n_images : int
        Number of images.

    Returns
    -------
    ndarray
        float64 (image,), the largest error of a pixel, in sky sigmas.
    """
    generator = np.random.default_rng(seed)
    catalog = PAPER_PRIOR.draw(seed, "test", indices=range(n_images))
    errors = np.empty(n_images)
    for image in range(n_images):
        sources, psf = catalog.sources(image), KINDS[kind](generator)
        is_six = kind == next(iter(KINDS))
        scale = PIXEL_SCALE if is_six else np.exp(generator.uniform(*np.log(PIXEL_SCALES)))
        drawn = compiled.draw_sources(sources, psf, IMAGE_SIZE, SKY_SIGMA, scale)
        difference = (drawn - exact(sources, psf, scale)).sum(axis=0)
        errors[image] = np.abs(difference).max() / SKY_SIGMA
    return errors


def speeds(seed: int, *, n_images: int, n_rounds: int) -> dict[str, float]:
    """Images a second of each kind, of the median round, on one core.

    Every image but those of six numbers has a PSF that the renderer has not met. The kinds take
    turns within each round.

    Parameters
    ----------
    seed : int
        Of the images.
    n_images : int
        Images of a round.
    n_rounds : int
        Rounds; another one before them is not timed.

    Returns
    -------
    dict of str to float
        Kind -> images per second of CPU time: catalog, rendering, sky and noise.
    """
    generator = np.random.default_rng(seed)
    psfs = {kind: [make(generator) for _ in range(n_images)] for kind, make in KINDS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(n_rounds + 1):
        psf_model.cache_clear()
        for name, of_kind in psfs.items():
            draw = partial(_draw_with_next, iter(of_kind))
            start = time.process_time()
            simulate_images(SINGLE_FIELD, seed, split="test", indices=range(n_images), draw=draw)
            seconds[name].append(time.process_time() - start)
    return {name: n_images / float(np.median(times[1:])) for name, times in seconds.items()}


def _draw_with_next(
    psfs: Iterator[Psf],
    sources: Sources,
    psf: Psf,
    size: int,
    sky_sigma: float,
    pixel_scale: float = PIXEL_SCALE,
) -> np.ndarray:
    """Draw with the next of ``psfs`` in place of ``psf``."""
    return compiled.draw_sources(sources, next(psfs), size, sky_sigma, pixel_scale)
