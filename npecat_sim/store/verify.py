"""Find every fault of a store: files that are missing, changed or do not belong to it."""

from npecat_sim.io import storage
from npecat_sim.io.storage import Location
from npecat_sim.progress import progress
from npecat_sim.store import manifest
from npecat_sim.store import reader as store


def verify(path: Location) -> list[str]:
    """Read every file of a finished store and compare it with the manifest.

    Progress is shown on standard error.

    Returns
    -------
    list of str
        One line per fault, which begins with the path of the file in the store; empty for a store
        that is as it was written.

    Raises
    ------
    NpecatError
        If there is no store, or it is unfinished or of another format.
    """
    store.refuse_unfinished(path)
    files = manifest.read(path / store.MANIFEST)
    if files is None:
        store.settings(path)  # raises for a store of another format
        return [f"{store.MANIFEST} is damaged, so the other files cannot be checked"]

    def fault(file: tuple[str, manifest.Fingerprint]) -> str | None:
        name, listed = file
        words = manifest.fault(path / name, listed, thorough=True)
        return f"{name} {words}" if words else None

    faults = []
    with progress(f"verify {path}", len(files), unit="files") as advance:
        for found in storage.at_once(fault, files.items()):
            faults += [found] if found else []
            advance(1, "")
    strangers = sorted(storage.sizes(path).keys() - files.keys() - {store.MANIFEST})
    return faults + [f"{name} is not in the manifest" for name in strangers]
