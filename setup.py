"""Find the packages; pipelines is installed as ``npecat``. The rest is in pyproject.toml."""

from setuptools import find_packages, setup

rooms_of_npecat = [f"npecat.{room}" for room in find_packages("pipelines")]
setup(
    packages=[*find_packages(include=["npecat_*"]), "npecat", *rooms_of_npecat],
    package_dir={"npecat": "pipelines"},
)
