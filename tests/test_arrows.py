"""Imports go one way: npecat -> npecat_eval -> npecat_train -> npecat_sim."""

import subprocess
import sys

import pytest

LOOK = """
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, {package!r} + "."):
    importlib.import_module(module.name)
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(" ".join(sorted(loaded & set({forbidden!r}))))
"""


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
