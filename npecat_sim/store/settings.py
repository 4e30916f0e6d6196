"""The complete configuration of a store, kept in the attributes of its root group."""

from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from typing import Any, Self

from npecat_sim.fields.images import Fields
from npecat_sim.fields.table import FieldTable
from npecat_sim.io.plain import from_plain
from npecat_sim.model.prior import IMAGE_SIZE, PAPER_PRIOR, CatalogPrior
from npecat_sim.store import schema
from npecat_sim.units import PIXEL_SCALE


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Everything that determines the content of a store: equal settings give equal bytes.

    Parameters
    ----------
    format : str
        Marks the store as one of npecat.
    format_version : int
        Version of the layout, a key of schema.LAYOUTS.
    npecat_version : str
        Version of the package that made the store.
    prior, split : str
        Prior over fields, and ``train``, ``validation`` or ``test``.
    seed : int
        Seed of all random numbers.
    renderer : str
        A key of render.RENDERERS.
    n_images, images_per_chunk, image_size_pixel : int
        Number of images in the store and in a chunk, and pixels along each side of an image.
    pixel_scale_arcsec : float
        Arcsec per pixel; not of stores of prior ``wide``, whose images have one each.
    catalog_prior : dict
        The parameters of the catalog prior, see CatalogPrior.to_dict; of prior ``wide`` it has the
        greatest density.
    fields : str
        Source of the fields, see FieldTable and ImageTable.
    n_fields, n_sky_maps : int
        Number of fields that images are drawn from, and of those that have a sky map.
    fields_sha256 : str
        Digest of the fields, see FieldTable.digest.
    psf_irregularity : float
        Irregularity of their PSFs, see FieldTable.irregularity.
    survey : dict
        What prior ``wide`` may draw, see wide.survey; not of other stores.
    """

    format: str = schema.FORMAT
    format_version: int = schema.FORMAT_VERSION
    npecat_version: str = field(default_factory=lambda: version("npecat"))
    prior: str
    split: str
    seed: int
    renderer: str
    n_images: int
    images_per_chunk: int
    image_size_pixel: int = IMAGE_SIZE
    pixel_scale_arcsec: float = PIXEL_SCALE
    catalog_prior: dict[str, Any] = field(default_factory=PAPER_PRIOR.to_dict)
    fields: str
    n_fields: int
    n_sky_maps: int = 0
    fields_sha256: str = ""
    psf_irregularity: float = 0.0
    survey: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        table: Fields,
        *,
        catalog_prior: CatalogPrior = PAPER_PRIOR,
        survey: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """The settings of a store whose images are drawn from a table of fields or a survey.

        Parameters
        ----------
        table : FieldTable or ImageTable
            The fields; they give the settings about fields.
        catalog_prior : CatalogPrior, optional
            The prior over catalogs; that of the paper by default.
        survey : dict, optional
            What prior ``wide`` may draw, as plain types; none for another prior.
        **settings
            All other settings, by name.
        """
        of_sdss = table if isinstance(table, FieldTable) else None
        return cls(
            format_version=schema.WIDE_VERSION if survey else schema.FORMAT_VERSION,
            survey=survey or {},
            catalog_prior=catalog_prior.to_dict(),
            fields=table.source,
            n_fields=len(table),
            n_sky_maps=len(of_sdss.sky_maps) if of_sdss else 0,
            fields_sha256=table.digest,
            psf_irregularity=of_sdss.irregularity if of_sdss else 0.0,
            **settings,
        )

    @property
    def chunk_ranges(self) -> list[range]:
        """The images of each chunk."""
        starts = range(0, self.n_images, self.images_per_chunk)
        return [range(start, min(start + self.images_per_chunk, self.n_images)) for start in starts]

    def to_json(self) -> dict[str, Any]:
        """The settings as plain types, in the order of the attributes of a store."""
        absent = {schema.FORMAT_VERSION: "survey", schema.WIDE_VERSION: "pixel_scale_arcsec"}
        plain = asdict(self)
        del plain[absent[self.format_version]]
        return plain

    @classmethod
    def from_json(cls, attributes: dict[str, Any]) -> Self:
        """The settings in the attributes of a store, the inverse of to_json.

        Attributes that this version of npecat does not know are ignored; settings that earlier
        versions did not write have their defaults.

        Raises
        ------
        ValueError
            If a setting is missing, of another type or too small; it names the setting.
        """
        for name, minimum in MINIMUM.items():
            value: Any = attributes.get(name)
            if type(value) is not type(minimum) or value < minimum:
                raise ValueError(f"{name} is {value!r}")
        known = {one.name for one in fields(cls)}
        made = from_plain(cls, {name: one for name, one in attributes.items() if name in known})
        if made.n_images > MAX_CHUNKS * made.images_per_chunk:
            raise ValueError(f"n_images is {made.n_images}, of more than {MAX_CHUNKS:,} chunks")
        return made


MINIMUM: dict[str, Any] = {
    "npecat_version": "",
    "prior": "",
    "split": "",
    "seed": 0,
    "renderer": "",
    "n_images": 1,
    "images_per_chunk": 1,
    "image_size_pixel": 1,
    "fields": "",
    "n_fields": 1,
}
"""Settings that every store has, each with its minimum value, which also gives its type."""

MAX_CHUNKS = 1_000_000
"""Maximum number of chunks of a store that is read: 5e8 images, 26 TB, in chunks of 500."""


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Every setting in which two configurations differ, in words.

    Parameters
    ----------
    found, wanted : dict
        The attributes of two stores, see StoreSettings.to_json.

    Returns
    -------
    list of str
        One entry per setting, such as "seed = 1 instead of 0".
    """
    found, wanted = _flat(found), _flat(wanted)
    return [
        f"{name} = {found.get(name)} instead of {wanted.get(name)}"
        for name in found | wanted
        if found.get(name) != wanted.get(name)
    ]


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for name, value in nested.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {}
        flat.update(inner or {prefix + name: value})
    return flat
