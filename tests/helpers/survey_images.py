"""Survey images for tests, and networks that find something in them without any training."""

import numpy as np
import torch
from astropy.wcs import WCS

from npecat_sim.fields.table import SINGLE_FIELD
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.units import PIXEL_SCALE
from npecat_train.model import TileModel
from npecat_train.network.encoding import Encoding
from npecat_train.network.inputs import Standardisation
from npecat_train.network.tile_network import NetworkSize
from npecat_train.settings import RunSettings

ELECTRONS, SKY = 990.0, 0.878
"""Electrons per nanomaggy, and sky in nanomaggies per pixel, of SDSS field 94/1/12."""


def survey_image(height: int, width: int, n_stars: int = 30, seed: int = 0) -> SurveyImage:
    """Stars of 10 to 100 nanomaggies at random places, with noise; north is up at (10, 20) deg."""
    generator = np.random.default_rng(seed)
    psf = SINGLE_FIELD.psf_of(0)
    row, column = np.indices((height, width))
    image = generator.normal(0, np.sqrt(SKY / ELECTRONS), (height, width))
    for x, y, flux in generator.uniform((0, 0, 10), (width, height, 100), (n_stars, 3)):
        image += flux * psf.profile(np.hypot(row - y, column - x))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10, 20]
    wcs.wcs.crpix = [1, 1]
    wcs.wcs.cdelt = [-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]
    return SurveyImage(
        name="frame-test.fits",
        image=image.astype(np.float32),
        background=np.full((height, width), SKY, np.float32),
        electrons_per_nmgy=ELECTRONS,
        psf=psf,
        flags=np.zeros((height, width), np.uint8),
        wcs=wcs,
        pixel_scale=PIXEL_SCALE,
        origin={"run": 94, "camcol": 1, "field": 12},
    )


ENCODING = Encoding("nanomaggy", 0.396, "PSF in the order of a test")


def random_model(seed: int = 0) -> TileModel:
    """A small network with random weights that gives a source in many tiles."""
    standard = Standardisation((1.0,) * 6, (2.0,) * 6, 6.8, 0.2)
    size = NetworkSize((4,), (4,), 8, 4, (2, 1), (1, 2))
    settings = RunSettings(
        "psf_aware", "0" * 64, ENCODING, standard, size, "mixture", 1, 32, "cosine", 1e-3, 0
    )
    torch.manual_seed(seed)
    network = settings.build_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # one batch tells how large features are
    torch.nn.init.normal_(network.head.weight)
    with torch.no_grad():
        network.head.weight[0] *= 10
        logits = network(torch.randn(8, 2, 80, 80), torch.randn(8, 10, 20, 20))[:, 0]
        network.head.bias[0] -= logits.quantile(0.9)
    return TileModel(network.for_inference(), settings)
