"""How images, PSFs and tiles reach a network: what a checkpoint and a store must share."""

from dataclasses import asdict, dataclass
from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Contents
from npecat_train.network.inputs import APERTURES, STRETCHES
from npecat_train.network.tile_network import TILE_SIZE


@dataclass(frozen=True)
class Encoding:
    """The form in which a network takes images, PSFs and tiles.

    Parameters
    ----------
    image_unit : str
        Unit of the store's images.
    pixel_scale_arcsec : float
        Side of a pixel, arcsec.
    psf : str
        Names and order of the store's PSF parameters.
    tile_size : int
        Side of a tile, pixels.
    stretches, apertures : tuple
        See inputs.STRETCHES and inputs.APERTURES.
    """

    image_unit: str
    pixel_scale_arcsec: float
    psf: str
    tile_size: int = TILE_SIZE
    stretches: tuple[float, ...] = STRETCHES
    apertures: tuple[int, ...] = APERTURES

    @classmethod
    def of(cls, store: Contents) -> "Encoding":
        """Return the encoding in which this npecat gives a store to a network."""
        return cls(
            image_unit=store.about("images")["unit"],
            pixel_scale_arcsec=store.settings.pixel_scale_arcsec,
            psf=store.about("psf_parameters")["description"],
        )

    def refuse_other(self, store: Contents) -> None:
        """Raise NpecatError, with every difference, if a store is not of this encoding."""
        self._refuse(Encoding.of(store), f"{store.path} does not suit this network")

    def refuse_old(self, where: Path) -> None:
        """Raise NpecatError if this npecat makes other inputs or tiles.

        Parameters
        ----------
        where : Path
            The file that the encoding is from, for the error.
        """
        here = Encoding(self.image_unit, self.pixel_scale_arcsec, self.psf)
        self._refuse(here, f"{where} holds a network that this npecat cannot run")

    def _refuse(self, other: "Encoding", problem: str) -> None:
        """Raise NpecatError, with every difference, if another encoding is not this one."""
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
