"""The complete configuration of a store, kept in its attributes."""

from importlib.metadata import version
from typing import Any

from npecat_sim.errors import NpecatError
from npecat_sim.fields.table import FieldTable
from npecat_sim.io.storage import Location
from npecat_sim.model.prior import IMAGE_SIZE, CatalogPrior
from npecat_sim.store import reader as store
from npecat_sim.store import schema
from npecat_sim.units import PIXEL_SCALE

PRIOR = CatalogPrior()
"""The paper's prior over catalogs."""


def settings_of(
    prior: str,
    fields: FieldTable,
    split: str,
    n_images: int,
    seed: int,
    renderer: str,
    images_per_chunk: int,
    catalog_prior: CatalogPrior = PRIOR,
) -> dict[str, Any]:
    """The complete configuration of a store: equal settings mean equal bytes."""
    return {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "npecat_version": version("npecat"),
        "prior": prior,
        "split": split,
        "seed": seed,
        "renderer": renderer,
        "n_images": n_images,
        "images_per_chunk": images_per_chunk,
        "image_size_pixel": IMAGE_SIZE,
        "pixel_scale_arcsec": PIXEL_SCALE,
        "catalog_prior": catalog_prior.to_dict(),
        "fields": fields.source,
        "n_fields": len(fields),
        "n_sky_maps": len(fields.sky_maps),
        "fields_sha256": fields.digest,
        "psf_irregularity": fields.irregularity,
    }


def refuse_other_settings(path: Location, wanted: dict[str, Any]) -> None:
    """Raise NpecatError, with every difference, if the store was made with other settings."""
    found, wanted = _flat(store.settings(path)), _flat(wanted)
    differences = [
        f"{name} = {found.get(name)} instead of {wanted.get(name)}"
        for name in found | wanted
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise NpecatError(
            f"{path} was made with {', '.join(differences)}; "
            "choose another --out or replace it with --overwrite"
        )


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for name, value in nested.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {}
        flat.update(inner or {prefix + name: value})
    return flat
