"""Files that belong together and are replaced together."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from npecat_sim.io.disk import to_disk
from npecat_sim.io.leftovers import DAY, abandoned, mark
from npecat_sim.io.storage import PARTIAL, writing


@contextmanager
def replacing_set(folder: Path) -> Iterator[Path]:
    """A temporary folder, whose files move to ``folder`` at the end of the block.

    Old files of the same names are deleted before the first new one comes, so that old and new
    never stand side by side, wherever the process is killed. Other files in the folder stay.

    Parameters
    ----------
    folder : Path
        The folder, which is made if it is missing.

    Yields
    ------
    Path
        The temporary folder to write to.

    Raises
    ------
    NpecatError
        If the files cannot be written.
    """
    partial = folder / f".set.{mark()}{PARTIAL}"
    try:
        with writing(folder):
            for old in abandoned(folder, ".set.", seconds=DAY):
                shutil.rmtree(old, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            files = sorted(partial.iterdir())
            for file in files:
                (folder / file.name).unlink(missing_ok=True)
            for file in files:
                file.replace(folder / file.name)
            to_disk(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
