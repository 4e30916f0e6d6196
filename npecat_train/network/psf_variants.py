"""In what form the PSF reaches the network of variant wide, and those that it is compared with.

All of them share everything else. The PSF enters in two ways: the PSF that acts on the pixels, in
matched filters, apertures and the noise under it; and the numbers at the tiles.

================== =================== ======================================
variant            acts on the pixels  numbers
================== =================== ======================================
wide               the PSF             of it, see psf_encoding
wide_numbers       a typical PSF       of the PSF
wide_autoencoder   a typical PSF       of the PSF, see psf_autoencoder
wide_six_numbers   that of six numbers of that of six numbers
wide_psf_unaware   a typical PSF       none
================== =================== ======================================
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from npecat_sim.psf.parametric import ParametricPsf
from npecat_train.network.psf_autoencoder import LATENTS, PsfEncoder
from npecat_train.network.psf_encoding import CHANNELS, psf_numbers
from npecat_train.network.psf_six_numbers import six_number_psf
from npecat_train.network.symmetry import SCALAR

WIDE = "wide"
NUMBERS = "wide_numbers"
AUTOENCODER = "wide_autoencoder"
SIX_NUMBERS = "wide_six_numbers"
PSF_UNAWARE = "wide_psf_unaware"

NUMBERS_OF = {
    WIDE: CHANNELS,
    NUMBERS: CHANNELS,
    AUTOENCODER: LATENTS,
    SIX_NUMBERS: CHANNELS,
    PSF_UNAWARE: SCALAR * 0,
}
"""How the numbers of each variant turn with the image."""

TYPICAL = ParametricPsf("moffat", 3.3, beta=3.5)
"""The PSF of someone who knows none: of the width of SDSS's, in the middle of prior wide's range
of 1.5 to 7 pixels."""


class ToldPsf(NamedTuple):
    """What a network is told of some PSFs.

    Parameters
    ----------
    acting : Tensor
        float32 (batch, side, side), the PSF images that act on the pixels.
    numbers : Tensor
        float32 (batch, number), for the tiles.
    """

    acting: Tensor
    numbers: Tensor


def tell_psf(psf: Tensor, variant: str, encoder: PsfEncoder | None) -> ToldPsf:
    """Return what a variant is told of some PSF images.

    Parameters
    ----------
    psf : Tensor
        float32 (batch, side, side), see psf_encoding.psf_numbers.
    variant : str
        A key of NUMBERS_OF.
    encoder : PsfEncoder or None
        Of variant AUTOENCODER.

    Returns
    -------
    ToldPsf
    """
    if variant == WIDE:
        return ToldPsf(psf, psf_numbers(psf))
    if variant == SIX_NUMBERS:
        fitted = six_number_psf(psf)
        return ToldPsf(fitted, psf_numbers(fitted))
    typical = _typical(psf.shape[-1], psf.device).expand_as(psf)
    if variant == NUMBERS:
        return ToldPsf(typical, psf_numbers(psf))
    if variant == PSF_UNAWARE:
        return ToldPsf(typical, psf.new_empty(len(psf), 0))
    assert encoder is not None  # every network of variant AUTOENCODER has one
    return ToldPsf(typical, encoder(psf))


@cache
def _typical(side: int, device: torch.device) -> Tensor:
    """The stamp of TYPICAL."""
    return torch.tensor(TYPICAL.stamp(side), dtype=torch.float32, device=device)
