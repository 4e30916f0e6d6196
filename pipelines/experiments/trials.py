"""Test stores of one condition at a time, with the sky and the gain of SDSS."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from dask.system import CPU_COUNT

from npecat_sim.fields.sdss_statistics import default_fields
from npecat_sim.model.streams import Purpose, stream
from npecat_sim.progress import progress
from npecat_sim.render import DEFAULT_RENDERER, RENDERERS
from npecat_sim.simulation.simulate import Task, prepare
from npecat_sim.simulation.wide_images import batch_of
from npecat_sim.store import writer
from npecat_sim.store.reader import Store
from npecat_sim.store.settings import StoreSettings
from npecat_sim.units import PIXEL_SCALE, magnitude
from npecat_sim.wide.conditions import Conditions, regular_stamp
from npecat_sim.wide.draws import NO_ARTIFACTS, draw_conditions
from npecat_sim.wide.image import draw_image
from npecat_sim.wide.sections import SIX_NUMBERS, Artifacts, Detector, PsfLaws, Sky, Sources
from npecat_sim.wide.survey import Survey

from .psf_families import FAMILIES

SKY = 5.6
"""Nanomaggies per square arcsec: the sky of SDSS in the r band."""

GAIN = 990.0
"""Electrons per nanomaggy of SDSS in the r band."""

STAR_SHARE = 0.486
"""Of the paper's prior."""

DENSITY = 6.25e-4
"""Sources per pixel of the paper's prior."""

FWHM = (0.8, 1.8)
"""Arcsec: the seeing of SDSS."""

SPLIT = "test"
"""Split of the streams of random numbers."""

SEED = 20
"""Of the test stores."""

IMAGES_PER_CHUNK = 100
"""Images that a process makes at a time."""


@dataclass(frozen=True)
class Trial:
    """What the images of a test store are like.

    Parameters
    ----------
    survey : Survey
        All but the shapes of PSFs, whose widths it gives.
    family : str or None
        A key of FAMILIES; None for the profiles of the survey.
    """

    survey: Survey
    family: str | None

    def draw(self, seed: int, index: int) -> Conditions:
        """The conditions of an image."""
        drawn = draw_conditions(self.survey, default_fields(), seed, split=SPLIT, index=index)
        if self.family is None:
            return drawn
        generator = stream(seed, SPLIT, index=index, purpose=Purpose.PSF_KERNEL)
        psf = FAMILIES[self.family](generator, drawn.psf_shape[0])
        return replace(drawn, psf=psf, stamp=regular_stamp(psf))


def condition(
    name: str,
    family: str | None = None,
    *,
    pixel_scale: float = PIXEL_SCALE,
    fwhm: tuple[float, float] = FWHM,
    density: float = DENSITY,
    star_share: float = STAR_SHARE,
    correlated: float = 0.0,
    artifacts: Artifacts = NO_ARTIFACTS,
) -> Trial:
    """Conditions of SDSS but for what is given; the PSF is that of its fields without a family."""
    survey = Survey(
        name=name,
        pixel_scale=(pixel_scale, pixel_scale),
        psf=PsfLaws(
            profile={"moffat": 1.0} if family else {SIX_NUMBERS: 1.0}, fwhm=fwhm, irregular=0.0
        ),
        detector=Detector(
            zero_point=(22.5, 22.5), gain=(GAIN, GAIN), read_noise=(0.0, 0.0), saturation=None
        ),
        sky=Sky(
            brightness=(magnitude(SKY), magnitude(SKY)),
            slope=(0.0, 0.0),
            error=0.0,
            steps=0.0,
            correlated=correlated,
        ),
        sources=Sources(density=(density, density), star_share=(star_share, star_share)),
        artifacts=artifacts,
    )
    return Trial(survey, family)


WIDTHS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
"""Pixels: widths at which every bright star should be found."""

CONDITIONS = {
    one.survey.name: one
    for one in (
        *(condition(name, name) for name in FAMILIES),
        condition("density_1e-4", density=1e-4),
        condition("density_2.5e-3", density=2.5e-3),
        condition("density_1e-2", density=1e-2),
        condition("stars_1.5e-2", density=1.5e-2, star_share=1.0, fwhm=(1.3, 1.3)),
        condition("pixels_0.2", "elliptical", pixel_scale=0.2, fwhm=(0.6, 1.1)),
        condition("pixels_1.0", "elliptical", pixel_scale=1.0, fwhm=(1.7, 3.0)),
        *(
            condition(f"width_{width:g}", "elliptical", fwhm=(width * PIXEL_SCALE,) * 2)
            for width in WIDTHS
        ),
        condition("artifacts", "elliptical", artifacts=Artifacts()),
        condition("correlated", "elliptical", correlated=1.0),
    )
}
"""Name -> condition."""


def make_store(
    data: Path, name: str, *, images: int, seed: int = SEED, renderer: str = DEFAULT_RENDERER
) -> Store:
    """A test store, made unless it is there.

    Parameters
    ----------
    data : Path
        Folder of all test stores.
    name : str
        A key of CONDITIONS.
    images : int
        Number of images.
    seed : int, optional
        Of their random numbers.
    renderer : str, optional
        A key of RENDERERS.

    Returns
    -------
    Store

    Raises
    ------
    NpecatError
        If a store of other settings is there.
    """
    path = data / renderer / name / "test.zarr"
    settings = StoreSettings.of(
        default_fields(),
        catalog_prior=CONDITIONS[name].survey.catalog_prior,
        survey=CONDITIONS[name].survey.to_plain(),
        prior="wide",
        split=SPLIT,
        n_images=images,
        seed=seed,
        renderer=renderer,
        images_per_chunk=IMAGES_PER_CHUNK,
    )
    tasks = prepare(path, settings)
    if tasks:
        with (
            progress(name, images) as advance,
            ProcessPoolExecutor(CPU_COUNT, mp_context=get_context("spawn")) as pool,
        ):
            for task in pool.map(partial(_make_chunk, name=name), tasks):
                advance(len(task.images), "")
        writer.seal(path)
    return Store(path)


def _make_chunk(task: Task, *, name: str) -> Task:
    """Make and write one chunk of the store of a condition."""
    settings, drawn = task.settings, []
    for index in task.images:
        told = CONDITIONS[name].draw(settings.seed, index)
        draw = RENDERERS[settings.renderer]
        image = draw_image(told, settings.seed, split=SPLIT, index=index, draw=draw)
        drawn.append((told, image))
    batch = batch_of(drawn, CONDITIONS[name].survey.catalog_prior.capacity)
    writer.write_chunk(task.path, settings, chunk=task.chunk, batch=batch)
    return task
