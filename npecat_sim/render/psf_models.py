"""PSFs of every kind in the form in which compiled.py draws them.

A model has what the sums over wavenumbers need: the transform, how far the light reaches, and how
much of the transform lies beyond a wavenumber. Lengths are in pixels, k in radians per pixel.
"""

import math
from functools import cache, lru_cache, singledispatch
from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len, rfft2

from npecat_sim.psf.base import SIGMA_TO_FWHM, Psf
from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.sampled import kernel as galsim_kernel
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.render.profiles import Table, moffat_transform

ROUND, SHEARED, SAMPLED = range(3)
"""Kinds of PsfModel: six numbers; a sheared profile over pixels; samples with a kernel."""

FLOOR = 1e-9
"""Smaller PSF transforms are set to zero: 1e-4 sky sigma for a source of 3,000 nanomaggies."""

ROUND_NODES = 4096
"""Nodes of the table of six numbers; linear interpolation errs by 2e-6, and by 1e-5 at the cusp at
k = 0."""

SHEARED_NODES = 16384
"""Nodes of the table of another radial profile, which stars are drawn with too; linear
interpolation errs by 2e-7."""

TAIL_NODES = 512
"""Nodes of PsfModel.tail for other PSFs than six numbers."""

PIXEL_SIGMA = 12**-0.5
"""Standard deviation of a pixel's response along one axis, pixels."""

MAX_BETA = 100.0
"""A Moffat profile with a larger exponent is drawn with this one: both are nearly a Gaussian, and
the Bessel function overflows."""

KOLMOGOROV_SCALE = 0.34238360388431444
"""The transform of a Kolmogorov profile of unit FWHM is exp(-(KOLMOGOROV_SCALE k)^(5/3)); measured
on galsim.Kolmogorov."""

KOLMOGOROV_WING = (0.52, 0.0370, 0.3)
"""Bound on a Kolmogorov profile of unit FWHM: the larger of its centre times a Gaussian with this
sigma and of a (r^2 + b^2)^(-11/6), given as sigma, a and b. The true wing falls as
0.0238 r^(-11/3)."""

KOLMOGOROV_CENTRE = 0.7479
"""Value at r = 0 of a Kolmogorov profile of unit FWHM and flux."""


KERNEL_REACH = 3
"""Samples to each side over which the kernels of sampled.INTERPOLANTS reach."""

KERNEL_NODES = 4096
"""Nodes of a kernel's table per sample; linear interpolation errs by 1e-7."""

KERNEL_TRANSFORM_NODES = 1024
"""Nodes of its transform's table per unit of k; linear interpolation errs by 2e-7."""


class Samples(NamedTuple):
    """A sampled PSF.

    Parameters
    ----------
    shares : ndarray
        float32 (row, column), share of the flux in each sample; the star is in the middle.
    folded : ndarray
        float32 (4, column, row) of the quadrant right of and above the star: the parts of
        ``shares`` that are even in x and y, even in x and odd in y, odd and even, odd and odd,
        with the samples of all quadrants added up.
    step : float
        Pixels between samples.
    envelope : ndarray
        float64 (ring,), bound on the flux per square pixel at ring * step and beyond.
    kernel : Table
        The kernel as a function of the distance in samples.
    kernel_transform : Table
        Its transform as a function of k, radians per sample.
    """

    shares: np.ndarray
    folded: np.ndarray
    step: float
    envelope: np.ndarray
    kernel: Table
    kernel_transform: Table


_EMPTY = Table(np.zeros(0, dtype=np.float32), 1.0)

NO_SAMPLES = Samples(
    shares=np.zeros((0, 0), dtype=np.float32),
    folded=np.zeros((0, 0, 0), dtype=np.float32),
    step=1.0,
    envelope=np.zeros(0),
    kernel=_EMPTY,
    kernel_transform=_EMPTY,
)
"""Of a PSF that has none."""


class PsfModel(NamedTuple):
    """A PSF as compiled.py draws it.

    Parameters
    ----------
    kind : int
        ROUND, SHEARED or SAMPLED.
    centre : ndarray
        float64 (3,), value at r = 0 of two Gaussians and a wing. Together they are the PSF if it is
        ROUND; if it is SHEARED, the larger one bounds the profile.
    sigma : ndarray
        float64 (2,), standard deviations of both Gaussians; the first is that of the core for
        every kind.
    wing_radius, wing_exponent : float
        The wing falls as (1 + (r / wing_radius)^2)^-wing_exponent.
    stretch : ndarray
        float64 (2,), half widths along x and y of the isophote that is a circle of radius 1 in the
        round profile.
    half_pixel : float
        Half of the pixel that the profile has not met yet: 0.5 if SHEARED, else 0.
    transform : Table
        Of the round profile as a function of its k; not of samples.
    form : ndarray
        float64 (3,): that k is the root of form[0] kx^2 + 2 form[1] kx ky + form[2] ky^2.
    tail : ndarray
        float64 (2, node): bounds on the integral of the transform's modulus, d^2k / (2 pi)^2, over
        all kx, or ky, that are farther from 0 than node / tail_density.
    tail_density : float
        Nodes of it per unit of k.
    samples : Samples
        NO_SAMPLES unless SAMPLED.
    """

    kind: int
    centre: np.ndarray
    sigma: np.ndarray
    wing_radius: float
    wing_exponent: float
    stretch: np.ndarray
    half_pixel: float
    transform: Table
    form: np.ndarray
    tail: np.ndarray
    tail_density: float
    samples: Samples = NO_SAMPLES


@lru_cache(maxsize=2048)  # 100 KB and 1 ms each: enough for all fields of a large import
def psf_model(psf: Psf) -> PsfModel:
    """The PSF as compiled.py needs it, kept for the next call."""
    return _model(psf)


@singledispatch
def _model(psf: Psf) -> PsfModel:
    raise TypeError(f"no model of {type(psf).__name__}")


@_model.register
def _round_model(psf: SixNumberPsf) -> PsfModel:
    fluxes = psf.component_fluxes
    sigma = np.array([psf.sigma1, psf.sigma2])
    wing_radius = math.sqrt(psf.beta) * psf.sigmap
    # A Gaussian's transform is exp(-(k sigma)^2 / 2), a wing's roughly exp(-k wing_radius).
    depth = -math.log(FLOOR)
    end = max(math.sqrt(2 * depth) / sigma.min(), depth / wing_radius if psf.p0 > 0 else 0)
    wavenumber = np.linspace(0, end, ROUND_NODES)
    transform = fluxes[:2] @ np.exp(-0.5 * np.outer(sigma, wavenumber) ** 2)
    transform[0] += fluxes[2]
    transform[1:] += fluxes[2] * moffat_transform(psf.beta / 2, wavenumber[1:] * wing_radius)
    transform[-1] = 0
    density = 1 / wavenumber[1]
    return PsfModel(
        kind=ROUND,
        centre=fluxes[0] / (2 * np.pi * psf.sigma1**2) * np.array([1, psf.b, psf.p0]),
        sigma=sigma,
        wing_radius=wing_radius,
        wing_exponent=psf.beta / 2,
        stretch=np.ones(2),
        half_pixel=0.0,
        transform=Table(transform.astype(np.float32), density),
        form=np.array([1.0, 0.0, 1.0]),
        tail=np.tile(_radial_tail(transform, wavenumber), (2, 1)),
        tail_density=density,
    )


@_model.register
def _sheared_model(psf: ParametricPsf) -> PsfModel:
    centre, sigma = np.zeros(3), np.full(2, psf.width / SIGMA_TO_FWHM)
    wing_radius, wing_exponent = 1.0, 1.0
    if psf.profile == "gaussian":
        table, scale = _gaussian(), sigma[0]
        centre[0], sigma[:] = 1 / (2 * math.pi * scale**2), math.hypot(scale, PIXEL_SIGMA)
    elif psf.profile == "moffat":
        table, scale = _moffat(min(psf.beta, MAX_BETA)), psf.moffat_radius
        centre[2] = (psf.beta - 1) / (math.pi * scale**2)
        wing_radius, wing_exponent = scale, psf.beta
    else:
        table, scale = _kolmogorov(), KOLMOGOROV_SCALE * psf.width
        core, wing, softening = KOLMOGOROV_WING
        centre[0], sigma[:] = KOLMOGOROV_CENTRE / psf.width**2, core * psf.width
        centre[2] = wing * softening ** (-11 / 3) / psf.width**2
        wing_radius, wing_exponent = softening * psf.width, 11 / 6
    # The transform of the sheared profile at k is that of the round one at shear k.
    shear = np.linalg.inv(psf.to_round)
    form = shear @ shear
    # The least k of the round profile where kx, or ky, is 1.
    least = 1 / np.linalg.norm(psf.to_round, axis=1)
    end = table.end / (scale * least.min())
    wavenumber = np.linspace(0, end, TAIL_NODES)
    beyond = [np.interp(wavenumber * scale * one, table.wavenumber, table.tail) for one in least]
    pixel = np.minimum(1, 2 / np.maximum(wavenumber, 1))  # bounds its transform sin(k/2) / (k/2)
    return PsfModel(
        kind=SHEARED,
        centre=centre,
        sigma=sigma,
        wing_radius=wing_radius,
        wing_exponent=wing_exponent,
        stretch=np.sqrt(np.diag(form)),
        half_pixel=0.5,
        transform=Table(table.transform, (SHEARED_NODES - 1) / table.end * scale),
        form=form[[0, 0, 1], [0, 1, 1]],
        tail=np.array(beyond) * pixel / scale**2,
        tail_density=(TAIL_NODES - 1) / end,
    )


@_model.register
def _sampled_model(psf: SampledPsf) -> PsfModel:
    shares = psf.density * psf.step**2
    order, starts = _rings(shares.shape)
    largest = np.maximum.reduceat(np.abs(psf.density).ravel()[order], starts)
    envelope = np.maximum.accumulate(largest[::-1])[::-1].copy()
    kernel = _kernel(psf.interpolant)
    # The transform of the samples repeats itself every 2 pi / step, the kernel's falls.
    count = next_fast_len(max(shares.shape), real=True)
    half = count // 2 + 1
    spectrum = np.abs(rfft2(shares.astype(np.float32), (count, count)))
    falling, folded, at = _kernel_along(psf.interpolant, count)
    twice = np.where(2 * np.arange(half) % count, 2, 1) * folded[:half]
    along_x, along_y = folded @ spectrum, spectrum @ twice
    both = [2 * along_x[np.minimum(at, count - at)], along_y[at] + along_y[-at]]
    steps = falling * np.array(both) / (count * psf.step) ** 2
    return PsfModel(
        kind=SAMPLED,
        centre=np.zeros(3),
        sigma=np.full(2, (2 * np.pi * envelope[0]) ** -0.5),
        wing_radius=1.0,
        wing_exponent=1.0,
        stretch=np.ones(2),
        half_pixel=0.0,
        transform=_EMPTY,
        form=np.zeros(3),
        tail=np.cumsum(steps[:, ::-1], axis=1)[:, ::-1].copy(),
        tail_density=count / (2 * np.pi) * psf.step,
        samples=Samples(
            shares=shares.astype(np.float32),
            folded=_folded(shares).astype(np.float32),
            step=float(psf.step),
            envelope=envelope,
            kernel=kernel.kernel,
            kernel_transform=kernel.transform,
        ),
    )


@lru_cache(maxsize=32)
def _rings(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Order of samples by whole samples from the middle, and the first of each such ring."""
    rows, columns = [np.arange(length) - (length - 1) / 2 for length in shape]
    ring = np.hypot(rows[:, None], columns).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    starts = np.unique(ring[order], return_index=True)[1]
    return order, starts


@lru_cache(maxsize=32)
def _kernel_along(interpolant: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A kernel's transform at steps of 2 pi / count, up to its end and folded into one period.

    Returns
    -------
    falling : ndarray
        float64 (node,), its absolute value for k >= 0.
    folded : ndarray
        float64 (count,), sums of it over all k, also negative, that are equal modulo 2 pi.
    at : ndarray
        int64 (node,), places of the nodes in one period.
    """
    kernel = _kernel(interpolant)
    wavenumber = np.arange(0, kernel.end, 2 * np.pi / count)
    falling = np.abs(np.interp(wavenumber, kernel.wavenumber, kernel.transform.values))
    at = np.arange(len(wavenumber)) % count
    folded = np.zeros(count)
    np.add.at(folded, at, falling)
    np.add.at(folded, -at[1:], falling[1:])
    return falling, folded, at


def _folded(shares: np.ndarray) -> np.ndarray:
    """See Samples; float64."""
    parts = [shares.T]
    for axis in (0, 1):
        both = []
        for part in parts:
            after = np.flip(part, axis)
            middle = part.shape[axis] // 2
            quadrant = [slice(None), slice(None)]
            quadrant[axis] = slice(middle, None)
            share = np.ones(part.shape[axis] - middle)
            if part.shape[axis] % 2:  # the middle is its own mirror image
                share[0] = 0.5
            share = share if axis else share[:, None]
            here, there = part[tuple(quadrant)] * share, after[tuple(quadrant)] * share
            both += [here + there, here - there]
        parts = both
    return np.array(parts)


class Kernel(NamedTuple):
    """The tables of a kernel between samples.

    Parameters
    ----------
    kernel, transform : Table
        See Samples.
    wavenumber : ndarray
        float64 (node,), nodes of ``transform``.
    end : float
        Last of them.
    """

    kernel: Table
    transform: Table
    wavenumber: np.ndarray
    end: float


@cache
def _kernel(interpolant: str) -> Kernel:
    """The tables of one of sampled.INTERPOLANTS."""
    kernel = galsim_kernel(interpolant)
    distance = np.linspace(0, KERNEL_REACH, KERNEL_REACH * KERNEL_NODES + 1)
    values = np.append(kernel.xval(distance[:-1]), 0)
    wavenumber = np.arange(0, kernel.krange, 1 / KERNEL_TRANSFORM_NODES)
    transform = np.append(kernel.kval(wavenumber[:-1]), 0)
    return Kernel(
        kernel=Table(values.astype(np.float32), float(KERNEL_NODES)),
        transform=Table(transform.astype(np.float32), float(KERNEL_TRANSFORM_NODES)),
        wavenumber=wavenumber,
        end=float(wavenumber[-1]),
    )


class Radial(NamedTuple):
    """The transform of a round profile of unit flux, in units of the profile's scale.

    Parameters
    ----------
    end : float
        Last k of the tables.
    transform : ndarray
        float32 (SHEARED_NODES,), at equal steps from k = 0.
    wavenumber : ndarray
        float64 (TAIL_NODES,), nodes of ``tail``.
    tail : ndarray
        float64 (TAIL_NODES,), integral of transform k dk / (2 pi) from there to infinity.
    """

    end: float
    transform: np.ndarray
    wavenumber: np.ndarray
    tail: np.ndarray

    @classmethod
    def of(cls, wavenumber: np.ndarray, transform: np.ndarray) -> "Radial":
        """The tables of a transform that falls to FLOOR at the last of equal steps in k."""
        transform[-1] = 0
        coarse = np.linspace(0, wavenumber[-1], TAIL_NODES)
        tail = np.interp(coarse, wavenumber, _radial_tail(transform, wavenumber))
        return cls(float(wavenumber[-1]), transform.astype(np.float32), coarse, tail)


@cache
def _gaussian() -> Radial:
    """A Gaussian in units of its standard deviation."""
    wavenumber = np.linspace(0, math.sqrt(-2 * math.log(FLOOR)), SHEARED_NODES)
    return Radial.of(wavenumber, np.exp(-(wavenumber**2) / 2))


@cache
def _kolmogorov() -> Radial:
    """A Kolmogorov profile, exp(-k^(5/3))."""
    wavenumber = np.linspace(0, (-math.log(FLOOR)) ** 0.6, SHEARED_NODES)
    return Radial.of(wavenumber, np.exp(-(wavenumber ** (5 / 3))))


@lru_cache(maxsize=256)  # 80 KB and 10 ms each
def _moffat(beta: float) -> Radial:
    """A Moffat profile in units of its scale radius."""
    trial = np.linspace(1, 500, 2000)
    end = trial[moffat_transform(beta, trial) > FLOOR].max() + trial[1]
    wavenumber = np.linspace(0, end, SHEARED_NODES)
    transform = np.append(1, moffat_transform(beta, wavenumber[1:]))
    return Radial.of(wavenumber, np.where(np.isfinite(transform), transform, 1))


def _radial_tail(transform: np.ndarray, wavenumber: np.ndarray) -> np.ndarray:
    """Integral of transform k dk / (2 pi) from each wavenumber to the last."""
    density = transform * wavenumber / (2 * np.pi)
    steps = (density[1:] + density[:-1]) / 2 * wavenumber[1]
    tail: np.ndarray = np.append(np.cumsum(steps[::-1])[::-1], 0)
    return tail
