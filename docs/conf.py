"""Settings of the rendered documentation: ``make docs`` builds it in docs/_build/html."""

from importlib.metadata import version as version_of
from types import GenericAlias, UnionType
from typing import TypeVar

from sphinx.application import Sphinx

project = "npecat"
author = "The npecat developers"
copyright = "2025-2026, The npecat developers"
version = release = version_of("npecat")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove-warn"  # a page that complains fails the build

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings state types and shapes
autodoc_mock_imports = ["dask_jobqueue"]  # npecat.experiments.simulate_slurm asks for it
numpydoc_show_class_members = False  # autodoc lists them

html_theme = "furo"
html_title = f"npecat {release}"
html_show_sphinx = False

PAGES = {
    "../npecat_train/weights/MODEL_CARD.md": "model_card.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
}
"""Files outside this folder that pages link to, and the pages that show them."""


def _link_pages(_: Sphinx, __: str, source: list[str]) -> None:
    """Links that work in the repository lead to pages here."""
    for file, page in PAGES.items():
        source[0] = source[0].replace(f"]({file}", f"]({page}")


def _skip_aliases(_: Sphinx, __: str, ___: str, member: object, skip: bool, ____: object) -> bool:
    """Names of types such as ``tuple[int, int]`` stay out: numpydoc cannot read them."""
    return skip or type(member) in (GenericAlias, TypeVar, UnionType)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _link_pages)
    app.connect("autodoc-skip-member", _skip_aliases)
