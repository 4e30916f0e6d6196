"""Noise and signal-to-noise ratio."""

import numpy as np
import pytest

from npecat_sim.psf.parametric import ParametricPsf
from npecat_sim.render.noise import (
    correlated_noise,
    noise_correlation,
    observe,
    signal_to_noise,
)

NO_SOURCE = np.zeros((0, 3, 200_000), np.float32)


def snr_of(electrons, background):
    """SNR of sources (source, y, x) under a sky (y, x), both in electrons."""
    sky = np.full(electrons.shape[1:], background, np.float32)
    return observe(
        electrons.astype(np.float32),
        sky,
        electrons_per_nmgy=1.0,
        generator=np.random.default_rng(0),
    )[1]


def test_noise_variance_equals_the_rate():
    """In nanomaggies that is the rate over the electrons of a nanomaggy, for sky and source."""
    electrons = np.array([50.0, 868.0, 40_000.0])
    light = np.repeat(electrons[:, None] / 100, 200_000, axis=1).astype(np.float32)
    for drawn, sky in ((NO_SOURCE, light), (light[None] / 2, light / 2)):
        image, _ = observe(drawn, sky, electrons_per_nmgy=100.0, generator=np.random.default_rng(0))
        residual = image - drawn.sum(axis=0)
        # 200,000 draws fix a variance to 0.3 %; sky variance instead of rate would be off by tens.
        assert residual.var(axis=1) * 100**2 / electrons == pytest.approx([1, 1, 1], abs=0.015)
        in_sigma = residual.mean(axis=1) * 100 / np.sqrt(electrons)
        assert in_sigma == pytest.approx([0, 0, 0], abs=0.01)


def test_snr_counts_source_background_and_neighbour():
    image = np.zeros((2, 8, 8))
    image[0, 2:4, 2:4] = 100.0  # the source: 400 electrons in its own four pixels
    image[1, 3, 3] = 500.0  # a neighbour on one of them
    assert snr_of(image, 25.0)[0] == pytest.approx(400 / np.sqrt(400 + 4 * 25 + 500))


def test_snr_of_a_known_rate_is_that_of_the_image():
    drawn = np.random.default_rng(0).random((3, 12, 12), np.float32)
    sky = np.full((12, 12), 2.0, np.float32)
    _, snr = observe(drawn, sky, electrons_per_nmgy=50.0, generator=np.random.default_rng(0))
    rate = sky + drawn.sum(axis=0, dtype=np.float64)
    assert signal_to_noise(drawn, rate, 50.0) == pytest.approx(snr, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("width", [1.5, 5.0])
def test_correlation_is_that_of_many_noise_images(sigma, width):
    """The noise under a PSF against its white expectation, in 4,000 draws; a pixel stays at 1."""
    stamp = ParametricPsf("moffat", width, 0.1, 0.05, 3.0).stamp(41)
    generator = np.random.default_rng(1)
    noise = np.stack([correlated_noise(41, sigma, generator=generator) for _ in range(4000)])
    assert noise.std() == pytest.approx(1, abs=0.003)
    under = (noise * stamp).sum(axis=(1, 2)).std() / np.sqrt(np.sum(stamp**2))
    assert noise_correlation(stamp, sigma) == pytest.approx(under, rel=0.05)  # 4.5 sigma
    assert (noise_correlation(stamp, sigma) > 1.05) == (sigma > 0)


def test_snr_of_a_gaussian_star_is_near_the_best_aperture():
    y, x = np.mgrid[-40:41, -40:41]
    star = 1000 * np.exp(-(x**2 + y**2) / (2 * 6.0**2)) / (2 * np.pi * 6.0**2)
    rate = np.full(star.shape, 1e4) + star
    radius2 = (x**2 + y**2).ravel()
    order = np.argsort(radius2)
    best = (star.ravel()[order].cumsum() / np.sqrt(rate.ravel()[order].cumsum())).max()
    assert snr_of(star[None], 1e4)[0] == pytest.approx(best, rel=0.03)
