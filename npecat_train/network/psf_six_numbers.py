"""The six-number PSF of SDSS that comes closest to a PSF image.

A network of the paper's kind knows a PSF by the six numbers of its survey. They say how wide it is
and how its wings fall off, and nothing of its ellipticity or its tails. The closest one is taken
from a table over widths and SDSS's fields. It costs a product of a vector and a matrix for each
image.

Closest means least squares over the pixels of the stamp. For a round profile that is a fit to the
azimuthal mean, and under the noise of the sky it takes the flux of a star with the least error.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from npecat_sim.fields.sdss_statistics import default_fields

WIDTHS = (1.2, 9.0)
"""Least and greatest FWHM of the table, pixels: prior wide has 1.5 to 7 before the pixels."""

N_WIDTHS = 256
"""Number of widths, in steps of 0.8 %."""

FIELD_STEP = 10
"""Every so many of the 500 fields of prior many give the table its shapes."""


def six_number_psf(psf: Tensor) -> Tensor:
    """Return the closest six-number PSF of each PSF image.

    Parameters
    ----------
    psf : Tensor
        float32 (batch, side, side), see psf_encoding.psf_numbers.

    Returns
    -------
    Tensor
        float32 (batch, side, side), round.
    """
    profiles, place = _table(psf.shape[-1], psf.device)
    # Sums over the pixels at each distance: the profiles are round.
    sums = psf.new_zeros(len(psf), profiles.shape[1]).index_add_(1, place, psf.flatten(1))
    squares = (profiles.square() * torch.bincount(place)).sum(dim=1)
    likeness = sums @ profiles.T - squares / 2
    return profiles[likeness.argmax(dim=1)][:, place].view_as(psf)


@cache
def _table(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Shares of each profile at each distance, and the index of each pixel's distance."""
    offset = np.arange(side) - side // 2
    distance2, place = np.unique(offset**2 + offset[:, None] ** 2, return_inverse=True)
    radius, fields = np.sqrt(distance2), default_fields()
    shapes = [fields.psf_of(row) for row in range(0, len(fields), FIELD_STEP)]
    profiles = [
        shape.scaled(width / shape.fwhm).profile(radius)
        for shape in shapes
        for width in np.geomspace(*WIDTHS, N_WIDTHS)
    ]
    table = torch.tensor(np.array(profiles), dtype=torch.float32, device=device)
    return table, torch.tensor(place.ravel(), device=device)
