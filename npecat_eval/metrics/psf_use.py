"""Test whether a network uses the PSF that it is given.

The posterior of each image is computed twice: with the PSF parameters of the image and with those
of another image. If the network uses the PSF, the wrong one raises the negative log-likelihood of
the true catalog; if it ignores the PSF, the likelihood stays the same.
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
"""The rise counts as detected if it exceeds this many of its standard errors."""

SEED = 11
"""Seed of the shuffling, fixed so that each run shuffles in the same way."""


@dataclass(frozen=True)
class PsfUse:
    """Negative log-likelihoods of the images with the right and with a wrong PSF.

    Parameters
    ----------
    true, shuffled : dict of str to ndarray
        Factor of the posterior -> float32 (image,), nats: with the PSF of the image itself and
        with the PSF of another image.
    """

    true: dict[str, np.ndarray]
    shuffled: dict[str, np.ndarray]

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors of the posterior."""
        return tuple(self.true)

    def rise(self, *factors: str) -> tuple[float, float]:
        """Compute the rise of the negative log-likelihood where the PSF is wrong.

        The same image is compared with itself, so the differences between images cancel.

        Parameters
        ----------
        *factors : str
            Factors over which the rise is summed.

        Returns
        -------
        rise, error : float
            Mean over the images of ``shuffled`` minus ``true``, nats, and its standard error.
        """
        differences = [self.shuffled[name].astype(float) - self.true[name] for name in factors]
        of_images = np.sum(differences, axis=0)
        return float(of_images.mean()), float(of_images.std(ddof=1) / np.sqrt(len(of_images)))

    @property
    def is_clear(self) -> bool:
        """True if the likelihood is clearly lower with the PSF of another image."""
        rise, error = self.rise(*self.factors)
        return rise > CLEAR_SIGMAS * error


def psf_use(model: TileModel, store: Store) -> PsfUse:
    """Evaluate every image of a store with its own PSF and with that of another image.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    store : Store
        Images with their true catalogs and different PSFs.

    Returns
    -------
    PsfUse

    Raises
    ------
    NpecatError
        If there are fewer than two different PSFs, or the store is not encoded as the model's
        training store was.
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
    true = negative_log_likelihoods(model, images_for(model, store))
    shuffled = negative_log_likelihoods(model, _with_psf(images_for(model, store), of_another))
    return PsfUse(true, shuffled)


def _with_psf(
    stream: Iterator[TrainingBatch], psf_parameters: np.ndarray
) -> Iterator[TrainingBatch]:
    """Yield the batches with other PSF parameters, (image, 6)."""
    first = 0
    for batch in stream:
        rows = slice(first, first + len(batch))
        other = torch.from_numpy(psf_parameters[rows]).to(batch.psf_parameters)
        yield replace(batch, psf_parameters=other)
        first = rows.stop
