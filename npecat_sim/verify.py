"""Find every fault of a store: files that are missing, changed or not its own."""

from pathlib import Path

from npecat_sim import manifest, store
from npecat_sim.progress import progress


def verify(path: Path) -> list[str]:
    """Read every file of a finished store and compare it with the manifest.

    Returns a line a fault, which begins with the file's path inside the store; none for a store
    that is what was written. Shows progress on standard error. Raises NpecatError where there is
    no store, or it is unfinished or of another format.
    """
    store.refuse_unfinished(path)
    files = manifest.read(path / store.MANIFEST)
    if files is None:
        store.settings(path)  # a store of another format says so
        return [f"{store.MANIFEST} is damaged, so the other files cannot be checked"]
    faults = []
    with progress(f"verify {path}", len(files), unit="files") as advance:
        for name, listed in files.items():
            words = manifest.fault(path / name, listed, thorough=True)
            if words:
                faults.append(f"{name} {words}")
            advance(1, "")
    return faults + [f"{name} is not in the manifest" for name in _strangers(path, files)]


def _strangers(path: Path, files: manifest.Files) -> list[str]:
    """Files in the store's folder that the manifest does not know."""
    found = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    return sorted(found - files.keys() - {store.MANIFEST})
