"""How images, PSFs and tiles are told to a network: what a checkpoint and a store must share."""

from dataclasses import asdict, dataclass
from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Contents
from npecat_train.network.inputs import APERTURES, STRETCHES
from npecat_train.network.tile_network import TILE_SIZE


@dataclass(frozen=True)
class Encoding:
    """image_unit: of the store's images. psf: names and order of its PSF parameters.

    tile_size: pixels. stretches, apertures: see inputs.py.
    """

    image_unit: str
    pixel_scale_arcsec: float
    psf: str
    tile_size: int = TILE_SIZE
    stretches: tuple[float, ...] = STRETCHES
    apertures: tuple[int, ...] = APERTURES

    @classmethod
    def of(cls, store: Contents) -> "Encoding":
        """What this version of npecat makes of a store."""
        return cls(
            image_unit=store.about("images")["unit"],
            pixel_scale_arcsec=store.settings.pixel_scale_arcsec,
            psf=store.about("psf_parameters")["description"],
        )

    def refuse_other(self, store: Contents) -> None:
        """Raise NpecatError, with every difference, where a store is not of this encoding."""
        self._refuse(Encoding.of(store), f"{store.path} does not suit this network")

    def refuse_old(self, where: Path) -> None:
        """Raise NpecatError where this npecat makes other inputs and tiles; ``where``: a file."""
        here = Encoding(self.image_unit, self.pixel_scale_arcsec, self.psf)
        self._refuse(here, f"{where} holds a network that this npecat cannot run")

    def _refuse(self, other: "Encoding", problem: str) -> None:
        trained, here = asdict(self), asdict(other)
        differences = [
            f"{name} {trained[name]}, not {here[name]}"
            for name in trained
            if trained[name] != here[name]
        ]
        if differences:
            raise NpecatError(
                f"{problem}, which was trained with {'; '.join(differences)}; train it again for "
                "the images at hand"
            )
