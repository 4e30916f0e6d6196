"""What was found in an image, as a page to read and as cards of a catalog's header."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Findings:
    """Measurements of an image, in its own unit unless another is named.

    Parameters
    ----------
    unit : str
        Unit of a pixel, "counts" or "nmgy".
    size : tuple of int
        Width and height, pixels.
    sky : float
        Median sky: of the image where it still held its sky, else what was left of it.
    gradient : float
        Change of the sky over the image, 5 % to 95 % quantile.
    sky_was : str
        What became of the sky, in words.
    noise, noise_under_psf : float
        Noise of a pixel; and of a pixel of white noise with which the flux of a faint star would
        have the error that it has. The second is NaN in a crowd.
    is_white : bool
        Whether neighbouring pixels have independent noise.
    noise_correlation : float
        Noise with which a network that knows white noise reads the image, over that of a pixel.
    noise_ratio : float
        Noise that the network is told, over that which sky and gain explain; NaN if these are not
        known.
    other_noise : float
        Share of the image whose noise is not that of the rest.
    gain : float
        Electrons per unit.
    gain_was : str
        Where the gain comes from, in words.
    fwhm : float
        FWHM of the PSF that is used, arcsec.
    psf_was : str
        Where the PSF comes from, in words.
    psf_map_was : str
        Where its shape at every place comes from, in words.
    saturation : float
        Level of saturation; NaN if there is none.
    saturation_was : str
        Where it comes from, in words.
    n_saturated, n_single : int
        Pixels that are saturated, and single hot or dead pixels.
    no_data, constant : float
        Shares of the pixels that hold no data, and of those in constant blocks.
    lit, crowded : float
        Shares of the pixels in which light of sources is detected, and of those in regions that
        are more crowded than in training.
    warnings : tuple of str
        What the user should know, a sentence each.
    notes : mapping
        Name -> text of what was told of the image.
    """

    unit: str
    size: tuple[int, int]
    sky: float
    gradient: float
    sky_was: str
    noise: float
    noise_under_psf: float
    is_white: bool
    noise_correlation: float
    noise_ratio: float
    other_noise: float
    gain: float
    gain_was: str
    fwhm: float
    psf_was: str
    psf_map_was: str
    saturation: float
    saturation_was: str
    n_saturated: int
    n_single: int
    no_data: float
    constant: float
    lit: float
    crowded: float
    warnings: tuple[str, ...]
    notes: Mapping[str, str]

    def page(self) -> str:
        """All findings but the warnings, a line each."""
        width, height = self.size
        sigma = self.noise
        rows = {
            "image": f"{width:,} x {height:,} pixels, {self.no_data:.2%} without data"
            + (f" ({self.constant:.2%} in constant blocks)" if self.constant else "")
            + f", {self.n_single:,} single hot or dead pixels",
            "sky": f"{self.sky:.4g} {self.unit} ({self.sky / sigma:.2f} noise sigmas), "
            f"{self.gradient:.3g} ({self.gradient / sigma:.2f}) from place to place; "
            f"{self.sky_was}",
            "noise": f"{sigma:.4g} {self.unit} a pixel, {self._under_psf()}, "
            f"{'white' if self.is_white else 'shared by neighbouring pixels'}"
            + (
                f"; {self.noise_ratio:.2f} times what sky and gain explain"
                if np.isfinite(self.noise_ratio)
                else ""
            )
            + (f"; other in {self.other_noise:.1%} of the image" if self.other_noise else ""),
            "gain": f"{self.gain:.4g} electrons a {self.unit.rstrip('s')}, {self.gain_was}",
            "PSF": f"FWHM {self.fwhm:.3f} arcsec, {self.psf_was}",
            "PSF shape": self.psf_map_was,
            "saturation": "none seen"
            if np.isnan(self.saturation)
            else f"{self.saturation:.5g} {self.unit}, {self.saturation_was}; "
            f"{self.n_saturated:,} pixels",
            "light": f"{self.lit:.1%} of the pixels hold light of sources, "
            f"{self.crowded:.1%} lie in crowded regions",
            **self.notes,
        }
        return "\n".join(f"{name:<11}{text}" for name, text in rows.items())

    def _under_psf(self) -> str:
        """The noise under the PSF in words."""
        if np.isnan(self.noise_under_psf):
            return "too crowded to measure it under the PSF"
        return f"{self.noise_under_psf:.4g} under the PSF"

    def cards(self) -> dict[str, Any]:
        """Keyword of at most 8 letters -> value, for the header of a catalog."""
        numbers = {
            "SKYLEVEL": self.sky,
            "SKYGRAD": self.gradient,
            "NOISE": self.noise,
            "NOISEPSF": self.noise_under_psf,
            "NOISERAT": self.noise_ratio,
            "SATURATE": self.saturation,
        }
        known = {name: float(f"{v:.6g}") for name, v in numbers.items() if np.isfinite(v)}
        return {
            **known,
            "SKYWAS": self.sky_was,
            "PSFWIDTH": self.psf_was,
            "PSFSHAPE": self.psf_map_was,
            "GAINWAS": self.gain_was,
            "NODATA": round(self.no_data, 6),
            "LIT": round(self.lit, 6),
            "CROWDED": round(self.crowded, 6),
            **{f"WARN{number}": text for number, text in enumerate(self.warnings, start=1)},
        }
