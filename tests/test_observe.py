"""Noise and signal-to-noise ratio."""

import numpy as np
import pytest

from npecat_sim.observe import expose, signal_to_noise


def test_noise_variance_equals_the_rate():
    rate = np.repeat([[50.0], [868.0], [40_000.0]], 200_000, axis=1)
    residual = expose(rate, np.random.default_rng(0)) - rate
    # 200,000 draws fix a variance to 0.3 %; sky variance instead of rate would be off by tens.
    assert residual.var(axis=1) / rate[:, 0] == pytest.approx([1, 1, 1], abs=0.015)
    assert residual.mean(axis=1) / np.sqrt(rate[:, 0]) == pytest.approx([0, 0, 0], abs=0.01)


def test_snr_counts_source_background_and_neighbour():
    image = np.zeros((2, 8, 8))
    image[0, 2:4, 2:4] = 100.0  # the source: 400 electrons in its own four pixels
    image[1, 3, 3] = 500.0  # a neighbour on one of them
    rate = 25.0 + image.sum(axis=0)
    assert signal_to_noise(image, rate)[0] == pytest.approx(400 / np.sqrt(400 + 4 * 25 + 500))


def test_snr_of_a_gaussian_star_is_near_the_best_aperture():
    y, x = np.mgrid[-40:41, -40:41]
    star = 1000 * np.exp(-(x**2 + y**2) / (2 * 6.0**2)) / (2 * np.pi * 6.0**2)
    rate = np.full(star.shape, 1e4) + star
    radius2 = (x**2 + y**2).ravel()
    order = np.argsort(radius2)
    best = (star.ravel()[order].cumsum() / np.sqrt(rate.ravel()[order].cumsum())).max()
    assert signal_to_noise(star[None], rate)[0] == pytest.approx(best, rel=0.03)
