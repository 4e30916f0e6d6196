"""Noiseless images of sources, compiled: those of galsim_renderer, about 20 times faster.

The transform G(k) = F(k) P(k) of a galaxy under a PSF is known. A galaxy is even, and so are most
PSFs. Then its image at the offset (u, v) from its centre is a sum over one quadrant of wavenumbers,

    I(u, v) = 1/(2 pi^2) sum w_p w_q [ (G(p, q) + G(p, -q)) cos(p u) cos(q v)
                                     - (G(p, q) - G(p, -q)) sin(p u) sin(q v) ],

that is two pairs of small matrix products. A sampled PSF need not be even. G is complex then; its
real part takes the place of G above, and its imaginary part H adds two products to the sum:

    - (H(p, q) + H(p, -q)) sin(p u) cos(q v) - (H(p, q) - H(p, -q)) cos(p u) sin(q v).

What P has as a factor for each axis, the response of the pixel or the kernel between samples, is in
the weights w. The nodes p and q are those of the midpoint rule in a smooth variable: close together
near zero, where the transforms of wide wings are, and wider beyond. The number of nodes depends on
the size, flux and place of the galaxy. Stars are the PSF itself at the pixel centres: in closed
form for six numbers, from the samples of a sampled PSF, and else as the sum for a point.

All compiled code is in this file, since numba's cache would not notice a change in another file.
tests/sim/test_compiled.py compares it with galsim_renderer.draw_sources: the largest pixel error
of an image is 0.0024 sky sigma at the median and 0.006 at most, also for very thin and very large
galaxies; with a sampled PSF it is 0.0055 at the median and 0.011 at most.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from npecat_sim.psf.base import Psf
from npecat_sim.render.jit import jit
from npecat_sim.render.profiles import (
    DE_VAUCOULEURS_B,
    DE_VAUCOULEURS_CENTRE,
    EXPONENTIAL_CENTRE,
    EXPONENTIAL_SCALE,
    Table,
    de_vaucouleurs_transform,
)
from npecat_sim.render.psf_models import (
    KERNEL_REACH,
    ROUND,
    SAMPLED,
    SHEARED,
    PsfModel,
    Samples,
    psf_model,
)
from npecat_sim.units import PIXEL_SCALE

CUT = 0.0015
"""Level, in sky sigma, at which each part of a source is cut: core to wing, disk and bulge."""

SAMPLED_CUT = 0.003
"""The same for samples, which take longer: the largest error of an image is 0.0055 sky sigma at the
median."""

SPECTRAL_CUT = 3.0
"""Bound on the light beyond the last node, in units of CUT; see docs/log.md, compiled renderer."""

LOCALITY = 12.0
"""Detail of wavenumber k reaches LOCALITY / k pixels; see docs/log.md, compiled renderer."""

MARGIN = 3.0
"""Core sigmas added to that reach; see docs/log.md, compiled renderer."""

POINT = 1e-6
"""Half-light radius, pixels, of the disk as which a star is drawn in a sum over wavenumbers: its
transform differs from 1 by 1e-9 where that of a PSF ends."""

RADII = ("disk_half_light_radius", "bulge_half_light_radius")
"""Columns in arcsec."""

SHAPE = (
    "disk_fraction",
    "angle",
    "disk_half_light_radius",
    "disk_axis_ratio",
    "bulge_half_light_radius",
    "bulge_axis_ratio",
)
"""Columns of the shape of a galaxy, in the order in which _draw takes them."""

# Of the fast-math options only the contraction of a * b + c is allowed: sums keep their order, so
# results do not depend on threads or on the batch.
_jit = jit(fastmath={"contract"})


class Ellipse(NamedTuple):
    """A disk or bulge.

    Parameters
    ----------
    flux : float
        Flux, nanomaggies.
    major, minor : float
        Half-light semi-axes, pixels.
    """

    flux: float
    major: float
    minor: float


@_jit
def _window(centre: float, reach: float, size: int) -> tuple[int, int]:
    """First pixel and one past the last within ``reach`` of ``centre``, inside the image."""
    first = max(0, math.ceil(centre - reach))
    return first, max(first, min(size, math.floor(centre + reach) + 1))


@_jit
def _psf_reach(point: PsfModel, axis: int, flux: float, cut: float) -> float:
    """Distance in pixels along x (0) or y (1) at which the PSF is below ``cut`` nanomaggies."""
    reach = 0.0
    if point.kind == SAMPLED:
        envelope = point.samples.envelope
        rings = len(envelope)
        while rings > 0 and flux * envelope[rings - 1] < cut:
            rings -= 1
        return (rings + KERNEL_REACH) * point.samples.step if rings > 0 else 0.0
    for part in range(2):
        excess = flux * point.centre[part] / cut
        if excess > 1:
            reach = max(reach, point.sigma[part] * math.sqrt(2 * math.log(excess)))
    excess = flux * point.centre[2] / cut
    if excess > 1:
        reach = max(reach, point.wing_radius * math.sqrt(excess ** (1 / point.wing_exponent) - 1))
    along: float = reach * point.stretch[axis] + point.half_pixel
    return along


@_jit
def _profile_reach(ellipse: Ellipse, bulge: bool, sigma: float, cut: float) -> float:
    """Half-light radii at which a disk or bulge falls below ``cut`` nanomaggies per pixel.

    The PSF widens a narrow ellipse to sigma; at r half-light radii its own width is r times
    ``minor``. The first pass ignores this, so the second pass gives a reach that is too long
    rather than too short.
    """
    reach = 0.0
    width = ellipse.minor
    for _ in range(2):
        excess = ellipse.flux / (ellipse.major * width * cut)
        excess *= DE_VAUCOULEURS_CENTRE if bulge else EXPONENTIAL_CENTRE
        if excess <= 1:
            return 0.0
        depth = math.log(excess)
        reach = (depth / DE_VAUCOULEURS_B) ** 4 if bulge else depth * EXPONENTIAL_SCALE
        width = math.hypot(ellipse.minor, sigma / reach)
    return reach


@_jit
def _interpolate(table: Table, argument: Any) -> Any:
    """A profiles.Table at a float32 argument >= 0: linear, and constant beyond the last node."""
    position = argument * np.float32(table.density)
    node = min(np.int32(position), np.int32(len(table.values) - 2))
    share = min(position - node, np.float32(1))
    return table.values[node] + share * (table.values[node + 1] - table.values[node])


@_jit
def _largest_transform(
    k: float,
    disk: Ellipse,
    bulge: Ellipse,
    disk_width: float,
    bulge_width: float,
    transform: Table,
) -> float:
    """Largest transform of a galaxy, before the PSF, at all wavenumbers with k along one axis."""
    t = 1 + (k * disk_width * EXPONENTIAL_SCALE) ** 2
    root = np.float32(math.sqrt(k * bulge_width))
    largest: float = disk.flux / (t * math.sqrt(t)) + bulge.flux * _interpolate(transform, root)
    return largest


@_jit
def _last_wavenumber(
    point: PsfModel,
    axis: int,
    disk: Ellipse,
    bulge: Ellipse,
    disk_width: float,
    bulge_width: float,
    transform: Table,
    cut: float,
) -> float:
    """Radians per pixel beyond which, along one axis, a galaxy has at most ``cut`` nanomaggies.

    The widths (pixels) times k are the minimum argument of each transform at that k, so the
    integral of F P beyond k is at most PsfModel.tail times F there.
    """
    low, high = 0, point.tail.shape[1] - 1
    if point.kind == SAMPLED:  # most of the tail may lie far beyond k, where F is smaller
        left_out = 0.0
        while high > 1:
            k = (high - 1) / point.tail_density
            bound = _largest_transform(k, disk, bulge, disk_width, bulge_width, transform)
            left_out += bound * (point.tail[axis, high - 1] - point.tail[axis, high])
            if left_out > cut:
                break
            high -= 1
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        k = middle / point.tail_density
        bound = _largest_transform(k, disk, bulge, disk_width, bulge_width, transform)
        if bound * point.tail[axis, middle] > cut:
            low = middle
        else:
            high = middle
    last: float = high / point.tail_density
    return last


@_jit
def _nodes(
    last: float, distance: float, reach: float, locality: float
) -> tuple[np.ndarray, np.ndarray]:
    """Midpoint-rule nodes k and weights dk from 0 to ``last`` along one axis, float64.

    Nodes dk apart repeat the image every 2 pi / dk pixels. Detail of wavenumber k is as wide as
    min(reach, locality / k), and its repetition must not touch pixels at ``distance``. So
    2 pi / dk = distance + locality / sqrt(k^2 + (locality / reach)^2). The smooth minimum and the
    midpoint rule make the sum converge exponentially.
    """
    knee = locality / reach
    count = int((distance * last + locality * math.asinh(last / knee)) / (2 * math.pi)) + 1
    k = np.empty(count)
    weight = np.empty(count)
    at = 0.0
    for node in range(count):
        phase = 2 * math.pi * (node + 0.5)
        for _ in range(3):  # Newton's method for distance k + locality asinh(k / knee) = phase
            root = math.sqrt(at**2 + knee**2)
            slope = distance + locality / root
            at += (phase - distance * at - locality * math.log((at + root) / knee)) / slope
        k[node] = at
        weight[node] = 2 * math.pi / (distance + locality / math.sqrt(at**2 + knee**2))
        at += weight[node]
    return k, weight


@_jit
def _phases(k: np.ndarray, weight: np.ndarray, start: float, count: int) -> np.ndarray:
    """Weight times cos and sin of k (start + pixel): float32 (2, node, pixel).

    Computed by angle addition, which doubles the number of pixels in each step.
    """
    phases = np.empty((2, len(k), count), np.float32)
    cosine = np.empty(count)
    sine = np.empty(count)
    for node in range(len(k)):
        cosine[0] = weight[node] * math.cos(k[node] * start)
        sine[0] = weight[node] * math.sin(k[node] * start)
        turn_cosine = math.cos(k[node])
        turn_sine = math.sin(k[node])
        done = 1
        while done < count:
            for pixel in range(min(done, count - done)):
                c = cosine[pixel]
                s = sine[pixel]
                cosine[done + pixel] = c * turn_cosine - s * turn_sine
                sine[done + pixel] = s * turn_cosine + c * turn_sine
            turn_cosine, turn_sine = turn_cosine**2 - turn_sine**2, 2 * turn_cosine * turn_sine
            done *= 2
        phases[0, node] = cosine
        phases[1, node] = sine
    return phases


@_jit
def _axis(
    point: PsfModel,
    axis: int,
    disk: Ellipse,
    bulge: Ellipse,
    cosine: float,
    sine: float,
    centre: float,
    size: int,
    transform: Table,
    cut: float,
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Window, nodes and phases along x (0) or y (1), at the given angle from the major axis.

    The weights of the nodes hold the factor of the PSF's transform that belongs to the axis.
    """
    sigma = point.sigma[0]
    disk_along = math.hypot(disk.major * cosine, disk.minor * sine)
    bulge_along = math.hypot(bulge.major * cosine, bulge.minor * sine)
    disk_width = disk.major * disk.minor / math.hypot(disk.major * sine, disk.minor * cosine)
    bulge_width = bulge.major * bulge.minor / math.hypot(bulge.major * sine, bulge.minor * cosine)
    reach = math.hypot(
        _psf_reach(point, axis, disk.flux + bulge.flux, cut),
        max(
            _profile_reach(disk, False, sigma, cut) * disk_along,
            _profile_reach(bulge, True, sigma, cut) * bulge_along,
        ),
    )
    first, stop = _window(centre, reach, size)
    if first == stop:  # no light in the image
        return first, stop, np.empty(0), np.empty((2, 0, 0), np.float32)
    last = _last_wavenumber(
        point, axis, disk, bulge, disk_width, bulge_width, transform, SPECTRAL_CUT * cut
    )
    distance = max(abs(first - centre), abs(stop - 1 - centre)) + MARGIN * sigma
    distance += point.half_pixel
    if point.kind == SAMPLED:  # their detail lies wherever they lie
        half = (point.samples.shares.shape[1 - axis] / 2 + KERNEL_REACH) * point.samples.step
        distance += min(half, _psf_reach(point, axis, disk.flux + bulge.flux, cut))
    # A thin slanted galaxy has detail along its whole length up to the wavenumbers of its width.
    slant = max(1.0, disk_along / disk_width, bulge_along / bulge_width)
    k, weight = _nodes(last, distance, max(reach, 1.0), LOCALITY * slant)
    if point.kind == SHEARED:
        weight *= np.sin(k / 2) / (k / 2)
    elif point.kind == SAMPLED:
        for node in range(len(k)):
            argument = np.float32(k[node] * point.samples.step)
            weight[node] *= _interpolate(point.samples.kernel_transform, argument)
    return first, stop, k, _phases(k, weight, first - centre, stop - first)


@_jit
def _sample_phases(k: np.ndarray, length: int, reach: float) -> np.ndarray:
    """Cos and sin of k r at folded samples within ``reach``: float32 (2, sample, node).

    Lengths are in samples, of which ``length`` lie along the axis; k is in radians per sample.
    """
    first = (length - 1) / 2 % 1
    count = max(1, min((length + 1) // 2, math.floor(reach - first) + 1))
    phases = _phases(k, np.ones(len(k)), first, count)
    by_sample = np.empty((2, count, len(k)), np.float32)
    for part in range(2):
        by_sample[part] = phases[part].T
    return by_sample


@_jit
def _sample_sums(samples: Samples, reach: float, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """Sums of share cos px cos qy, cos sin, sin cos and sin sin: float32 (4, x node, y node).

    The samples (x, y) are those within ``reach`` pixels of the star along each axis.
    """
    rows, columns = samples.shares.shape
    x_phases = _sample_phases(kx * samples.step, columns, reach / samples.step)
    y_phases = _sample_phases(ky * samples.step, rows, reach / samples.step)
    width, height = x_phases.shape[1], y_phases.shape[1]
    sums = np.zeros((4, len(kx), len(ky)), np.float32)
    for part in range(4):
        shares = np.ascontiguousarray(samples.folded[part, :width, :height])
        lines = np.zeros((height, len(kx)), np.float32)
        _add_product(shares, x_phases[part // 2], lines)
        _add_product(lines, y_phases[part % 2], sums[part])
    return sums


@_jit
def _spectrum(
    point: PsfModel,
    disk: Ellipse,
    bulge: Ellipse,
    cosine: float,
    sine: float,
    kx: np.ndarray,
    ky: np.ndarray,
    transform: Table,
    cut: float,
) -> np.ndarray:
    """Factors of cos cos, sin sin, sin cos, cos sin of p u, q v: float32 (2 or 4, x node, y node).

    There are four if the PSF is SAMPLED, which need not be even.
    """
    is_sampled = point.kind == SAMPLED
    spectrum = np.empty((4 if is_sampled else 2, len(kx), len(ky)), np.float32)
    sums = spectrum
    if is_sampled:
        reach = _psf_reach(point, 0, disk.flux + bulge.flux, cut)
        sums = _sample_sums(point.samples, reach, kx, ky)
    xx, xy, yy = point.form
    disk_major2 = np.float32((disk.major * EXPONENTIAL_SCALE) ** 2)
    disk_minor2 = np.float32((disk.minor * EXPONENTIAL_SCALE) ** 2)
    bulge_major2 = np.float32(bulge.major**2)
    bulge_minor2 = np.float32(bulge.minor**2)
    disk_flux = np.float32(disk.flux / (2 * math.pi**2))
    bulge_flux = np.float32(bulge.flux / (2 * math.pi**2))
    galaxy = np.empty((2, len(ky)), np.float32)
    for p in range(len(kx)):
        for part in range(2):
            for q in range(len(ky)):
                y = ky[q] if part == 0 else -ky[q]
                along2 = np.float32((kx[p] * cosine + y * sine) ** 2)
                across2 = np.float32((y * cosine - kx[p] * sine) ** 2)
                t = np.float32(1) + disk_major2 * along2 + disk_minor2 * across2
                root = np.sqrt(np.sqrt(bulge_major2 * along2 + bulge_minor2 * across2))
                galaxy[part, q] = disk_flux / (t * np.sqrt(t))
                galaxy[part, q] += bulge_flux * _interpolate(transform, root)
        if point.kind == ROUND:
            for q in range(len(ky)):
                k = np.sqrt(np.float32(kx[p] ** 2 + ky[q] ** 2))
                psf = _interpolate(point.transform, k)
                spectrum[0, p, q] = psf * (galaxy[0, q] + galaxy[1, q])
                spectrum[1, p, q] = psf * (galaxy[1, q] - galaxy[0, q])
        elif point.kind == SHEARED:
            for part in range(2):
                for q in range(len(ky)):
                    y = ky[q] if part == 0 else -ky[q]
                    k = np.sqrt(np.float32((xx * kx[p] + 2 * xy * y) * kx[p] + yy * y**2))
                    galaxy[part, q] *= _interpolate(point.transform, k)
            for q in range(len(ky)):
                spectrum[0, p, q] = galaxy[0, q] + galaxy[1, q]
                spectrum[1, p, q] = galaxy[1, q] - galaxy[0, q]
        else:
            for q in range(len(ky)):
                plus, minus = galaxy[0, q], galaxy[1, q]
                spectrum[0, p, q] = (plus + minus) * sums[0, p, q] - (plus - minus) * sums[3, p, q]
                spectrum[1, p, q] = (plus + minus) * sums[3, p, q] - (plus - minus) * sums[0, p, q]
                spectrum[2, p, q] = (plus + minus) * sums[2, p, q] + (plus - minus) * sums[1, p, q]
                spectrum[3, p, q] = (plus + minus) * sums[1, p, q] + (plus - minus) * sums[2, p, q]
    return spectrum


@_jit
def _add_product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Add the sum over n of left[n, i] right[n, j] to out[i, j], contiguous float32 arrays."""
    count = len(left)
    for i in range(out.shape[0]):
        for n in range(0, count - 3, 4):  # four at a time
            a, b, c, d = left[n, i], left[n + 1, i], left[n + 2, i], left[n + 3, i]
            for j in range(out.shape[1]):
                first = a * right[n, j] + b * right[n + 1, j]
                out[i, j] += first + c * right[n + 2, j] + d * right[n + 3, j]
        for n in range(count - count % 4, count):
            a = left[n, i]
            for j in range(out.shape[1]):
                out[i, j] += a * right[n, j]


@_jit
def _draw_galaxy(
    image: np.ndarray,
    x: float,
    y: float,
    disk: Ellipse,
    bulge: Ellipse,
    angle: float,
    point: PsfModel,
    transform: Table,
    cut: float,
) -> None:
    """Write one galaxy into an image of zeros, float32 (y, x)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    left, right, kx, x_phases = _axis(
        point, 0, disk, bulge, cosine, sine, x, image.shape[1], transform, cut
    )
    top, bottom, ky, y_phases = _axis(
        point, 1, disk, bulge, sine, cosine, y, image.shape[0], transform, cut
    )
    if left == right or top == bottom:
        return
    spectrum = _spectrum(point, disk, bulge, cosine, sine, kx, ky, transform, cut)
    stamp = np.zeros((bottom - top, right - left), np.float32)
    for part in range(2):
        rows = np.zeros((len(ky), right - left), np.float32)
        _add_product(spectrum[part], x_phases[part], rows)
        if point.kind == SAMPLED:
            _add_product(spectrum[part + 2], x_phases[1 - part], rows)
        _add_product(y_phases[part], rows, stamp)
    image[top:bottom, left:right] = stamp


@_jit
def _draw_star(
    image: np.ndarray, x: float, y: float, flux: float, point: PsfModel, cut: float
) -> None:
    """Write one star into an image of zeros, float32 (y, x)."""
    reach = _psf_reach(point, 0, flux, cut)
    left, right = _window(x, reach, image.shape[1])
    top, bottom = _window(y, reach, image.shape[0])
    gaussian_x = np.empty((2, right - left), np.float32)
    for part in range(2):
        for j in range(right - left):
            gaussian_x[part, j] = math.exp(-0.5 * ((left + j - x) / point.sigma[part]) ** 2)
    wing = np.float32(flux * point.centre[2])
    exponent = np.float32(-point.wing_exponent)
    for i in range(top, bottom):
        core = np.float32(flux * point.centre[0] * math.exp(-0.5 * ((i - y) / point.sigma[0]) ** 2))
        second = np.float32(
            flux * point.centre[1] * math.exp(-0.5 * ((i - y) / point.sigma[1]) ** 2)
        )
        base = 1 + ((i - y) / point.wing_radius) ** 2
        for j in range(right - left):
            distance2 = base + ((left + j - x) / point.wing_radius) ** 2
            image[i, left + j] = (
                core * gaussian_x[0, j]
                + second * gaussian_x[1, j]
                + wing * np.float32(distance2) ** exponent
            )


@_jit
def _kernel_weights(
    samples: Samples, count: int, centre: float, first: int, stop: int
) -> tuple[np.ndarray, np.ndarray]:
    """First sample and weights of 2 KERNEL_REACH samples for pixels ``first`` to ``stop``.

    ``count`` samples lie along the axis, the middle of them at the pixel ``centre``.
    """
    start = np.empty(stop - first, np.int64)
    weights = np.empty((stop - first, 2 * KERNEL_REACH), np.float32)
    for pixel in range(stop - first):
        place = (first + pixel - centre) / samples.step + (count - 1) / 2
        start[pixel] = math.floor(place) - KERNEL_REACH + 1
        for n in range(2 * KERNEL_REACH):
            distance = np.float32(abs(start[pixel] + n - place))
            weights[pixel, n] = _interpolate(samples.kernel, distance)
    return start, weights


@_jit
def _draw_sampled_star(
    image: np.ndarray, x: float, y: float, flux: float, point: PsfModel, cut: float
) -> None:
    """Write one star into an image of zeros, float32 (y, x)."""
    samples = point.samples
    rows, columns = samples.shares.shape
    reach = _psf_reach(point, 0, flux, cut)
    left, right = _window(x, reach, image.shape[1])
    top, bottom = _window(y, reach, image.shape[0])
    x_start, x_weights = _kernel_weights(samples, columns, x, left, right)
    y_start, y_weights = _kernel_weights(samples, rows, y, top, bottom)
    scale = np.float32(flux / samples.step**2)
    line = np.empty(columns, np.float32)
    for i in range(bottom - top):
        line[:] = 0
        for n in range(max(0, -y_start[i]), min(2 * KERNEL_REACH, rows - y_start[i])):
            weight = scale * y_weights[i, n]
            for column in range(columns):
                line[column] += weight * samples.shares[y_start[i] + n, column]
        for j in range(right - left):
            for n in range(max(0, -x_start[j]), min(2 * KERNEL_REACH, columns - x_start[j])):
                image[top + i, left + j] += x_weights[j, n] * line[x_start[j] + n]


@_jit
def _draw(
    images: np.ndarray,
    is_galaxy: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    shape: np.ndarray,
    point: PsfModel,
    transform: Table,
    cut: float,
) -> None:
    """Write each source into its own image; shape: float64 (SHAPE, source), radii in pixels."""
    for row in range(len(images)):
        if is_galaxy[row]:
            fraction, angle, disk_a, disk_q, bulge_a, bulge_q = shape[:, row]
            disk = Ellipse(flux[row] * fraction, disk_a, disk_a * disk_q)
            bulge = Ellipse(flux[row] * (1 - fraction), bulge_a, bulge_a * bulge_q)
            _draw_galaxy(images[row], x[row], y[row], disk, bulge, angle, point, transform, cut)
        elif point.kind == ROUND:
            _draw_star(images[row], x[row], y[row], flux[row], point, cut)
        elif point.kind == SAMPLED:
            _draw_sampled_star(images[row], x[row], y[row], flux[row], point, cut)
        else:
            star = Ellipse(flux[row], POINT, POINT)
            none = Ellipse(0.0, POINT, POINT)
            _draw_galaxy(images[row], x[row], y[row], star, none, 0.0, point, transform, cut)


def draw_sources(
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
        Standard deviation of the empty sky, nanomaggies per pixel; profiles are cut at a fixed
        share of it.
    pixel_scale : float, optional
        Arcsec per pixel; the radii of galaxies are in arcsec.

    Returns
    -------
    ndarray
        float32 (source, y, x), nanomaggies per pixel. It equals that of
        galsim_renderer.draw_sources within 0.01 ``sky_sigma``.
    """
    x, y, flux = np.array([sources["x"], sources["y"], sources["flux"]], dtype=np.float64)
    shape = np.array([sources[name] for name in SHAPE], dtype=np.float64)
    shape[[SHAPE.index(name) for name in RADII]] /= pixel_scale
    images = np.zeros((len(x), size, size), dtype=np.float32)
    point = psf_model(psf)
    transform = de_vaucouleurs_transform()
    cut = (SAMPLED_CUT if point.kind == SAMPLED else CUT) * sky_sigma
    _draw(images, sources["is_galaxy"], x, y, flux, shape, point, transform, cut)
    return images
