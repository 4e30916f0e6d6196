"""A PSF image as numbers that know no survey.

All follow from the recorded image of a star of unit flux. They say how wide it is, how its light is
spread over radii, and how it departs from a circle. Second and higher moments are weighted with the
image itself, so that its core decides and the wings' noise does not.

A number turns with the image by its spin: those of spin 0 stay, an ellipticity (spin 2) changes
signs, an offset or a coma (spin 1) turns as a direction. A trefoil (spin 3) does so too if it is
mirrored first: a quarter turn takes z^3 to -i z^3, and its conjugate to i times that.
"""

import math

import torch
from torch import Tensor

from npecat_train.network.symmetry import SCALAR, SYMMETRIES, VECTOR, signed

RADII = (1.5, 3.0, 5.0, 8.0, 12.0, 16.0)
"""Radii of the circles whose share of the light is told, pixels."""

SHARE_LIMITS = (0.002, 0.998)
"""Limits of these shares: where the stamp of a PSF ends and its noise begin."""

SCALING = {
    "log area": (3.6, 0.9),
    "log peak": (0.85, 0.11),
    "logit within 1.5": (-0.6, 1.0),
    "logit within 3": (1.25, 1.55),
    "logit within 5": (2.95, 1.8),
    "logit within 8": (4.4, 1.6),
    "logit within 12": (5.3, 1.2),
    "logit within 16": (5.7, 0.9),
    "log size": (-0.15, 0.11),
    "log kurtosis": (0.95, 0.17),
    "e1": (0.0, 0.15),
    "e2": (0.0, 0.15),
    "offset x": (0.0, 0.05),
    "offset y": (0.0, 0.05),
    "coma x": (0.0, 0.05),
    "coma y": (0.0, 0.05),
    "trefoil x": (0.0, 0.05),
    "trefoil y": (0.0, 0.05),
}
"""Centre and scale of each number, in their order. They are about the mean and the standard
deviation over Gaussian to Moffat profiles of beta 2, FWHM of 1.5 to 7 pixels (uniform in the log)
and ellipticities (g) below 0.15. Those profiles have no offset, coma or trefoil; for these
a twentieth counts as large: of a pixel for the offset, else of the width cubed."""

SPIN_2 = signed([s[0, 0] ** 2 - s[1, 0] ** 2 for s in SYMMETRIES]) + signed(
    [s[0, 0] * s[1, 1] + s[0, 1] * s[1, 0] for s in SYMMETRIES]
)
"""How x^2 - y^2 and 2 x y turn."""

CHANNELS = SCALAR * (4 + len(RADII)) + SPIN_2 + VECTOR * 3
"""How the numbers turn with the image."""


def psf_numbers(psf: Tensor) -> Tensor:
    """Return the numbers of some PSF images.

    Parameters
    ----------
    psf : Tensor
        float32 (batch, side, side), an odd number of pixels: the share of a star's flux in each
        pixel. The star is on the middle pixel.

    Returns
    -------
    Tensor
        float32 (batch, number) in the order of SCALING, scaled by it.
    """
    side = psf.shape[-1]
    offset = torch.arange(side, device=psf.device) - (side - 1) / 2
    x, y = offset, offset[:, None]
    radius2 = x**2 + y**2
    squares = psf**2
    sharpness = squares.sum(dim=(-2, -1))

    def moment(of: Tensor) -> Tensor:
        """Mean of a function of the offset, weighted with the squared PSF."""
        return (squares * of).sum(dim=(-2, -1)) / sharpness

    size = moment(radius2)
    peak = psf[:, side // 2, side // 2].clamp(min=SHARE_LIMITS[0] * sharpness)
    cubed = size**1.5
    values = (
        -torch.log(sharpness),
        torch.log(peak / sharpness),
        *(_logit_within(psf, radius, torch.sqrt(radius2)) for radius in RADII),
        torch.log(4 * math.pi * size * sharpness),  # 0 for a round Gaussian
        torch.log(moment(radius2**2) / size**2),
        moment(x**2 - y**2) / size,
        moment(2 * x * y) / size,
        moment(x.expand_as(radius2)),
        moment(y.expand_as(radius2)),
        moment(x * radius2) / cubed,
        moment(y * radius2) / cubed,
        moment(x**3 - 3 * x * y**2) / cubed,
        moment(y**3 - 3 * x**2 * y) / cubed,
    )
    scaled = zip(values, SCALING.values(), strict=True)
    return torch.stack([(value - centre) / scale for value, (centre, scale) in scaled], dim=1)


def _logit_within(psf: Tensor, radius: float, distance: Tensor) -> Tensor:
    """Log odds of light within a circle; a pixel on its edge counts in part."""
    inside = (radius + 0.5 - distance).clamp(0, 1)
    return torch.logit((psf * inside).sum(dim=(-2, -1)).clamp(*SHARE_LIMITS))
