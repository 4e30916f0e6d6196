"""Does a network use the PSF that it is given?

Each image is judged twice: with its own PSF parameters and with those of another image. What a
network reads off them shows as a rise of the negative log-likelihood of the true catalog; one
that looks past them loses nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from npecat_eval.catalog.store_catalog import images_for, negative_log_likelihoods
from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.model import TileModel

CLEAR_SIGMAS = 5.0
"""The rise counts as seen if it exceeds this many of its standard errors."""

SEED = 11
"""Fixed, so that reruns shuffle alike."""


@dataclass(frozen=True)
class PsfUse:
    """Negative log-likelihood of each image by factor, nats: factor -> float32 (image,).

    true: with the PSF of the image. shuffled: with the PSF of another image.
    """

    true: dict[str, np.ndarray]
    shuffled: dict[str, np.ndarray]

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors."""
        return tuple(self.true)

    def rise(self, *factors: str) -> tuple[float, float]:
        """Mean over the images of shuffled minus true, summed over factors, and its error.

        The images are paired: what makes one of them hard cancels.
        """
        differences = [self.shuffled[name].astype(float) - self.true[name] for name in factors]
        of_images = np.sum(differences, axis=0)
        return float(of_images.mean()), float(of_images.std(ddof=1) / np.sqrt(len(of_images)))

    @property
    def is_clear(self) -> bool:
        """True if the likelihood falls clearly where the PSF is another image's."""
        rise, error = self.rise(*self.factors)
        return rise > CLEAR_SIGMAS * error


def psf_use(model: TileModel, store: Store) -> PsfUse:
    """Judge every image of a store with its own and with another image's PSF.

    Raises NpecatError if the images have one PSF, or are fewer than two: that shows nothing.
    """
    psf = store.array("psf_parameters")
    if len(np.unique(psf, axis=0)) < 2:
        raise NpecatError(
            f"{store.path}: all images have one PSF, so that shuffling it shows nothing; take a "
            "test store of prior many"
        )
    order = np.random.default_rng(SEED).permutation(len(psf))
    of_another = np.empty_like(psf)
    of_another[order] = psf[np.roll(order, 1)]
    true, shuffled = (
        negative_log_likelihoods(model, stream)
        for stream in (
            images_for(model, store),
            _with_psf(images_for(model, store), of_another),
        )
    )
    return PsfUse(true, shuffled)


def _with_psf(
    stream: Iterator[TrainingBatch], psf_parameters: np.ndarray
) -> Iterator[TrainingBatch]:
    """The batches with other PSF parameters, (image, 6)."""
    first = 0
    for batch in stream:
        rows = slice(first, first + len(batch))
        other = torch.from_numpy(psf_parameters[rows]).to(batch.psf_parameters)
        yield replace(batch, psf_parameters=other)
        first = rows.stop
