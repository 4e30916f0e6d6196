"""The PSF of an image, from what was told of it and from its bright sources."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.fields.sdss_statistics import typical_psf
from npecat_sim.psf.base import Psf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.psf.varying import ConstantMap, PsfMap
from npecat_sim.surveys.inspection.decisions import TYPICAL_FWHM, decide_map, decide_psf
from npecat_sim.surveys.inspection.stars import StarWidth, measure_width, pick_stars
from npecat_sim.surveys.inspection.told import Told
from npecat_sim.surveys.psf_from_stars import MAX_STARS, PsfOfStars, psf_of_stars


@dataclass(frozen=True)
class BrightLight:
    """The bright sources of an image, which tell its PSF.

    Parameters
    ----------
    residual : ndarray
        float32 (y, x), sky-subtracted.
    sources : ndarray
        From detection.bright_sources.
    spoilt : ndarray
        bool (y, x): pixels that no star may have in its core, such as saturated ones.
    sigma : float
        Noise of a pixel of blank sky.
    electrons : float
        Electrons per unit of the image.
    """

    residual: np.ndarray
    sources: np.ndarray
    spoilt: np.ndarray
    sigma: float
    electrons: float

    def psf(self, told: Told, warnings: list[str]) -> tuple[Psf, PsfMap, str, str]:
        """Decide what to believe of the PSF that was told.

        Parameters
        ----------
        told : Told
            What was told.
        warnings : list of str
            Warnings are appended.

        Returns
        -------
        psf : Psf
            The PSF in the middle of the image: of six numbers unless another kind was told.
        psf_map : PsfMap
            The PSF at every place: as it was told, or from the stars of the image.
        words, map_words : str
            Where each comes from.

        Raises
        ------
        NpecatError
            If none was told and there are too few stars.
        """
        shape = told.psf or typical_psf(TYPICAL_FWHM)
        given = told.psf_map
        if given is None or given.is_constant:
            psf, words = decide_psf(self._width(ConstantMap(shape)), told, warnings)
            is_told = given is not None or (told.trust_psf and told.psf is not None)
            own = None if is_told else self._own_psf()
            if own:
                return psf, own.psf_map, words, own.words
            return psf, ConstantMap(psf), words, "the same everywhere"
        height, width = self.residual.shape
        centre = (width - 1) / 2, (height - 1) / 2
        psf_map, map_words = decide_map(
            given, given.at(*centre), self._width(given), told, warnings
        )
        if not isinstance(shape, SixNumberPsf):
            return psf_map.at(*centre), psf_map, map_words, "as told at every place"
        psf, words = decide_psf(self._width(ConstantMap(shape)), told, [])
        return psf, psf_map, words, f"as told at every place; {map_words}"

    def _width(self, psf: PsfMap) -> StarWidth | None:
        """The width of the stars."""
        return measure_width(psf=psf, **vars(self))

    def _own_psf(self) -> PsfOfStars | None:
        """The PSF of the stars, if there are enough."""
        stars = pick_stars(**vars(self), most=MAX_STARS, bright_suffice=False)
        if stars is None:
            return None
        noise = {name: value for name, value in vars(self).items() if name != "sources"}
        return psf_of_stars(stars=stars, **noise)
