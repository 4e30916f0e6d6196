"""The Zarr stores of simulated images, and their contract; imports io, model, fields."""

from npecat_sim.store.reader import Batch, Contents, Store

__all__ = ["Batch", "Contents", "Store"]
