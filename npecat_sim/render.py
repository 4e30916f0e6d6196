"""Noiseless images of sources with GalSim: the reference for every other renderer.

Galaxies are an exponential disk and a de Vaucouleurs bulge at a common angle, sheared at
constant area (so a profile's circularised half-light radius is a sqrt(q)) and convolved with
the analytic PSF; stars are the PSF itself, evaluated at the pixel centres.
"""

import galsim
import numpy as np

from npecat_sim import psf
from npecat_sim.units import PIXEL_SCALE

FAST = galsim.GSParams(folding_threshold=0.2, maxk_threshold=1e-3)
"""Errors below 0.02 sky sigma in 99 % of images (pipelines/bench_render.py measures them)."""

EXACT = galsim.GSParams(
    folding_threshold=1e-3, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=32768
)
"""For comparisons: errors below 0.001 sky sigma, about a hundred times slower."""


def psf_profile(parameters: np.ndarray, gsparams: galsim.GSParams) -> galsim.GSObject:
    """The PSF as a GalSim profile in pixel units; unit flux within psf.CALIBRATION_RADIUS."""
    sigma1, sigma2, sigmap, beta, _, _ = parameters
    core, second, wing = psf.component_fluxes(parameters)
    return galsim.Sum(
        galsim.Gaussian(sigma=sigma1, flux=core),
        galsim.Gaussian(sigma=sigma2, flux=second),
        galsim.Moffat(beta=beta / 2, scale_radius=np.sqrt(beta) * sigmap, flux=wing),
        gsparams=gsparams,
    )


def galaxy_profile(source: dict[str, float], gsparams: galsim.GSParams) -> galsim.GSObject:
    """One galaxy before the PSF, in pixel units, with the columns of catalog.COLUMNS."""
    parts = []
    for part, kind, share in (
        ("disk", galsim.Exponential, source["disk_fraction"]),
        ("bulge", galsim.DeVaucouleurs, 1 - source["disk_fraction"]),
    ):
        ratio = source[f"{part}_axis_ratio"]
        radius = source[f"{part}_half_light_radius"] / PIXEL_SCALE * np.sqrt(ratio)
        round_part = kind(half_light_radius=radius, flux=source["flux"] * share)
        parts.append(round_part.shear(q=ratio, beta=source["angle"] * galsim.radians))
    return galsim.Sum(parts, gsparams=gsparams)


def draw_sources(
    sources: dict[str, np.ndarray],
    psf_parameters: np.ndarray,
    size: int,
    gsparams: galsim.GSParams = FAST,
) -> np.ndarray:
    """float32 (source, size, size), nanomaggies: each source alone, convolved with the PSF.

    sources: columns of catalog.COLUMNS, each (source,). psf_parameters: (6,).
    Raises galsim.GalSimFFTSizeError where a profile needs a larger FFT than gsparams allow.
    """
    point = psf_profile(np.asarray(psf_parameters, dtype=np.float64), gsparams)
    count = len(sources["x"])
    images = np.zeros((count, size, size), dtype=np.float32)
    centre = (size - 1) / 2
    for row in range(count):
        source = {name: float(column[row]) for name, column in sources.items()}
        if source["is_galaxy"]:
            profile = galsim.Convolve(galaxy_profile(source, gsparams), point, gsparams=gsparams)
        else:
            profile = point * source["flux"]
        shifted = profile.shift(source["x"] - centre, source["y"] - centre)
        shifted.drawImage(galsim.Image(images[row], scale=1.0), method="no_pixel")
    return images
