"""How images, PSFs and tiles reach a network: what a checkpoint and a store must share."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Contents
from npecat_train.network import wide_inputs
from npecat_train.network.inputs import APERTURES, STRETCHES
from npecat_train.network.tile_network import TILE_SIZE


@dataclass(frozen=True)
class Encoding:
    """The form in which a network takes images, PSFs and tiles.

    Parameters
    ----------
    image_unit : str
        Unit of the store's images.
    pixel_scale_arcsec : float or None
        Side of a pixel, arcsec; None if the network is told it with each image.
    psf : str
        The store's description of its PSFs, such as the names and order of their parameters.
    tile_size : int
        Side of a tile, pixels.
    stretches, apertures : tuple
        See inputs.STRETCHES and inputs.APERTURES.
    """

    image_unit: str
    pixel_scale_arcsec: float | None
    psf: str
    tile_size: int = TILE_SIZE
    stretches: tuple[float, ...] = STRETCHES
    apertures: tuple[int, ...] = APERTURES

    @classmethod
    def of(cls, store: Contents) -> "Encoding":
        """Return the encoding in which this npecat gives a store to a network."""
        tells_all = "psf" in store.names
        return cls(
            image_unit=store.about("images")["unit"],
            pixel_scale_arcsec=None if tells_all else store.settings.pixel_scale_arcsec,
            psf=store.about("psf" if tells_all else "psf_parameters")["description"],
        )._of_now()

    def _of_now(self) -> "Encoding":
        """The same with the tiles, stretches and apertures of this npecat."""
        tells_all = self.pixel_scale_arcsec is None
        return replace(
            self,
            tile_size=TILE_SIZE,
            stretches=STRETCHES,
            apertures=wide_inputs.APERTURES if tells_all else APERTURES,
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
        self._refuse(self._of_now(), f"{where} holds a network that this npecat cannot run")

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
