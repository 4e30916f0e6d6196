"""The sections of a survey: what its stars, detector, sky, sources and defects may be.

The defaults are those of prior ``wide``.
"""

from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from npecat_sim.model.prior import PAPER_PRIOR, ShiftedGamma, TruncatedPareto
from npecat_sim.psf.parametric import PROFILES

Range = tuple[float, float]
"""Least and greatest value of a quantity; both are the same where it is fixed."""

SIX_NUMBERS = "six_numbers"
"""Name of the profile of a random SDSS field, scaled to the width of the image."""

MAX_DENSITY = 2e-2
"""Maximum density, sources per pixel: 128 an image. At it half of the sources have a neighbour
within 4 pixels."""

WIDTHS: Range = (1.3, 7.0)
"""Pixels: FWHM of the light of a star before it meets the pixels. Below, a star is hardly more than
a pixel; above, an image can be binned without a loss."""

DEPTHS: Range = (0.03, 3.0)
"""Noise under the PSF in units of the flux of the faintest source: a factor of 100. Prior ``many``
has 0.25, where the faintest source has 4 sigma."""


PROFILE_NAMES = (*PROFILES, SIX_NUMBERS)
"""Names of all profiles."""


class Quantity(NamedTuple):
    """Unit of a quantity, empty if it has none, and the limits of values that make sense."""

    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class PsfLaws:
    """How stars look.

    Parameters
    ----------
    profile : dict of str to float
        Share of the images that have each profile: ``gaussian``, ``moffat``, ``kolmogorov`` and
        ``six_numbers`` (SDSS's).
    fwhm, width : tuple of float
        FWHM of the light before it meets the pixels in arcsec and in pixels. It is drawn where both
        ranges allow.
    beta : tuple of float
        Exponent of a Moffat profile.
    ellipticity : tuple of float
        (a - b) / (a + b).
    irregularity : float
        Largest rms departure from the profile as a share of the peak, see psf_irregularity. PSFs of
        SDSS depart by 1 to 3 %, aberrated optics by 1 to 4 % (experiments.psf_families).
    irregular : float
        Share of images whose PSF is irregular.
    """

    profile: dict[str, float] = field(
        default_factory=lambda: {
            "gaussian": 0.15,
            "moffat": 0.5,
            "kolmogorov": 0.2,
            SIX_NUMBERS: 0.15,
        }
    )
    fwhm: Annotated[Range, Quantity("arcsec", 0.1, 60)] = (0.4, 6.0)
    width: Annotated[Range, Quantity("pixel", *WIDTHS)] = WIDTHS
    beta: Annotated[Range, Quantity("", 1.5, 20)] = (2.0, 5.0)
    ellipticity: Annotated[Range, Quantity("", 0, 0.5)] = (0.0, 0.15)
    irregularity: Annotated[float, Quantity("", 0, 0.1)] = 0.06
    irregular: Annotated[float, Quantity("", 0, 1)] = 0.5


@dataclass(frozen=True)
class Detector:
    """How electrons are counted. Without a zero point and a gain the noise is drawn by depth.

    Parameters
    ----------
    zero_point : tuple of float, optional
        AB magnitude of one count of the whole exposure.
    gain : tuple of float, optional
        Electrons per count.
    read_noise : tuple of float
        Electrons per pixel.
    saturation : tuple of float, optional
        Counts above which a pixel is saturated; without it, see Artifacts.saturated.
    """

    zero_point: Annotated[Range | None, Quantity("AB mag of one count", 0, 60)] = None
    gain: Annotated[Range | None, Quantity("electrons per count", 1e-6, 1e9)] = None
    read_noise: Annotated[Range, Quantity("electrons", 0, 1000)] = (1.0, 15.0)
    saturation: Annotated[Range | None, Quantity("counts", 1, 1e9)] = None


@dataclass(frozen=True)
class Sky:
    """The light of the sky, and errors of what is told about it and its noise.

    Parameters
    ----------
    brightness : tuple of float, optional
        AB magnitude per arcsec^2; it goes with Detector.zero_point and gain.
    electrons : tuple of float
        Electrons per pixel, where the brightness is not given.
    depth : tuple of float
        Noise under the PSF in units of the faintest source, where the brightness is not given.
    slope : tuple of float
        Change of the sky across the image as a share of it.
    error : float
        Standard deviation of the error of the subtracted sky, in sigmas of a pixel: its mean and
        its slope across the image alike.
    steps : float
        Share of images with a straight edge beyond which fewer exposures make the noise larger.
    correlated : float
        Share of images with correlated noise, as of images that were resampled.
    correlation : tuple of float
        Standard deviation of the Gaussian with which white noise is then convolved, pixels.
    """

    brightness: Annotated[Range | None, Quantity("AB mag per arcsec^2", 5, 30)] = None
    electrons: Annotated[Range, Quantity("electrons per pixel", 0.1, 1e7)] = (10.0, 3e4)
    depth: Annotated[Range, Quantity("of the faintest source's flux", *DEPTHS)] = DEPTHS
    slope: Annotated[Range, Quantity("", 0, 0.5)] = (0.0, 0.05)
    error: Annotated[float, Quantity("sigma of a pixel", 0, 1)] = 0.05
    steps: Annotated[float, Quantity("", 0, 1)] = 0.15
    correlated: Annotated[float, Quantity("", 0, 1)] = 0.3
    correlation: Annotated[Range, Quantity("pixel", 0, 3)] = (0.3, 1.0)


@dataclass(frozen=True)
class Sources:
    """How many sources there are, and of which kinds.

    Parameters
    ----------
    density : tuple of float
        Sources per pixel.
    per_arcmin2 : tuple of float, optional
        Sources per arcmin^2, in place of the density.
    star_share : tuple of float
        Share of the sources that are stars.
    only_stars : float
        Share of images in which all sources are stars.
    faint_magnitude : float, optional
        AB magnitude of the faintest source; the flux laws are scaled to it.
    star_flux, galaxy_flux : TruncatedPareto
        Laws of the flux, nanomaggies; the paper's by default.
    disk_radius, bulge_radius : ShiftedGamma
        Laws of the half-light radii, arcsec; the paper's by default.
    """

    density: Annotated[Range, Quantity("sources per pixel", 1e-6, MAX_DENSITY)] = (
        5e-5,
        MAX_DENSITY,
    )
    per_arcmin2: Annotated[Range | None, Quantity("sources per arcmin^2", 1e-3, 1e6)] = None
    star_share: Annotated[Range, Quantity("", 0, 1)] = (0.0, 1.0)
    only_stars: Annotated[float, Quantity("", 0, 1)] = 0.0
    faint_magnitude: Annotated[float | None, Quantity("AB mag", 0, 35)] = None
    star_flux: TruncatedPareto = PAPER_PRIOR.star_flux
    galaxy_flux: TruncatedPareto = PAPER_PRIOR.galaxy_flux
    disk_radius: ShiftedGamma = PAPER_PRIOR.disk_radius
    bulge_radius: ShiftedGamma = PAPER_PRIOR.bulge_radius


@dataclass(frozen=True)
class Artifacts:
    """Rates of what is on an image besides sky and sources; an image has 80 x 80 pixels.

    Parameters
    ----------
    cosmic_rays : tuple of float
        Mean number of cosmic rays an image.
    hot_pixels : tuple of float
        Mean number of hot pixels an image.
    bad_columns : float
        Share of images with dead columns or rows.
    no_data : float
        Share of images that reach beyond the data.
    saturated : float
        Share of images with a saturation level, where Detector.saturation is not given.
    bright_stars : float
        Share of images in or near which there is a very bright star.
    """

    cosmic_rays: Annotated[Range, Quantity("an image", 0, 100)] = (0.1, 3.0)
    hot_pixels: Annotated[Range, Quantity("an image", 0, 100)] = (0.5, 0.5)
    bad_columns: Annotated[float, Quantity("", 0, 1)] = 0.1
    no_data: Annotated[float, Quantity("", 0, 1)] = 0.05
    saturated: Annotated[float, Quantity("", 0, 1)] = 0.6
    bright_stars: Annotated[float, Quantity("", 0, 1)] = 0.1
