"""Images of any telescope for tests: stars of PSFs without symmetry, and a mask."""

import numpy as np
import torch

from npecat_sim.psf.parametric import ParametricPsf
from npecat_train.data.batch import TrainingBatch
from npecat_train.model import TileModel, inputs_of
from npecat_train.network import wide_inputs
from npecat_train.network.encoding import Encoding
from npecat_train.network.tile_network import NETWORKS, NetworkSize
from npecat_train.settings import RunSettings

SIDE = 41
"""Side of a PSF image, pixels."""


def odd_psf(width: float, g1: float = 0.1, g2: float = -0.06) -> np.ndarray:
    """An elliptical PSF with a tail towards one side: float64 (SIDE, SIDE)."""
    core = ParametricPsf("moffat", width, g1, g2, 3.5).stamp(SIDE)
    tail = ParametricPsf("gaussian", 1.5 * width).stamp(SIDE)
    return 0.85 * core + 0.15 * np.roll(tail, (1, 2), axis=(0, 1))


def wide_batch(n: int = 8, *, size: int = 80, n_sources: int = 6, seed: int = 0) -> TrainingBatch:
    """Images of PSFs from 1.5 to 7 pixels, each with noise, depth and flux unit of its own."""
    generator = np.random.default_rng(seed)

    def log_uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return np.exp(generator.uniform(np.log(low), np.log(high), (n, *shape)))

    psf = np.stack([odd_psf(width) for width in log_uniform(1.5, 7)])
    sigma = log_uniform(0.02, 0.5)
    electrons = log_uniform(100, 5000)
    x, y = generator.integers(4, size - 4, (2, n, n_sources))
    flux = sigma[:, None] * log_uniform(20, 5000, n_sources)
    images = generator.normal(0, sigma[:, None, None], (n, size, size))
    padded = np.pad(images, ((0, 0), (SIDE, SIDE), (SIDE, SIDE)))
    for i, j in np.ndindex(n, n_sources):
        row, column = y[i, j] + SIDE - SIDE // 2, x[i, j] + SIDE - SIDE // 2
        padded[i, row : row + SIDE, column : column + SIDE] += flux[i, j] * psf[i]
    images = padded[:, SIDE:-SIDE, SIDE:-SIDE]
    mask = np.zeros((n, size, size), np.uint8)
    mask[:, :, 30] = 1
    mask[:, 50:56, 10:13] = 1
    variance = sigma[:, None, None] ** 2 * np.linspace(1, 2, size)[:, None] * np.ones((size, size))
    return TrainingBatch(
        images=torch.tensor(np.where(mask, 0, images), dtype=torch.float32),
        backgrounds=torch.tensor(variance * electrons[:, None, None], dtype=torch.float32),
        electrons_per_nmgy=torch.tensor(electrons),
        psf=torch.tensor(psf, dtype=torch.float32),
        mask=torch.tensor(mask),
        pixel_scale=torch.tensor(log_uniform(0.15, 1.2)),
        density=torch.tensor(log_uniform(5e-5, 2e-2)),
        star_share=torch.tensor(generator.uniform(0, 1, n)),
        noise_correlation=torch.tensor(log_uniform(1, 1.5)),
        faint_flux=torch.tensor(sigma * 10),
        x=torch.tensor(x, dtype=torch.float32),
        y=torch.tensor(y, dtype=torch.float32),
        flux=torch.tensor(flux, dtype=torch.float32),
        is_galaxy=torch.zeros(n, n_sources, dtype=torch.bool),
        count=torch.full((n,), n_sources),
    )


def wide_settings(size: NetworkSize = NETWORKS["default"]) -> RunSettings:
    """Settings of a run of variant wide."""
    encoding = Encoding("nanomaggy", None, "a test's", apertures=wide_inputs.APERTURES)
    return RunSettings("wide", "0" * 64, encoding, None, size, "mixture", 1, 32, "cosine", 1e-3, 0)


def random_wide_model(seed: int = 0) -> TileModel:
    """A small network of variant wide with random weights that gives a source in many tiles."""
    settings = wide_settings(NetworkSize((4,), (4,), 8, 4, (1, 1), (1, 2)))
    torch.manual_seed(seed)
    network = settings.build_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # one batch tells how large features are
    torch.nn.init.normal_(network.head.weight)
    with torch.no_grad():
        network.head.weight[0] *= 10
        inputs = inputs_of(wide_batch(), settings)
        logits = network(inputs.pixel_maps, inputs.tile_maps)[:, 0]
        network.head.bias[0] -= logits.quantile(0.9)
    return TileModel(network.for_inference(), settings)
