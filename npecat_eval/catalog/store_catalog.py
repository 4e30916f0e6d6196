"""Apply a model to the images of a store: posteriors and likelihoods.

A network of variant wide takes images of the paper's priors, too, and the paper's networks take
those of prior ``wide``: each is told what it knows of the same thing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from npecat_sim.fields.sdss_statistics import nearest_six_numbers
from npecat_sim.model.prior import PSF_SIDE, CatalogPrior
from npecat_sim.psf.sampled import SampledPsf
from npecat_sim.psf.six_numbers import SixNumberPsf
from npecat_sim.store.reader import Store
from npecat_train.data.batch import TrainingBatch
from npecat_train.data.cache import Streamed
from npecat_train.data.loader import batches
from npecat_train.model import TileModel
from npecat_train.posterior.tile_posterior import TilePosterior

BATCH_SIZE = 256
"""Images that the network reads together."""


def images_for(model: TileModel, store: Store) -> Iterator[TrainingBatch]:
    """Read all images of a store in their order, on the model's device.

    Parameters
    ----------
    model : TileModel
        Model that will read the images.
    store : Store
        Images with their true catalogs.

    Returns
    -------
    Iterator of TrainingBatch
        Batches of up to BATCH_SIZE images.

    Raises
    ------
    NpecatError
        If the store is not encoded as the model's training store was, and not translated either.

    Notes
    -----
    A network of six PSF numbers is given the typical ones of the FWHM of each PSF. It takes the
    noise for that of a sky, masked pixels for empty ones, and pixels for those of SDSS.
    """
    stream = batches(Streamed(store, model.device), BATCH_SIZE)
    tells_all = "psf" in store.names
    if model.settings.is_wide and not tells_all:
        return _told_all(stream, store)
    if tells_all and not model.settings.is_wide:
        return map(_with_six_numbers, stream)
    model.settings.encoding.refuse_other(store)
    return stream


def _with_six_numbers(batch: TrainingBatch) -> TrainingBatch:
    """Images of prior ``wide`` with PSFs of six numbers."""
    assert batch.psf is not None
    stamps = batch.psf.double().cpu().numpy()
    numbers = [nearest_six_numbers(SampledPsf(stamp)).parameters for stamp in stamps]
    return replace(batch, psf_parameters=torch.tensor(np.array(numbers), device=batch.psf.device))


def _told_all(stream: Iterable[TrainingBatch], store: Store) -> Iterator[TrainingBatch]:
    """Yield images of the paper's priors with all that a network of variant wide takes."""
    prior = CatalogPrior.from_dict(store.settings.catalog_prior)
    numbers = {
        "pixel_scale": store.settings.pixel_scale_arcsec,
        "density": prior.density,
        "star_share": 1 - prior.galaxy_probability,
        "noise_correlation": 1.0,
        "faint_flux": prior.star_flux.loc + prior.star_flux.scale,
    }
    for batch in stream:
        assert batch.psf_parameters is not None
        parameters = batch.psf_parameters.cpu().numpy()
        stamps = np.array([SixNumberPsf.of(one).stamp(PSF_SIDE) for one in parameters], np.float32)
        told = {name: torch.full((len(batch),), number) for name, number in numbers.items()}
        told["psf"] = torch.from_numpy(stamps)
        told["mask"] = torch.zeros(batch.images.shape, dtype=torch.uint8)
        device = batch.images.device
        yield replace(batch, **{name: tensor.to(device) for name, tensor in told.items()})


def store_posteriors(
    model: TileModel, stream: Iterable[TrainingBatch]
) -> Iterator[tuple[TrainingBatch, TilePosterior]]:
    """Compute the posterior of the tiles of each batch.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    stream : iterable of TrainingBatch
        See images_for.

    Yields
    ------
    batch : TrainingBatch
        As it came.
    posterior : TilePosterior
        (batch, row, column).
    """
    for batch in stream:
        yield batch, model.posterior(batch)


def negative_log_likelihoods(
    model: TileModel, stream: Iterable[TrainingBatch]
) -> dict[str, np.ndarray]:
    """Compute the negative log-likelihood of the true tile catalog of each image.

    Parameters
    ----------
    model : TileModel
        Network that predicts the posterior.
    stream : iterable of TrainingBatch
        See images_for.

    Returns
    -------
    dict of str to ndarray
        Factor of the posterior -> float32 (image,), nats.
    """
    losses: dict[str, list[Tensor]] = {}
    for batch in stream:
        for name, log_prob in model.log_prob(batch).items():
            losses.setdefault(name, []).append(-log_prob)
    return {name: torch.cat(parts).cpu().numpy() for name, parts in losses.items()}
