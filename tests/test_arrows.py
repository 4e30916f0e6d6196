"""Imports go one way: between packages, and between the rooms of each package."""

import ast
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOOK = """
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, {package!r} + "."):
    importlib.import_module(module.name)
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(" ".join(sorted(loaded & set({forbidden!r}))))
"""

ORDER = {
    "npecat_sim": [
        {"errors", "units", "progress"},
        {"io"},
        {"psf"},
        {"model"},
        {"fields"},
        {"render"},
        {"store", "surveys", "wide"},
        {"simulation"},
    ],
    "npecat_train": [
        {"weights"},
        {"data", "network"},
        {"posterior"},
        {"settings"},
        {"checkpoint"},
        {"model"},
        {"training"},
    ],
    "npecat_eval": [
        {"catalog"},
        {"metrics"},
        {"baselines", "pictures"},
        {"survey_catalog"},
        {"panels"},
        {"report"},
        {"real_images"},
    ],
    "pipelines": [
        {"__init__", "api"},
        {"cli"},
        {"commands"},
        {"__main__", "benchmarks"},
        {"experiments"},
    ],
}
"""Rooms and lone files of each package: each imports from those of earlier sets alone, and from
itself. What stands in one set does not know the others of the set."""


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("npecat_sim", ["torch", "npecat_train", "npecat_eval", "npecat"]),
        ("npecat_train", ["galsim", "dask", "distributed", "npecat_eval", "npecat"]),
        ("npecat_eval", ["dask", "distributed", "npecat"]),  # it renders sources
    ],
)
def test_a_package_loads_nothing_from_above(package, forbidden):
    look = LOOK.format(package=package, forbidden=forbidden)
    result = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


def imported_rooms(file: Path, package: str) -> set[str]:
    """Rooms and lone files of its own package that a file imports, lazily or not.

    An import for type checking alone is none.
    """
    names = {package, "npecat"} if package == "pipelines" else {package}
    tree = ast.parse(file.read_text())
    for_types = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = set(chain.from_iterable(ast.walk(node) for node in for_types))
    rooms = set()
    for node in ast.walk(tree):
        if node in skipped or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif node.level:
            place = (package, *file.relative_to(ROOT / package).parts[: -node.level])
            modules = [".".join((*place, node.module)) if node.module else ".".join(place)]
        else:
            modules = [node.module or ""]
        for module in modules:
            top, *rest = module.split(".")
            if top in names:
                inner = rest or [a.name for a in node.names if isinstance(node, ast.ImportFrom)]
                rooms |= set(inner[:1])
    return rooms


def faults_of_the_order(package: str, order: list[set[str]], root: Path = ROOT) -> list[str]:
    """Every import of a package that goes against the order of its rooms."""
    rank = {room: place for place, rooms in enumerate(order) for room in rooms}
    faults = []
    for file in sorted((root / package).rglob("*.py")):
        own = file.relative_to(root / package).parts[0].removesuffix(".py")
        if own == "__init__" and package != "pipelines":
            continue
        for room in imported_rooms(file, package):
            if room in rank and room != own and rank[room] >= rank[own]:
                faults.append(f"{file.relative_to(root)} imports {room}")
    return faults


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_one_way(package):
    rooms = {path.name.removesuffix(".py") for path in (ROOT / package).iterdir()}
    known = set().union(*ORDER[package])
    assert {r for r in rooms if not r.startswith(("__", "py.typed"))} <= known
    assert sum((ROOT / package / room).is_dir() for room in known) <= 9
    assert faults_of_the_order(package, ORDER[package]) == []


def test_an_import_against_the_order_is_noticed():
    """In the reverse order nearly every import is a fault."""
    assert len(faults_of_the_order("npecat_sim", ORDER["npecat_sim"][::-1])) > 20


@pytest.mark.parametrize("package", ORDER)
def test_a_room_says_what_it_holds_and_may_import(package):
    for file in (ROOT / package).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(file.read_text())), file
